import superjson from "superjson";
import { z } from "zod";
import {
  fieldProblems,
  parseDirective,
  wireAction,
  type Directive,
  type DirectiveInput,
  type FieldProblem,
} from "./directive.ts";
import { isFailureCode, type FailureCode } from "./failure.ts";
import { parseAccount, type AccountId } from "./ids.ts";
import { parseInbox, type InboxName } from "./inbox-name.ts";
import { annotationProblem, plainProblem } from "./plain.ts";
import { err, ok, type Result } from "./result.ts";

/** What travels on the queues: always `superjson.serialize(message)`, sent as JSON, so that people and REST clients can read it. */
export interface Body {
  readonly json: unknown;
  readonly meta?: unknown;
}

/** A whole directive, from any Worker that has the `directives` queue bound. */
export interface Introduction {
  readonly kind: "directive";
  readonly directive: Directive;
}

/** "This lane has work." Losing, doubling or delaying one is harmless. */
export interface Doorbell {
  readonly kind: "doorbell";
  readonly account: AccountId;
}

/** "This inbox has work." As harmless as a doorbell. */
export interface InboxDoorbell {
  readonly kind: "inbox-doorbell";
  readonly inbox: InboxName;
}

/** "This lane has transactions whose end is to be looked up." As harmless as a doorbell. */
export interface ConfirmationCall {
  readonly kind: "confirmation";
  readonly account: AccountId;
}

/** Our own word that a directive is dead. What the lane knows, it tells: `origin: "lane"` carries only the key. */
export interface LaneRejection {
  readonly kind: "rejection";
  readonly origin: "lane";
  readonly account: AccountId;
  readonly id: string;
  readonly digest: string;
  readonly generation: number;
}

/** Our own word that a webhook event is dead: only the key, since the inbox tells what it knows. */
export interface InboxRejection {
  readonly kind: "rejection";
  readonly origin: "inbox";
  readonly inbox: InboxName;
  readonly id: string;
  readonly digest: string;
  readonly generation: number;
}

/** A directive that no lane took: the letter is all that will ever know it, so it carries the directive. */
export interface ProducerRejection {
  readonly kind: "rejection";
  readonly origin: "introduction";
  readonly sourceQueue: string;
  readonly messageId: string;
  readonly code: FailureCode;
  readonly message: string;
  readonly attempts: number;
  readonly directive: Directive;
}

export type Message =
  | Introduction
  | Doorbell
  | InboxDoorbell
  | ConfirmationCall
  | LaneRejection
  | InboxRejection
  | ProducerRejection;

/** Why a body is not a message. `fields` names each field that is wrong. */
export interface MessageProblem {
  readonly code: "malformed_message" | "unsupported_version" | "payload_too_large";
  readonly message: string;
  readonly fields: readonly FieldProblem[];
}

export const MESSAGE_VERSION = 1;

/**
 * A queue body that asks for one transaction. Send it from any Worker that has the queue bound:
 * `await env.DIRECTIVES.send(directive({ id, account, action }))`.
 * Throws `InvalidDirectiveError`, which names every wrong field: a directive is wrong by a mistake in the program.
 */
export function directive(input: DirectiveInput): Body {
  const parsed = parseDirective(input);
  if (!parsed.ok) throw new InvalidDirectiveError(parsed.error);
  return encodeMessage({ kind: "directive", directive: parsed.value });
}

export class InvalidDirectiveError extends Error {
  override readonly name = "InvalidDirectiveError";
  readonly fields: readonly FieldProblem[];
  constructor(fields: readonly FieldProblem[]) {
    super(`not a directive: ${describe(fields)}`);
    this.fields = fields;
  }
}

export function encodeMessage(message: Message): Body {
  switch (message.kind) {
    case "directive":
      return serialize(directiveFields(message.directive));
    case "doorbell":
    case "inbox-doorbell":
    case "confirmation":
      return serialize({ ...message });
    case "rejection":
      return serialize(
        message.origin === "introduction"
          ? { ...message, directive: directiveFields(message.directive) }
          : { ...message },
      );
  }
}

function directiveFields({ id, account, action, expiresAtMs, metadata }: Directive): Record<string, unknown> {
  return {
    kind: "directive",
    id,
    account: account.id,
    action: wireAction(action),
    ...(expiresAtMs === null ? {} : { expiresAt: new Date(expiresAtMs) }),
    ...(metadata === null ? {} : { metadata }),
  };
}

function serialize(fields: Record<string, unknown>): Body {
  return superjson.serialize({ v: MESSAGE_VERSION, ...fields });
}

