import { z } from "zod";
import { OBJECT_FORM, reason } from "./api.ts";
import { LETTER_KINDS, LETTER_RESOLUTIONS, LETTER_STATES } from "./dead-letter.ts";
import { MAX_REPLAY_RATE, MIN_REPLAY_RATE } from "./operations.ts";

/** What `dlq/` answers over HTTP, and what the command line reads. Times are ISO 8601 in UTC. */
const at = z.string();
const count = z.int().nonnegative();
const byName = z.record(z.string(), count);

/** A letter as a list shows it. */
export const letterSummarySchema = z.object({
  id: z.string(),
  kind: z.enum(LETTER_KINDS),
  state: z.enum(LETTER_STATES),
  /** The account, or the inbox of a webhook event; null for a raw letter. */
  lane: z.string().nullable(),
  /** The event's id for a webhook event; for a raw letter, the id of the queue message. */
  directiveId: z.string(),
  digest: z.string(),
  /** Times that it was replayed before this letter. */
  generation: count,
  sourceQueue: z.string(),
  code: z.string(),
  message: z.string(),
  firstFailureCode: z.string(),
  firstFailureAt: at,
  lastFailureAt: at,
  attempts: count,
  directiveStatus: z.enum(["dead", "review", "reverted"]).nullable(),
  sequence: z.int().nullable(),
  transactions: z.array(z.object({ hash: z.string(), sequence: z.int(), status: z.string() })),
  /** Nothing was refunded, and somebody must: the directive's `metadata.refund` is "manual". */
  refund: z.enum(["manual"]).nullable(),
  /** How it was closed; null while it is not. */
  resolution: z.enum(LETTER_RESOLUTIONS).nullable(),
  /** The letter of the same work before its last replay, and the one after this one's. */
  previous: z.string().nullable(),
  next: z.string().nullable(),
  /** The id of the directive that took this one's place by an edit, or whose place this one took. */
  replacedBy: z.string().nullable(),
  replaces: z.string().nullable(),
  /** The replay that it is, or was last, in. */
  replay: z.string().nullable(),
  openedAt: at,
  updatedAt: at,
});
export type LetterSummaryReport = z.infer<typeof letterSummarySchema>;

export const lettersPageSchema = z.object({
  letters: z.array(letterSummarySchema),
  nextCursor: z.string().nullable(),
});

export const letterReportSchema = letterSummarySchema.extend({
  /** What helps against this failure. */
  remedy: z.string().nullable(),
  bodyFormat: z.enum(["json", "json-text", "superjson", "base64", "text"]),
  body: z.unknown(),
  /** What the lane says of it now; null where no lane has it, or the lane does not answer. */
  now: z
    .object({
      status: z.string(),
      sequence: z.int().nullable(),
      transactions: z.array(z.object({ hash: z.string(), sequence: z.int(), status: z.string() })),
    })
    .nullable(),
  /** Why the lane did not say. */
  nowError: z.string().optional(),
  /** Oldest first. */
  history: z.array(z.object({ at, actor: z.string(), action: z.string(), reason: z.string() })),
});
export type LetterFullReport = z.infer<typeof letterReportSchema>;

const queueDepth = z.object({
  backlogCount: count.nullable(),
  backlogBytes: count.nullable(),
  oldestMessageAt: at.nullable(),
  /** Why the queue did not say. */
  error: z.string().optional(),
});

export const depthSchema = z.object({
  /** By the queue's name. */
  queues: z.record(z.string(), queueDepth),
  letters: z.object({
    open: count,
    replaying: count,
    resolved: count,
    discarded: count,
    /** Open letters by failure code. */
    byCode: byName,
    /** Open letters of the 100 lanes that have most. */
    byLane: byName,
    oldestOpenAt: at.nullable(),
    /** Open letters by age. */
    byAge: z.object({ under1h: count, under24h: count, under7d: count, over7d: count }),
    /** Open letters of directives whose refund is manual: `metadata.refund`. */
    reconciliationRequired: count,
  }),
});
export type DepthReport = z.infer<typeof depthSchema>;

const text = z.string("must be a string");
const time = z.iso.datetime({
  offset: true,
  error: "must be a time such as 2030-01-31T12:00:00Z (ISO 8601 with a zone)",
});
const LIMIT_FORM = "must be a whole number of at least 1";

/** Ids of letters, so many at the most. */
function letterIds(most: number) {
  const form = `must be a list of 1 to ${most} ids of letters`;
  return z.array(text, form).min(1, form).max(most, form);
}

/** `POST /v1/dlq/plans`: all that are given must hold. Only letters that are `open` are ever planned, oldest first. */
export const planRequestSchema = z.strictObject(
  {
    filter: z.strictObject(
      {
        ids: letterIds(1000).optional(),
        code: text.optional(),
        kind: z.enum(LETTER_KINDS, `must be one of ${LETTER_KINDS.join(", ")}`).optional(),
        lane: text.optional(),
        sourceQueue: text.optional(),
        /** Opened at this time or later, before this time. */
        from: time.optional(),
        to: time.optional(),
      },
      OBJECT_FORM,
    ),
    limit: z.int(LIMIT_FORM).min(1, LIMIT_FORM).optional(),
    /** Also what was replayed `maxReplays` times already. */
    force: z.boolean("must be true or false").optional(),
  },
  OBJECT_FORM,
);

