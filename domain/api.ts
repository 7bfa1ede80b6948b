import { z } from "zod";
import type { FieldProblem } from "./directive.ts";
import type { AccountId } from "./ids.ts";
import type { DirectiveStatus, LaneStatus, TransactionView } from "./lane.ts";

/** Who calls. An operator may do what a producer may. */
export interface Actor {
  /** What the audit log calls the holder of the token. */
  readonly name: string;
  readonly scope: "producer" | "operator";
  /** The accounts that a producer's token is limited to; null for all. */
  readonly accounts: readonly AccountId[] | null;
}

/** So many directives in one `POST /v1/directives`. */
export const MAX_DIRECTIVES_PER_REQUEST = 100;

/** Times in what the API answers are ISO 8601 in UTC. */
const at = z.string();
const failure = z.object({ code: z.string(), message: z.string(), at });

const DIRECTIVE_STATUSES = [
  "queued",
  "recorded",
  "broadcast",
  "confirmed",
  "reverted",
  "dead",
  "review",
  "replaced",
] as const satisfies readonly DirectiveStatus[];

export const LANE_STATUSES = [
  "initializing",
  "live",
  "repairing",
  "degraded",
  "paused",
] as const satisfies readonly LaneStatus[];

const TRANSACTION_STATUSES = [
  "recorded",
  "refused",
  "unsent",
  "uncertain",
  "accepted",
  "included",
  "reverted",
  "superseded",
  "expired",
] as const satisfies readonly TransactionView["status"][];

/**
 * What became of one directive of a `POST /v1/directives`. `conflict`: the lane has another payload under the id.
 * `unavailable`: whether the lane has it is not known; the same request again is safe. Both say so in `error`.
 */
export const directiveReceiptSchema = z.object({
  id: z.string(),
  account: z.string(),
  status: z.enum([...DIRECTIVE_STATUSES, "conflict", "unavailable"]),
  error: z.string().optional(),
});
export type DirectiveReceipt = z.infer<typeof directiveReceiptSchema>;

/** The answer of `POST /v1/directives`: one receipt for each directive, in the order of the request. */
export const directiveReceiptsSchema = z.object({ directives: z.array(directiveReceiptSchema) });

/** The answer of `GET /v1/accounts/{account}/directives/{id}`. */
export const directiveReportSchema = z.object({
  id: z.string(),
  account: z.string(),
  status: z.enum(DIRECTIVE_STATUSES),
  /** Missing while the directive owns none. */
  sequence: z.number().optional(),
  /** Every transaction ever signed for it, oldest first. */
  transactions: z.array(
    z.object({ hash: z.string(), status: z.enum(TRANSACTION_STATUSES), sequence: z.number() }),
  ),
  attempts: z.number(),
  failure: failure.optional(),
  admittedAt: at,
  updatedAt: at,
});
export type DirectiveReport = z.infer<typeof directiveReportSchema>;

/** The answer of `GET /v1/accounts/{account}`, `…/pause` and `…/resume`. `counts`: admitted = settled + dead + inFlight. */
export const laneReportSchema = z.object({
  account: z.string(),
  status: z.enum(LANE_STATUSES),
  reason: z.string().nullable(),
  nextSequence: z.number(),
  chainSequence: z
    .number()
    .nullable()
    .describe(
      "The chain's next sequence when the lane last read it, which may be long ago; null before the first time.",
    ),
  checkpoint: z.object({ received: z.number().nullable(), contiguous: z.number() }),
  leases: z.array(z.object({ token: z.number(), holder: z.string(), endsInMs: z.number() })),
  counts: z.object({ admitted: z.number(), settled: z.number(), dead: z.number(), inFlight: z.number() }),
  /** Slots that are not final. */
  open: z.number(),
  lettersOwed: z.number(),
  /** Attempts ever made, by what they came to: `accepted`, or `refused:<code>`, `unavailable:<code>`, `uncertain:<code>`. */
  attempts: z.record(z.string(), z.number()),
  outage: failure.nullable(),
  events: z.array(z.object({ at, kind: z.string(), detail: z.string() })),
});
export type LaneReport = z.infer<typeof laneReportSchema>;

const MAX_REASON = 500;
const REASON_FORM = `must say why, in 1 to ${MAX_REASON} characters`;

/** Why an operator acts: the audit log keeps it. */
export const reason = z
  .string({ error: REASON_FORM })
  .trim()
  .min(1, REASON_FORM)
  .max(MAX_REASON, REASON_FORM);

/** What a request says of a body that is no object. */
export const OBJECT_FORM = "must be a JSON object";

/** The body of every operator action that the audit log keeps. */
export const reasonSchema = z.strictObject({ reason }, OBJECT_FORM);

/**
 * RFC 9457. `errors` names each field that is wrong, with what to write instead; a field of a batch is a path such as
 * `directives[3].action.value`. `directives` stands there when directives were given to their lanes and none was taken.
 */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  directives: z.array(directiveReceiptSchema).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

const TITLES = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  409: "Conflict",
  413: "Content too large",
  415: "Unsupported media type",
  422: "Unprocessable content",
  429: "Too many requests",
  500: "Internal error",
  503: "Unavailable",
} as const;

export type ProblemStatus = keyof typeof TITLES;

/** The one form of every error that the HTTP API answers. Source: RFC 9457. */
export function problem(
  status: ProblemStatus,
  detail: string,
  options: {
    readonly errors?: readonly FieldProblem[];
    readonly directives?: readonly DirectiveReceipt[];
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Response {
  const body: Problem = {
    type: "about:blank",
    title: TITLES[status],
    status,
    detail,
    ...(options.errors === undefined
      ? {}
      : { errors: options.errors.map(({ field, message }) => ({ field, message })) }),
    ...(options.directives === undefined ? {} : { directives: [...options.directives] }),
  };
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/problem+json", ...options.headers },
  });
}