const accountField = z.string().transform((text, context): AccountId => {
  const parsed = parseAccount(text);
  if (parsed.ok) return parsed.value.id;
  context.issues.push({ code: "custom", message: parsed.error, input: text });
  return z.NEVER;
});
const inboxField = z.string().transform((text, context): InboxName => {
  const parsed = parseInbox(text);
  if (parsed !== undefined) return parsed.name;
  context.issues.push({ code: "custom", message: "must be the name of an inbox", input: text });
  return z.NEVER;
});
const v = z.literal(MESSAGE_VERSION);
const inboxDoorbellSchema = z.strictObject({ v, kind: z.literal("inbox-doorbell"), inbox: inboxField });
const callSchema = z.strictObject({ v, kind: z.enum(["doorbell", "confirmation"]), account: accountField });
const laneRejectionSchema = z.strictObject({
  v,
  kind: z.literal("rejection"),
  origin: z.literal("lane"),
  account: accountField,
  id: z.string(),
  digest: z.string(),
  generation: z.number().int().nonnegative(),
});
const inboxRejectionSchema = z.strictObject({
  v,
  kind: z.literal("rejection"),
  origin: z.literal("inbox"),
  inbox: inboxField,
  id: z.string(),
  digest: z.string(),
  generation: z.number().int().nonnegative(),
});
const producerRejectionSchema = z.strictObject({
  v,
  kind: z.literal("rejection"),
  origin: z.literal("introduction"),
  sourceQueue: z.string(),
  messageId: z.string(),
  code: z.string().refine(isFailureCode, "is not a failure code"),
  message: z.string(),
  attempts: z.number().int().nonnegative(),
  directive: z.unknown(),
});

/** Reads an untrusted queue body. Never throws, never casts. */
export function decodeMessage(body: unknown): Result<Message, MessageProblem> {
  if (typeof body !== "object" || body === null || !("json" in body))
    return malformed("the body must be { json, meta? } as superjson.serialize writes it");
  const { json, meta } = { meta: undefined, ...body };
  const unsafe = plainProblem(json) ?? plainProblem(meta) ?? annotationProblem(meta);
  if (unsafe !== null) return malformed(`the body is not plain data: ${describe([unsafe])}`, [unsafe]);
  let message: unknown;
  try {
    message = superjson.parse(JSON.stringify({ json, meta }));
  } catch {
    return malformed("superjson cannot read the body: check its meta");
  }
  if (typeof message !== "object" || message === null) return malformed("the message must be an object");
  const version = "v" in message ? message.v : undefined;
  if (version !== MESSAGE_VERSION) {
    const known = typeof version === "number" && Number.isInteger(version);
    return known
      ? err({
          code: "unsupported_version",
          message: `version ${version} is not known: this Worker reads version ${MESSAGE_VERSION}`,
          fields: [{ field: "v", message: `must be ${MESSAGE_VERSION}` }],
        })
      : malformed("the version is missing", [{ field: "v", message: `must be ${MESSAGE_VERSION}` }]);
  }
  const kind = "kind" in message ? message.kind : undefined;
  switch (kind) {
    case "directive":
      return introduction(message);
    case "doorbell":
    case "confirmation":
      return messageOf(callSchema.safeParse(message, { reportInput: true }), ({ kind: call, account }) =>
        ok({ kind: call, account }),
      );
    case "inbox-doorbell":
      return messageOf(
        inboxDoorbellSchema.safeParse(message, { reportInput: true }),
        ({ v: _, ...doorbell }) => ok(doorbell),
      );
    case "rejection":
      return rejection(message);
    default:
      return malformed("the kind is not known", [
        { field: "kind", message: "must be directive, doorbell, inbox-doorbell, confirmation or rejection" },
      ]);
  }
}

function rejection(message: object): Result<Message, MessageProblem> {
  const origin = "origin" in message ? message.origin : undefined;
  if (origin === "lane")
    return messageOf(laneRejectionSchema.safeParse(message, { reportInput: true }), ({ v: _, ...fields }) =>
      ok(fields),
    );
  if (origin === "inbox")
    return messageOf(inboxRejectionSchema.safeParse(message, { reportInput: true }), ({ v: _, ...fields }) =>
      ok(fields),
    );
  return messageOf(
    producerRejectionSchema.safeParse(message, { reportInput: true }),
    ({ v: _, directive: inner, ...fields }) => {
      const read = introduction(inner);
      return read.ok ? ok({ ...fields, directive: read.value.directive }) : read;
    },
  );
}

function introduction(input: unknown): Result<Introduction, MessageProblem> {
  const read = parseDirective(input);
  if (read.ok) return ok({ kind: "directive", directive: read.value });
  const tooLarge = read.error.some((problem) => problem.tooLarge === true);
  return tooLarge
    ? err({ code: "payload_too_large", message: describe(read.error), fields: read.error })
    : malformed(describe(read.error), read.error);
}

function messageOf<Fields, Read extends Message>(
  outcome: z.ZodSafeParseResult<Fields>,
  build: (fields: Fields) => Result<Read, MessageProblem>,
): Result<Read, MessageProblem> {
  if (outcome.success) return build(outcome.data);
  const fields = fieldProblems(outcome.error);
  return malformed(describe(fields), fields);
}

function malformed(message: string, fields: readonly FieldProblem[] = []): Result<never, MessageProblem> {
  return err({ code: "malformed_message", message, fields });
}

function describe(fields: readonly FieldProblem[]): string {
  return fields.map(({ field, message }) => (field === "" ? message : `${field} ${message}`)).join("; ");
}
