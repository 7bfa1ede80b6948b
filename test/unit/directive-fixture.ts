import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { parseDirective, type Directive } from "../../domain/directive.ts";

// The same inputs at each run: a failure is the change's, not the day's.
fc.configureGlobal({ seed: 20_301, numRuns: 200 });

export const ACCOUNT = "eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
export const ACCOUNT_CHECKSUMMED = "eip155:31337:0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
export const OTHER_ACCOUNT = "eip155:31337:0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
export const COSMOS_ACCOUNT = `cosmos:ixo-5:ixo1${"q".repeat(38)}`;
export const RECIPIENT = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

export interface Wire {
  [field: string]: unknown;
  readonly action: Record<string, unknown>;
}

/** A directive as a producer's JSON has it. */
export function wire(fields: Record<string, unknown> = {}, action: Record<string, unknown> = {}): Wire {
  return {
    id: "order-1",
    account: ACCOUNT,
    ...fields,
    action: { type: "evm.transaction", to: RECIPIENT, value: "1", ...action },
  };
}

/** What the fields of `action` are replaced by as a whole. */
export function withAction(action: unknown): Record<string, unknown> {
  return { ...wire(), action };
}

export function parsed(input: unknown): Directive {
  const read = parseDirective(input);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.value;
}

/** Arrays in arrays, `depth` of them. */
export function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

/**
 * Every input that no producer may get through, as text of JSON, and the fields that the answer must name.
 * `{"__proto__": …}` is only an own key when it comes out of JSON.
 */
