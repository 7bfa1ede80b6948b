import { z } from "zod";
import {
  envNames,
  fields,
  func,
  oneOf,
  problemsOf,
  seconds,
  matching,
  wholeNumber,
} from "./config-fields.ts";
import type { DirectiveInput, FieldProblem } from "./directive.ts";
import type { Failure } from "./failure.ts";
import { err, ok, type Result } from "./result.ts";
import { signatureSchema, type SignatureScheme } from "./signature-scheme.ts";

/** The name of a variable or secret of the Worker. Its value never stands in the configuration. */
export interface EnvName {
  readonly env: string;
}

/** A verified event, as `handle` of a source sees it. */
export interface VerifiedEvent<Data = unknown> {
  readonly source: string;
  /** The provider's event id, or the digest of the signed bytes where the id is not signed. */
  readonly id: string;
  /** The parsed body, as the source's `schema` reads it. */
  readonly data: Data;
  readonly receivedAt: Date;
}

/** A body as it came, and as it was parsed. */
export interface EventBody {
  readonly text: string;
  readonly json: unknown;
}

/** What `handle` turns an event into. The directives' ids are `source:event:index`: they are not the handler's to choose. */
export interface HandlerOutput {
  readonly directives?: readonly Omit<DirectiveInput, "id" | "v" | "kind">[];
  /** Names of destinations. */
  readonly deliveries?: readonly string[];
}

export interface WebhookSourceInput<Data> {
  readonly signature: SignatureScheme;
  /** Each is good, so that a secret can be rotated. A variable that is not set counts as one that is not there. */
  readonly secrets: readonly EnvName[];
  /** The signed time may be so far from now, either way. Default 300. */
  readonly toleranceSeconds?: number;
  /** Default 100 KB. */
  readonly maxBodyBytes?: number;
  /**
   * What tells an event from all others of the source, where the signature does not vouch for a header with the
   * provider's id: its path in the body, such as `id`, or a function of the parsed body, which may combine fields.
   * Without one, or where the body has none, the digest of the signed bytes is the id.
   */
  readonly eventId?: string | ((body: unknown) => string | null | undefined);
  /**
   * Events of one key are handled in the order of their admission. A path in the body, such as `data.customer_id`, or
   * a function of the parsed body, in which a number beyond 2^53 has lost digits. Without a key an event goes to a shard, and is unordered.
   */
  readonly orderingKey?: string | ((body: unknown) => string | null | undefined);
  /** So many inboxes for the events without a key. Default 16. */
  readonly shards?: number;
  /** What `handle` takes. An event of another shape is a dead letter: nothing that was signed is lost. */
  readonly schema: z.ZodType<Data>;
  readonly handle: (event: VerifiedEvent<Data>) => HandlerOutput | Promise<HandlerOutput>;
  readonly policy?: Partial<InboxPolicy>;
}

/** Durations in seconds. */
export interface InboxPolicy {
  readonly leaseSeconds: number;
  /** The time budget of transient failures of one event; time in which its key is paused does not count. */
  readonly giveUpAfterSeconds: number;
  /** What the key does when one of its events is dead: handles the next, or waits for an operator. */
  readonly afterPermanentFailure: "continue" | "pause";
  /** Payloads, audit trails and ids of what is settled are kept so long; a redelivery after that is a new event. */
  readonly retentionSeconds: number;
}

/** A payload is one value of a Durable Object's database, which holds 2 MB, and is read with others of its flight. */
const MAX_BODY_BYTES = 1024 * 1024;

export const DEFAULT_INBOX_POLICY: InboxPolicy = {
  leaseSeconds: 60,
  giveUpAfterSeconds: 24 * 3600,
  afterPermanentFailure: "continue",
  retentionSeconds: 30 * 24 * 3600,
};

/** A source as the stages see it. */
export interface WebhookSource {
  readonly name: string;
  /** Of Lockstep itself: nobody can post to it. */
  readonly internal: boolean;
  readonly signature: SignatureScheme;
  readonly secrets: readonly EnvName[];
  readonly toleranceSeconds: number;
  readonly maxBodyBytes: number;
  readonly shards: number;
  readonly policy: InboxPolicy;
  /** Null where the body has none, or one that is no text of 1 to 256 characters. */
  readonly eventIdOf: (body: EventBody) => string | null;
  readonly keyOf: (body: EventBody) => string | null;
  /** Reads the body and runs `handle`. Whatever they throw is the failure `handler_failed`. */
  readonly handle: (event: VerifiedEvent) => Promise<Result<HandlerOutput, Failure>>;
}

