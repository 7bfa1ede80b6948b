import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { isDirectiveId, parseAccount, parseEvmAddress, type Account, type DirectiveId } from "./ids.ts";
import { jsonProblem, plainProblem, toPlain } from "./plain.ts";
import { err, ok, type Result } from "./result.ts";

/** One transaction from one account. Wei and gas are bigint, addresses and data lower-case hex. */
export interface EvmTransactionAction {
  readonly type: "evm.transaction";
  readonly to: `0x${string}`;
  readonly value: bigint;
  readonly data: `0x${string}`;
  readonly gas: bigint | null;
}

export interface CosmosMessagesAction {
  readonly type: "cosmos.messages";
  readonly messages: readonly { readonly typeUrl: string; readonly value: unknown }[];
  readonly memo: string;
  readonly gas: bigint | null;
}

export type Action = EvmTransactionAction | CosmosMessagesAction;

/** Command to broadcast one transaction from one account. `id` is the idempotency key within the account. */
export interface Directive {
  readonly id: DirectiveId;
  readonly account: Account;
  readonly action: Action;
  /** Stops work that has not started; never kills work whose transaction may be out. */
  readonly expiresAtMs: number | null;
  readonly metadata: Readonly<Record<string, unknown>> | null;
}

/** What a producer writes. Amounts: bigint, decimal string, or safe integer. Times: Date or ISO 8601 string. */
export interface DirectiveInput {
  readonly v?: 1;
  readonly kind?: "directive";
  readonly id: string;
  readonly account: string;
  readonly action:
    | {
        readonly type: "evm.transaction";
        readonly to: string;
        readonly value: Amount;
        readonly data?: string;
        readonly gas?: Amount;
      }
    | {
        readonly type: "cosmos.messages";
        readonly messages: readonly { readonly typeUrl: string; readonly value: unknown }[];
        readonly memo?: string;
        readonly gas?: Amount;
      };
  readonly expiresAt?: Date | string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export type Amount = bigint | string | number;

/** `field` is a path such as `action.value`; `message` says what is wrong and what to write. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
  /** The whole is larger than `MAX_DIRECTIVE_BYTES`: HTTP says 413. */
  readonly tooLarge?: true;
}

/** A directive in its stored form may not be larger: a queue message holds 128 KB with its envelope. */
export const MAX_DIRECTIVE_BYTES = 96 * 1024;

const MAX_UINT256 = 2n ** 256n - 1n;
const MAX_UINT64 = 2n ** 64n - 1n;

function amount(max: bigint, unit: string) {
  const parsed = z.unknown().transform((input, context): bigint => {
    const refuse = (message: string): bigint => {
      context.issues.push({ code: "custom", message, input });
      return z.NEVER;
    };
    if (typeof input === "number" && !Number.isSafeInteger(input)) {
      return refuse(`is a number that JSON cannot carry exactly: write ${unit} as a decimal string`);
    }
    if (typeof input !== "bigint" && typeof input !== "number" && typeof input !== "string") {
      return refuse(`must be ${unit} as a decimal string, a bigint or a safe integer`);
    }
    if (typeof input === "string" && !/^-?(0|[1-9][0-9]{0,77})$/.test(input)) {
      return refuse(`must be ${unit} in decimal digits without sign, point or leading zeros`);
    }
    const value = BigInt(input);
    if (value < 0n) return refuse("must not be negative");
    return value > max ? refuse(`must be at most ${max}`) : value;
  });
  return parsed.meta({
    type: ["string", "integer"],
    description: `${unit} in decimal digits: text above 2^53-1`,
  });
}

function checked<Value>(parse: (text: string) => Result<Value, string>) {
  return z.string({ error: "must be a string" }).transform((text, context): Value => {
    const parsed = parse(text);
    if (parsed.ok) return parsed.value;
    context.issues.push({ code: "custom", message: parsed.error, input: text });
    return z.NEVER;
  });
}

