import { z } from "zod";
import { LETTER_KINDS, LETTER_RESOLUTIONS, LETTER_STATES } from "./dead-letter.ts";

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

/** `POST /v1/dlq/plans`: all that are given must hold. Only letters that are `open` are ever planned, oldest first. */
export const planRequestSchema = z.strictObject({
  filter: z.strictObject({
    ids: z.array(z.string()).min(1).max(1000).optional(),
    code: z.string().optional(),
    kind: z.enum(LETTER_KINDS).optional(),
    lane: z.string().optional(),
    sourceQueue: z.string().optional(),
    /** Opened at this time or later, before this time. */
    from: z.iso.datetime({ offset: true }).optional(),
    to: z.iso.datetime({ offset: true }).optional(),
  }),
  limit: z.int().min(1).optional(),
  /** Also what was replayed `maxReplays` times already. */
  force: z.boolean().optional(),
});

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

/** `POST /v1/dlq/replays`. */
export const replayRequestSchema = z.strictObject({
  plan: z.string(),
  digest: z.string(),
  reason: z.string().trim().min(1).max(500),
  ratePerSecond: z.number().positive().max(5000).optional(),
  perLanePerSecond: z.number().positive().max(5000).optional(),
});

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

/** `POST /v1/dlq/letters/{id}/resolve`. */
export const resolveRequestSchema = z.strictObject({
  outcome: z.enum(["landed", "not-landed"]),
  /** For `landed`: a logged hash of the directive, final on the chain. */
  txHash: z.string().optional(),
  reason: z.string().trim().min(1).max(500),
});

/** `POST /v1/dlq/letters/{id}/resubmit`: the same account's other directive in the place of this one, for good. */
export const resubmitRequestSchema = z.strictObject({
  /** The new directive's id. */
  id: z.string(),
  /** As a producer writes it. */
  action: z.looseObject({ type: z.string() }),
  expiresAt: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  reason: z.string().trim().min(1).max(500),
});

/** `POST /v1/dlq/reconcile`: these letters; without ids, as many as the cron takes at a time, where it left off. */
export const reconcileRequestSchema = z.strictObject({
  ids: z.array(z.string()).min(1).max(500).optional(),
});

/** The answer of `POST /v1/dlq/reconcile`: letters whose lane was asked, and what came of it. */
export const reconcileReportSchema = z.object({
  checked: count,
  /** By what became of them: a resolution, or `updated`, `unchanged`, `unavailable`. */
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