export const BAD_DIRECTIVES: readonly (readonly [why: string, json: string, fields: readonly string[]])[] = [
  ["null", "null", [""]],
  ["a list", "[]", [""]],
  ["a string", '"directive"', [""]],
  ["an empty object", "{}", ["id", "account", "action"]],
  ["an id that is a number", json(wire({ id: 5 })), ["id"]],
  ["an empty id", json(wire({ id: "" })), ["id"]],
  ["an id of 129 characters", json(wire({ id: "x".repeat(129) })), ["id"]],
  ["an id with a slash", json(wire({ id: "a/b" })), ["id"]],
  ["an id with a line end", json(wire({ id: "a\n" })), ["id"]],
  ["an id that a URL reads as a step", json(wire({ id: ".." })), ["id"]],
  ["an account that is not CAIP-10", json(wire({ account: "0xabc" })), ["account"]],
  ["an account of four parts", json(wire({ account: `${ACCOUNT}:1` })), ["account"]],
  ["an account of an unknown namespace", json(wire({ account: "solana:1:abc" })), ["account"]],
  [
    "a chain id with a leading zero",
    json(wire({ account: ACCOUNT.replace("31337", "031337") })),
    ["account"],
  ],
  [
    "an account with a wrong checksum",
    json(wire({ account: ACCOUNT.replace("0xf39f", "0xF39f") })),
    ["account"],
  ],
  ["an account that is too short", json(wire({ account: ACCOUNT.slice(0, -1) })), ["account"]],
  [
    "a bech32 address of mixed case",
    json(wire({ account: COSMOS_ACCOUNT.replace("ixo1q", "ixo1Q") })),
    ["account"],
  ],
  ["a version that is not 1", json(wire({ v: 2 })), ["v"]],
  ["another kind", json(wire({ kind: "doorbell" })), ["kind"]],
  ["an unknown field", json(wire({ priority: 1 })), ["priority"]],
  ["two unknown fields", json(wire({ one: 1 }, { two: 2 })), ["action.two", "one"]],
  ["no action", json({ ...wire(), action: undefined }), ["action"]],
  ["an action that is a list", json(withAction([])), ["action"]],
  ["an action without type", json(withAction({})), ["action.type"]],
  ["an unknown action", json(withAction({ type: "evm.call" })), ["action.type"]],
  ["an action of the wrong chain", json(wire({ account: COSMOS_ACCOUNT })), ["action.type"]],
  ["a recipient that is not an address", json(wire({}, { to: "0x12" })), ["action.to"]],
  ["a recipient with a wrong checksum", json(wire({}, { to: RECIPIENT.replace("C8", "c8") })), ["action.to"]],
  ["no value", json(wire({}, { value: undefined })), ["action.value"]],
  ["a value of null", json(wire({}, { value: null })), ["action.value"]],
  ["a value that is true", json(wire({}, { value: true })), ["action.value"]],
  ["a value that is empty", json(wire({}, { value: "" })), ["action.value"]],
  ["a value in hex", json(wire({}, { value: "0x10" })), ["action.value"]],
  ["a value with a leading zero", json(wire({}, { value: "01" })), ["action.value"]],
  ["a value with a plus", json(wire({}, { value: "+1" })), ["action.value"]],
  ["a value with a point", json(wire({}, { value: "1.0" })), ["action.value"]],
  ["a value with an exponent", json(wire({}, { value: "1e18" })), ["action.value"]],
  ["a value in other digits", json(wire({}, { value: "١" })), ["action.value"]],
  ["a negative value", json(wire({}, { value: "-1" })), ["action.value"]],
  ["a negative number", json(wire({}, { value: -1 })), ["action.value"]],
  ["a value of 2^256", json(wire({}, { value: (2n ** 256n).toString() })), ["action.value"]],
  ["a value of a million digits", json(wire({}, { value: "9".repeat(1_000_000) })), ["action.value"]],
  ["a number above 2^53-1", json(wire({}, { value: 2 ** 53 })), ["action.value"]],
  ["a number that is not whole", json(wire({}, { value: 1.5 })), ["action.value"]],
  ["gas of 2^64", json(wire({}, { gas: (2n ** 64n).toString() })), ["action.gas"]],
  ["gas above 2^53-1 as a number", json(wire({}, { gas: 2 ** 53 })), ["action.gas"]],
  ["data of an odd number of digits", json(wire({}, { data: "0xabc" })), ["action.data"]],
  ["data that is not hex", json(wire({}, { data: "0xzz" })), ["action.data"]],
  ["data without 0x", json(wire({}, { data: "abcd" })), ["action.data"]],
  ["a time that is a number", json(wire({ expiresAt: 1 })), ["expiresAt"]],
  ["a time without zone", json(wire({ expiresAt: "2030-01-01T00:00:00" })), ["expiresAt"]],
  ["a time without clock", json(wire({ expiresAt: "2030-01-01" })), ["expiresAt"]],
  ["a day that does not exist", json(wire({ expiresAt: "2030-02-31T00:00:00Z" })), ["expiresAt"]],
  ["a month that does not exist", json(wire({ expiresAt: "2030-13-01T00:00:00Z" })), ["expiresAt"]],
  ["a time in the year 10000", json(wire({ expiresAt: "9999-12-31T23:59:59-00:01" })), ["expiresAt"]],
  ["metadata that is a list", json(wire({ metadata: [] })), ["metadata"]],
  ["metadata that is a string", json(wire({ metadata: "x" })), ["metadata"]],
  ["metadata with a number above 2^53-1", json(wire({ metadata: { a: { b: 2 ** 53 } } })), ["metadata.a.b"]],
  ["metadata 100,000 levels deep", deepMetadata(100_000), ["metadata.a.0"]],
  [
    "metadata of 200,000 parts",
    json(wire({ metadata: { a: Array.from({ length: 200_000 }, () => 0) } })),
    ["metadata.a"],
  ],
  [
    "several faults",
    json(wire({ id: "", account: "x" }, { value: "-1", to: 1 })),
    ["account", "action.to", "action.value", "id"],
  ],
  ["__proto__ as a field", '{"__proto__":{"id":"order-1"}}', ["__proto__"]],
  ["__proto__ in the action", json(withAction({})).replace("{}", '{"__proto__":{}}'), ["action.__proto__"]],
  [
    "__proto__ deep in metadata",
    json(wire({ metadata: { a: [{ p: 1 }] } })).replace('"p"', '"__proto__"'),
    ["metadata.a.0.__proto__"],
  ],
  ["constructor in metadata", json(wire({ metadata: { constructor: 1 } })), ["metadata.constructor"]],
  ["prototype in metadata", json(wire({ metadata: { prototype: 1 } })), ["metadata.prototype"]],
  ["cosmos messages that are none", json(cosmos([])), ["action.messages"]],
  [
    "101 cosmos messages",
    json(cosmos(Array.from({ length: 101 }, () => ({ typeUrl: "/a.B", value: {} })))),
    ["action.messages"],
  ],
  ["a cosmos message without type URL", json(cosmos([{ value: {} }])), ["action.messages.0.typeUrl"]],
  [
    "a cosmos message with a wrong type URL",
    json(cosmos([{ typeUrl: "a b", value: {} }])),
    ["action.messages.0.typeUrl"],
  ],
  [
    "a cosmos amount above 2^53-1",
    json(cosmos([{ typeUrl: "/a.B", value: { amount: 2 ** 53 } }])),
    ["action.messages.0.value.amount"],
  ],
  [
    "a cosmos memo of 257 characters",
    json(cosmos([{ typeUrl: "/a.B", value: {} }], { memo: "x".repeat(257) })),
    ["action.memo"],
  ],
];