function parseHex(text: string): Result<`0x${string}`, string> {
  if (!/^0x[0-9a-fA-F]*$/.test(text)) return err("must be hex bytes: 0x and hex digits");
  if (text.length % 2 === 1) return err("must have an even number of hex digits: two for each byte");
  const lower: `0x${string}` = `0x${text.slice(2).toLowerCase()}`;
  return ok(lower);
}

function parseDirectiveId(text: string): Result<DirectiveId, string> {
  return isDirectiveId(text)
    ? ok(text)
    : err("must be 1 to 128 characters of A-Z a-z 0-9 . _ : - and neither . nor ..");
}

/** Until then ISO 8601 has four digits for the year, so that times compare as text: plans of replays do. */
const END_OF_TIME_MS = Date.UTC(10_000, 0, 1);

const time = z
  .unknown()
  .transform((input, context): number => {
    const atMs =
      input instanceof Date ? input.getTime() : typeof input === "string" ? isoTime(input) : Number.NaN;
    if (atMs < END_OF_TIME_MS) return atMs;
    context.issues.push({
      code: "custom",
      message: Number.isNaN(atMs)
        ? "must be a time such as 2030-01-31T12:00:00Z (ISO 8601 with a zone)"
        : "must be before the year 10000: leave it out for what never expires",
      input,
    });
    return z.NEVER;
  })
  .meta({ type: "string", format: "date-time" });

/** Epoch milliseconds; NaN for what is not ISO 8601 with a zone, and for a day that the month does not have. */
function isoTime(text: string): number {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text)) return Number.NaN;
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  // Date.parse reads February 31 as March 3.
  if (Number.isNaN(day.getTime()) || !day.toISOString().startsWith(text.slice(0, 10))) return Number.NaN;
  return Date.parse(text);
}

const jsonValue = z.unknown().transform((input, context): unknown => {
  const plain = toPlain(input);
  const problem = jsonProblem(plain);
  if (problem === null) return plain;
  context.issues.push({ code: "custom", message: problem.message, path: [...problem.path], input });
  return z.NEVER;
});

const evmAction = z.strictObject({
  type: z.literal("evm.transaction"),
  to: checked(parseEvmAddress),
  value: amount(MAX_UINT256, "wei"),
  data: checked(parseHex).default("0x"),
  gas: amount(MAX_UINT64, "gas")
    .nullish()
    .transform((gas) => gas ?? null),
});

const MESSAGES_FORM = "must be a list of 1 to 100 messages";
const TYPE_URL_FORM = "must be a type URL such as /cosmos.bank.v1beta1.MsgSend";
const MEMO_FORM = "must be at most 256 characters";

const cosmosAction = z.strictObject({
  type: z.literal("cosmos.messages"),
  messages: z
    .array(
      z.strictObject(
        {
          typeUrl: z.string(TYPE_URL_FORM).regex(/^\/[\w.]+$/, TYPE_URL_FORM),
          value: jsonValue,
        },
        "must be { typeUrl, value }",
      ),
      MESSAGES_FORM,
    )
    .min(1, MESSAGES_FORM)
    .max(100, MESSAGES_FORM),
  memo: z.string(MEMO_FORM).max(256, MEMO_FORM).default(""),
  gas: amount(MAX_UINT64, "gas")
    .nullish()
    .transform((gas) => gas ?? null),
});

/** What `parseDirective` reads. Its descriptions are those of the HTTP API. */
export const directiveSchema = z.strictObject({
  v: z.literal(1, { error: "must be 1" }).optional(),
  kind: z.literal("directive", { error: "must be directive" }).optional(),
  id: checked(parseDirectiveId).meta({
    description: "The idempotency key within the account: 1 to 128 of A-Z a-z 0-9 . _ : -",
  }),
  account: checked(parseAccount).meta({
    description: "CAIP-10, for example eip155:1:0x52908400098527886e0f7030069857d2e4169ee7",
  }),
  action: z.discriminatedUnion("type", [evmAction, cosmosAction], {
    error: ({ code }) =>
      code === "invalid_union" ? "must be evm.transaction or cosmos.messages" : "must be an action object",
  }),
  expiresAt: time
    .optional()
    .meta({ description: "ISO 8601; work that has not begun by then does not begin" }),
  metadata: jsonValue
    .pipe(z.record(z.string(), z.unknown(), { error: "must be a JSON object" }))
    .nullish()
    .meta({ type: "object", description: "Any JSON object, at most 96 KB with the rest" }),
});

