import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodePayload,
  digestOf,
  encodePayload,
  MAX_DIRECTIVE_BYTES,
  parseDirective,
} from "../../domain/directive.ts";
import {
  ACCOUNT,
  ACCOUNT_CHECKSUMMED,
  anyDirectiveInput,
  anything,
  BAD_DIRECTIVES,
  cosmos,
  OTHER_ACCOUNT,
  parsed,
  RECIPIENT,
  wire,
} from "./directive-fixture.ts";

describe("a wrong directive is refused and its fields are named", () => {
  test.each(BAD_DIRECTIVES)("%s", (_, json, fields) => {
    const read = parseDirective(JSON.parse(json));
    expect(read.ok ? [] : read.error.map(({ field }) => field).toSorted()).toEqual(fields.toSorted());
  });

  test("a field of the wrong type is not called missing", () => {
    const read = parseDirective(wire({ id: 5, metadata: [] }));
    expect(read).toEqual({
      ok: false,
      error: [
        { field: "id", message: "must be a string" },
        { field: "metadata", message: "must be a JSON object" },
      ],
    });
  });

  test("a missing field is called missing", () => {
    const read = parseDirective({ action: wire().action });
    expect(read).toEqual({
      ok: false,
      error: [
        { field: "id", message: "is missing" },
        { field: "account", message: "is missing" },
      ],
    });
  });

  test("what never expires is told to leave the time out, where it names one after the year 9999", () => {
    // What many write for "never".
    const expiresAt = new Date(8_640_000_000_000_000);
    expect(parseDirective({ ...wire(), expiresAt })).toEqual({
      ok: false,
      error: [
        { field: "expiresAt", message: "must be before the year 10000: leave it out for what never expires" },
      ],
    });
    expect(parseDirective({ ...wire(), expiresAt: "9999-12-31T23:59:59.999Z" }).ok).toBe(true);
  });

  test("a number that JSON rounded is told to be a string", () => {
    const read = parseDirective(JSON.parse(JSON.stringify(wire()).replace('"1"', "9007199254740993")));
    expect(read.ok ? [] : read.error[0]?.message).toContain("decimal string");
  });

  test("what superjson carries and JSON does not is refused in metadata", () => {
    for (const value of [
      new Map(),
      new Set(),
      /x/,
      new URL("https://example.com"),
      new Error("x"),
      Number.NaN,
      Infinity,
    ]) {
      const read = parseDirective(wire({ metadata: { deep: [value] } }));
      expect(read.ok ? [] : read.error.map(({ field }) => field)).toEqual(["metadata.deep.0"]);
    }
    expect(parseDirective(wire({ metadata: { bytes: new Uint8Array(200_000) } }))).toEqual({
      ok: false,
      error: [{ field: "metadata.bytes", message: "must be JSON: write bytes as hex" }],
    });
    expect(parseDirective(wire({ metadata: { at: new Date(Number.NaN) } })).ok).toBe(false);
    expect(parseDirective(wire({ metadata: new Map() })).ok).toBe(false);
  });

  test("a long empty array is refused at once", () => {
    const sparse: unknown[] = [];
    sparse[2 ** 32 - 2] = 1;
    expect(parseDirective(wire({ metadata: { sparse } })).ok).toBe(false);
  });

  test("a cycle is refused", () => {
    const cycle: Record<string, unknown> = {};
    cycle["again"] = cycle;
    expect(parseDirective(wire({ metadata: cycle })).ok).toBe(false);
  });

  test("a small object that holds itself many times over is refused", () => {
    let many: unknown = "leaf";
    for (let level = 0; level < 25; level += 1) many = [many, many, many, many];
    expect(parseDirective(wire({ metadata: { many } })).ok).toBe(false);
  });

  test("nothing makes the parser throw", () => {
    fc.assert(
      fc.property(anything, anything, (field, value) => {
        parseDirective(value);
        parseDirective(wire({ metadata: { value } }, { value: field, extra: value }));
      }),
    );
  });
});

describe("a directive may be as large as its stored form allows", () => {
  const overhead = encodePayload(parsed(wire({ metadata: { note: "" } }))).length;
  const room = MAX_DIRECTIVE_BYTES - overhead;

  test("96 KB are taken", () => {
    expect(parseDirective(wire({ metadata: { note: "x".repeat(room) } })).ok).toBe(true);
  });

  test("one byte more is too large, and says so", () => {
    expect(parseDirective(wire({ metadata: { note: "x".repeat(room + 1) } }))).toMatchObject({
      ok: false,
      error: [{ field: "", tooLarge: true }],
    });
  });

  test("bytes count, not characters", () => {
    expect(parseDirective(wire({ metadata: { note: "€".repeat(room / 2) } })).ok).toBe(false);
  });
});