export function cosmos(messages: readonly unknown[], action: Record<string, unknown> = {}): Wire {
  return { id: "order-1", account: COSMOS_ACCOUNT, action: { type: "cosmos.messages", messages, ...action } };
}

function json(value: unknown): string {
  return JSON.stringify(value);
}

function deepMetadata(depth: number): string {
  return json(wire({ metadata: { a: "deep" } })).replace(
    '"deep"',
    `${"[".repeat(depth)}${"]".repeat(depth)}`,
  );
}

const key = fc
  .string({ maxLength: 12 })
  .filter((text) => !["__proto__", "constructor", "prototype"].includes(text));

const jsonValue = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.boolean(),
      fc.constant(null),
      fc.maxSafeInteger(),
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    ),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4 }),
  ),
})).value;

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array) => `0x${bytesToHex(array)}`);
const amount = (bits: bigint) =>
  fc.bigInt({ min: 0n, max: 2n ** bits - 1n }).chain((value) => fc.constantFrom(value, value.toString()));
const id = fc.stringMatching(/^[A-Za-z0-9._:-]{1,128}$/).filter((text) => text !== "." && text !== "..");
const optional = {
  expiresAt: fc.date({
    min: new Date("2000-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  }),
  metadata: fc.dictionary(key, jsonValue, { maxKeys: 5 }),
};

/** Directives as producers with the queue binding write them. */
export const anyDirectiveInput = fc.oneof(
  fc.record(
    {
      id,
      account: fc
        .tuple(fc.integer({ min: 1 }), hex(20))
        .map(([chain, address]) => `eip155:${chain}:${address}`),
      action: fc.record(
        {
          type: fc.constant("evm.transaction" as const),
          to: hex(20),
          value: amount(256n),
          data: fc.nat({ max: 64 }).chain(hex),
          gas: amount(64n),
        },
        { requiredKeys: ["type", "to", "value"] },
      ),
      ...optional,
    },
    { requiredKeys: ["id", "account", "action"] },
  ),
  fc.record(
    {
      id,
      account: fc.constant(COSMOS_ACCOUNT),
      action: fc.record(
        {
          type: fc.constant("cosmos.messages" as const),
          messages: fc.array(
            fc.record({ typeUrl: fc.constant("/cosmos.bank.v1beta1.MsgSend"), value: jsonValue }),
            {
              minLength: 1,
              maxLength: 3,
            },
          ),
          memo: fc.string({ maxLength: 256 }),
          gas: amount(64n),
        },
        { requiredKeys: ["type", "messages"] },
      ),
      ...optional,
    },
    { requiredKeys: ["id", "account", "action"] },
  ),
);

/** What fast-check can make of nothing in particular: any type of JavaScript, any shape. */
export const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withObjectString: true,
  withSparseArray: true,
  withTypedArray: true,
});