/** Why a letter that fits the filter is not in the plan. `over-max-replays` needs `force`. */
export const REFUSALS = ["undetermined", "reverted", "expired", "over-max-replays", "unreadable"] as const;

export const planReportSchema = z.object({
  id: z.string(),
  digest: z.string(),
  /** Letters that will be replayed. */
  matched: count,
  byCode: byName,
  byLane: byName,
  /** Letters that fit the filter and will not, by reason. */
  refused: z.partialRecord(z.enum(REFUSALS), count),
  /** More letters fit the filter than the limit allows: plan again afterwards. */
  truncated: z.boolean(),
  createdAt: at,
});
export type PlanReport = z.infer<typeof planReportSchema>;

const RATE_FORM = `must be a number from ${MIN_REPLAY_RATE} to ${MAX_REPLAY_RATE}`;
const rate = z.number(RATE_FORM).min(MIN_REPLAY_RATE, RATE_FORM).max(MAX_REPLAY_RATE, RATE_FORM);

/** `POST /v1/dlq/replays`. */
export const replayRequestSchema = z.strictObject(
  {
    plan: text,
    digest: text,
    reason,
    ratePerSecond: rate.optional(),
    perLanePerSecond: rate.optional(),
  },
  OBJECT_FORM,
);

export const REPLAY_STATUSES = ["running", "paused", "cancelling", "cancelled", "done"] as const;

/**
 * The numbers add up: total = waiting + inFlight + landed + failedAgain + refused + returned, and sent = inFlight +
 * landed + failedAgain of those that were sent. `landed`: the directive is confirmed, the event settled, the raw message
 * back on its queue; `alreadyLanded` of them were never sent, since they had landed before. `returned`: open again,
 * since the replay was cancelled.
 */
export const replayReportSchema = z.object({
  id: z.string(),
  plan: z.string(),
  status: z.enum(REPLAY_STATUSES),
  actor: z.string(),
  reason: z.string(),
  ratePerSecond: z.number(),
  perLanePerSecond: z.number(),
  total: count,
  waiting: count,
  sent: count,
  inFlight: count,
  landed: count,
  alreadyLanded: count,
  failedAgain: count,
  refused: count,
  returned: count,
  /** Of those that wait, at the rate of the last minute; null while nothing can be said. */
  etaSeconds: z.number().nullable(),
  startedAt: at,
  updatedAt: at,
  endedAt: at.nullable(),
});
export type ReplayReport = z.infer<typeof replayReportSchema>;

export const replaysPageSchema = z.object({ replays: z.array(replayReportSchema) });

const OUTCOMES = ["landed", "not-landed"] as const;

/** `POST /v1/dlq/letters/{id}/resolve`. */
export const resolveRequestSchema = z.strictObject(
  {
    outcome: z.enum(OUTCOMES, `must be one of ${OUTCOMES.join(", ")}`),
    /** For `landed`: a logged hash of the directive, final on the chain. */
    txHash: text.optional(),
    reason,
  },
  OBJECT_FORM,
);

/** `POST /v1/dlq/letters/{id}/resubmit`: the same account's other directive in the place of this one, for good. */
export const resubmitRequestSchema = z.strictObject(
  {
    /** The new directive's id. */
    id: text,
    /** As a producer writes it. */
    action: z.looseObject({ type: text }, "must be an action object"),
    expiresAt: text.optional(),
    metadata: z.record(z.string(), z.unknown(), OBJECT_FORM).optional(),
    reason,
  },
  OBJECT_FORM,
);

/** `POST /v1/dlq/reconcile`: these letters; without ids, as many as the cron takes at a time, where it left off. */
export const reconcileRequestSchema = z.strictObject({ ids: letterIds(500).optional() }, OBJECT_FORM);

/** The answer of `POST /v1/dlq/reconcile`: letters whose lane was asked, and what came of it. */
export const reconcileReportSchema = z.object({
  checked: count,
  /**
   * By what became of them: a resolution, or `updated`, `released` (open again: the edit that held it came to nothing),
   * `unchanged`, `unavailable`.
   */
  outcomes: byName,
});

const incident = z.object({
  id: z.string(),
  /** The threshold that was passed. */
  rule: z.string(),
  /** The queue, lane, inbox or code; empty where the rule has none. */
  subject: z.string(),
  /** What was wrong when it opened. */
  detail: z.string(),
  openedAt: at,
  closedAt: at.nullable(),
});

/** `GET /v1/dlq/incidents`: what is open, and what ended last; newest first. */
export const incidentsReportSchema = z.object({ open: z.array(incident), closed: z.array(incident) });
export type IncidentsReport = z.infer<typeof incidentsReportSchema>;