describe("a directive has one form whatever its spelling", () => {
  test("plain JSON gives amounts as bigint, hex in lower case, times in milliseconds", () => {
    const json = wire(
      { account: ACCOUNT_CHECKSUMMED, expiresAt: "2030-01-31T12:00:00+02:00", metadata: { by: "billing" } },
      { value: "340282366920938463463374607431768211456", data: "0xABcd", gas: 21000 },
    );
    expect(parsed(json)).toEqual({
      id: "order-1",
      account: {
        id: ACCOUNT,
        chain: "eip155:31337",
        namespace: "eip155",
        address: "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
      },
      action: {
        type: "evm.transaction",
        to: RECIPIENT.toLowerCase(),
        value: 2n ** 128n,
        data: "0xabcd",
        gas: 21000n,
      },
      expiresAtMs: Date.UTC(2030, 0, 31, 10),
      metadata: { by: "billing" },
    });
  });

  test("the largest amounts are taken", () => {
    const { action } = parsed(wire({}, { value: (2n ** 256n - 1n).toString(), gas: 2n ** 64n - 1n }));
    expect(action).toMatchObject({ value: 2n ** 256n - 1n, gas: 2n ** 64n - 1n });
  });

  test("an account has one id in every spelling", () => {
    const upper = `eip155:31337:0x${ACCOUNT.slice(-40).toUpperCase()}`;
    const ids = [ACCOUNT, ACCOUNT_CHECKSUMMED, upper].map((account) => parsed(wire({ account })).account.id);
    expect(new Set(ids)).toEqual(new Set([ACCOUNT]));
  });

  test("a bech32 account has one id in both spellings, and no letter passes for another", () => {
    const messages = [{ typeUrl: "/a.B", value: {} }];
    const [lower, upper] = [`ixo1${"k".repeat(38)}`, `IXO1${"K".repeat(38)}`];
    const ids = [lower, upper].map(
      (address) => parsed({ ...cosmos(messages), account: `cosmos:ixo-5:${address}` }).account.id,
    );
    expect(ids).toEqual([`cosmos:ixo-5:${lower}`, `cosmos:ixo-5:${lower}`]);
    const kelvin = upper.replaceAll("K", "\u212A");
    expect(parseDirective({ ...cosmos(messages), account: `cosmos:ixo-5:${kelvin}` }).ok).toBe(false);
  });

  test("bigint and Date in metadata and in cosmos values become strings, undefined is left out", () => {
    const rich = { big: 10n, at: new Date(0), none: undefined, list: [1n] };
    const plain = { big: "10", at: "1970-01-01T00:00:00.000Z", list: ["1"] };
    expect(parsed(wire({ metadata: rich })).metadata).toEqual(plain);
    expect(parsed(cosmos([{ typeUrl: "/a.B", value: rich }])).action).toMatchObject({
      messages: [{ typeUrl: "/a.B", value: plain }],
    });
  });

  test("a stored payload gives back the action, for every directive", () => {
    fc.assert(
      fc.property(anyDirectiveInput, (input) => {
        const directive = parsed(input);
        const stored = decodePayload(encodePayload(directive));
        expect(stored.ok && digestOf({ account: directive.account, action: stored.value })).toBe(
          digestOf(directive),
        );
        if (directive.account.namespace === "eip155")
          expect(stored).toEqual({ ok: true, value: directive.action });
      }),
    );
  });

  test("what no lane stored is not read as a payload", () => {
    for (const payload of ["", "{", "{}", '{"action":{"type":"x"}}'])
      expect(decodePayload(payload).ok).toBe(false);
  });
});

describe("the digest is of account and action alone", () => {
  const digest = (input: unknown) => digestOf(parsed(input));
  const reference = digest(wire());

  test("it does not change, so that a new Worker knows the directives of an old one", () => {
    const canonical = `["lockstep.directive.v1","${ACCOUNT}",{"data":"0x","to":"${RECIPIENT.toLowerCase()}","type":"evm.transaction","value":"1"}]`;
    expect(reference).toBe(createHash("sha256").update(canonical).digest("hex"));
  });

  test.each([
    ["the account's spelling", wire({ account: ACCOUNT_CHECKSUMMED })],
    ["the recipient's spelling", wire({}, { to: RECIPIENT.toLowerCase() })],
    ["a number for the amount", wire({}, { value: 1 })],
    ["a bigint for the amount", wire({}, { value: 1n })],
    ["empty data", wire({}, { data: "0x" })],
    ["gas of null", wire({}, { gas: null })],
    [
      "the order of keys",
      { action: Object.fromEntries(Object.entries(wire().action).toReversed()), account: ACCOUNT, id: "x" },
    ],
    ["the id", wire({ id: "order-2" })],
    ["metadata", wire({ metadata: { trace: "1" } })],
    ["expiresAt", wire({ expiresAt: "2030-01-01T00:00:00Z" })],
    ["version and kind", wire({ v: 1, kind: "directive" })],
  ])("%s does not change it", (_, input) => {
    expect(digest(input)).toBe(reference);
  });

  test.each([
    ["the account", wire({ account: OTHER_ACCOUNT })],
    ["the chain", wire({ account: ACCOUNT.replace("31337", "1") })],
    ["the recipient", wire({}, { to: ACCOUNT.slice(-42) })],
    ["the amount", wire({}, { value: "2" })],
    ["the data", wire({}, { data: "0x00" })],
    ["gas", wire({}, { gas: "1" })],
  ])("%s changes it", (_, input) => {
    expect(digest(input)).not.toBe(reference);
  });

  test("the order of keys in a cosmos value does not change it, the order of messages does", () => {
    const message = (value: unknown) => ({ typeUrl: "/a.B", value });
    expect(digest(cosmos([message({ a: 1, b: [2] })]))).toBe(digest(cosmos([message({ b: [2], a: 1 })])));
    expect(digest(cosmos([message(1), message(2)]))).not.toBe(digest(cosmos([message(2), message(1)])));
  });
});