/** A source whose data are not yet told apart: `webhookSource` makes one of a typed input. */
export interface UntypedSource extends Omit<WebhookSource, "name" | "internal"> {
  /** What is wrong with its settings: a source that has any is refused, with all else that is wrong. */
  readonly problems: readonly FieldProblem[];
}

const pathOrFunction = z.union([matching(/^[^.]+(\.[^.]+)*$/, "a path in the body"), func()], {
  error: "must be a path in the body, such as data.customer_id, or a function",
});

/** The settings that have a default. */
const defaults = {
  toleranceSeconds: seconds().default(300),
  maxBodyBytes: wholeNumber(1, MAX_BODY_BYTES).default(100 * 1024),
  shards: wholeNumber(1, 256).default(16),
  policy: fields({
    leaseSeconds: seconds().default(DEFAULT_INBOX_POLICY.leaseSeconds),
    giveUpAfterSeconds: seconds().default(DEFAULT_INBOX_POLICY.giveUpAfterSeconds),
    afterPermanentFailure: oneOf(["continue", "pause"]).default(DEFAULT_INBOX_POLICY.afterPermanentFailure),
    retentionSeconds: seconds().default(DEFAULT_INBOX_POLICY.retentionSeconds),
  } satisfies Record<keyof InboxPolicy, z.ZodType>).prefault({}),
};

const sourceSchema = fields({
  signature: signatureSchema,
  secrets: envNames,
  eventId: pathOrFunction.optional(),
  orderingKey: pathOrFunction.optional(),
  schema: z.custom((value) => typeof value === "object" && value !== null && "safeParse" in value, {
    error: "must be a zod schema",
  }),
  handle: func(),
  ...defaults,
} satisfies Record<keyof WebhookSourceInput<unknown>, z.ZodType>);

/** Of a source that is refused. */
const UNREAD = z.object(defaults).parse({});

/** One source of the configuration. `Data` is what `schema` reads, and what `handle` gets. */
export function webhookSource<Data>(input: WebhookSourceInput<Data>): UntypedSource {
  const { signature, secrets, eventId, orderingKey, schema, handle } = input;
  const read = sourceSchema.safeParse(input, { reportInput: true });
  const { toleranceSeconds, maxBodyBytes, shards, policy } = read.success ? read.data : UNREAD;
  return {
    problems: read.success ? [] : problemsOf(read.error),
    signature,
    secrets,
    toleranceSeconds,
    maxBodyBytes,
    shards,
    policy,
    eventIdOf(body) {
      const id = textBy(body, eventId);
      return id !== null && /^[!-~]{1,256}$/.test(id) ? id : null;
    },
    keyOf: (body) => textBy(body, orderingKey),
    async handle(event) {
      const data = schema.safeParse(event.data);
      if (!data.success) {
        const where = data.error.issues.map(
          ({ path, message }) => `${path.map(String).join(".")}: ${message}`,
        );
        return err({
          code: "handler_failed",
          message: `the event does not have the source's schema: ${where.join("; ")}`,
        });
      }
      try {
        return ok(await handle({ ...event, data: data.data }));
      } catch (error) {
        const message = error instanceof Error ? error.message : "it threw what is not an Error";
        return err({ code: "handler_failed", message: `handle threw: ${message}` });
      }
    },
  };
}

/** Whether a value is what `webhookSource` makes. */
export function isUntypedSource(value: unknown): value is UntypedSource {
  return typeof value === "object" && value !== null && "problems" in value;
}

/** By a path or a function of the configuration. */
function textBy(body: EventBody, by: WebhookSourceInput<unknown>["orderingKey"]): string | null {
  if (by === undefined) return null;
  const found = typeof by === "string" ? textAt(body, by) : by(body.json);
  return found === undefined || found === "" ? null : found;
}

/** The text, or the whole number with every digit of it, at a path of own properties. */
function textAt({ json, text }: EventBody, path: string): string | null {
  const parsed = valueAt(json, path);
  const value =
    typeof parsed === "number" && !Number.isSafeInteger(parsed)
      ? valueAt(JSON.parse(text, exactInteger), path)
      : parsed;
  if (typeof value === "string") return value === "" ? null : value;
  return Number.isSafeInteger(value) ? String(value) : null;
}

function valueAt(body: unknown, path: string): unknown {
  let value = body;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}

/** A whole number that a JavaScript number cannot hold, as it is spelled. */
function exactInteger(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  const isExact = typeof value !== "number" || Number.isSafeInteger(value);
  return !isExact && /^-?\d+$/.test(context?.source ?? "") ? context?.source : value;
}