/**
 * Reads an untrusted value as a directive. Never throws.
 * Error: every field that is wrong, with what to write instead.
 */
export function parseDirective(input: unknown): Result<Directive, readonly FieldProblem[]> {
  const unsafe = plainProblem(input);
  if (unsafe !== null) return err([unsafe]);
  if (typeof input !== "object" || input === null || Array.isArray(input))
    return err([{ field: "", message: "must be a directive object" }]);
  const parsed = directiveSchema.safeParse(input, { reportInput: true });
  if (!parsed.success) return err(fieldProblems(parsed.error));
  const { id, account, action, expiresAt, metadata } = parsed.data;
  if ((action.type === "evm.transaction") !== (account.namespace === "eip155")) {
    return err([
      {
        field: "action.type",
        message: `does not fit the account: ${account.namespace} accounts take ${account.namespace === "eip155" ? "evm.transaction" : "cosmos.messages"}`,
      },
    ]);
  }
  const directive: Directive = {
    id,
    account,
    action,
    expiresAtMs: expiresAt ?? null,
    metadata: metadata ?? null,
  };
  const bytes = utf8ToBytes(encodePayload(directive)).length;
  if (bytes > MAX_DIRECTIVE_BYTES)
    return err([
      { field: "", message: `is ${bytes} bytes: at most ${MAX_DIRECTIVE_BYTES} are taken`, tooLarge: true },
    ]);
  return ok(directive);
}

/** Flattens what zod found, with `reportInput`, into one entry for each field; unknown fields are named one by one. */
export function fieldProblems(error: Pick<z.core.$ZodError, "issues">): readonly FieldProblem[] {
  return error.issues.flatMap((issue): FieldProblem[] => {
    const field = issue.path.map(String).join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        field: field === "" ? key : `${field}.${key}`,
        message: "is not a known field: remove it",
      }));
    }
    if (issue.code === "invalid_type" && issue.input === undefined) return [{ field, message: "is missing" }];
    return [{ field, message: issue.message }];
  });
}

/** SHA-256 over account and action in canonical form: two directives with one id must have one digest. */
export function digestOf(directive: Pick<Directive, "account" | "action">): string {
  return bytesToHex(
    sha256(
      utf8ToBytes(canonical(["lockstep.directive.v1", directive.account.id, wireAction(directive.action)])),
    ),
  );
}

/** The stored form of what a consumer needs to carry the directive out. `decodePayload` reads it back. */
export function encodePayload(directive: Pick<Directive, "action" | "metadata" | "expiresAtMs">): string {
  const { action, metadata, expiresAtMs } = directive;
  return JSON.stringify({
    action: wireAction(action),
    ...(metadata === null ? {} : { metadata }),
    ...(expiresAtMs === null ? {} : { expiresAt: new Date(expiresAtMs).toISOString() }),
  });
}

const payloadSchema = z.object({ action: z.discriminatedUnion("type", [evmAction, cosmosAction]) });

/** Reads the action of a stored payload. Error: the payload was not written by `encodePayload`. */
export function decodePayload(payload: string): Result<Action, string> {
  let json: unknown;
  try {
    json = JSON.parse(payload);
  } catch {
    return err("the stored payload is not JSON");
  }
  const parsed = payloadSchema.safeParse(json);
  return parsed.success ? ok(parsed.data.action) : err(parsed.error.message);
}

/** The action as JSON carries it: amounts in decimal strings, hex in lower case. */
export function wireAction(action: Action): Record<string, unknown> {
  const gas = action.gas === null ? {} : { gas: action.gas.toString() };
  switch (action.type) {
    case "evm.transaction":
      return { type: action.type, to: action.to, value: action.value.toString(), data: action.data, ...gas };
    case "cosmos.messages":
      return { type: action.type, messages: action.messages, memo: action.memo, ...gas };
  }
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
