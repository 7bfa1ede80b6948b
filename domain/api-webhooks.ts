import { z } from "zod";
import { reasonSchema } from "./api.ts";
import type { EventStatus, InboxStatusView } from "./webhook-event.ts";

/** Times in what the API answers are ISO 8601 in UTC. */
const at = z.string();
const count = z.int().nonnegative();
const failure = z.object({ code: z.string(), message: z.string(), at });

export const EVENT_STATUSES = ["queued", "settled", "dead"] as const satisfies readonly EventStatus[];
export const INBOX_STATUSES = [
  "live",
  "waiting",
  "paused",
] as const satisfies readonly InboxStatusView["status"][];

/** The answer of `POST /webhooks/{source}`. `sequence` counts within the event's inbox; `inbox` is its name. */
export const eventReceiptSchema = z.object({
  id: z.string(),
  sequence: count,
  duplicate: z.boolean(),
  inbox: z.string(),
});

/** One event as a list shows it. */
export const eventSummarySchema = z.object({
  id: z.string(),
  source: z.string(),
  /** The ordering key; null for an event of a shard. */
  key: z.string().nullable(),
  inbox: z.string(),
  sequence: count,
  status: z.enum(EVENT_STATUSES),
  attempts: count,
  /** Times it was replayed. */
  generation: count,
  failure: failure.nullable(),
  admittedAt: at,
  updatedAt: at,
});

/** The answer of `GET /v1/webhooks/{source}/events/{id}`. */
export const eventReportSchema = eventSummarySchema.extend({
  digest: z.string(),
  /** What is to be done for it; empty until the source's `handle` has run. `target`: a destination, or a directive's id. */
  effects: z.array(
    z.object({
      kind: z.enum(["directive", "delivery"]),
      target: z.string(),
      /** The account of a directive. */
      account: z.string().nullable(),
      state: z.enum(["pending", "done", "failed"]),
    }),
  ),
  /** Everything that happened to it, oldest first. */
  audit: z.array(
    z.object({ at, what: z.string(), status: z.int().nullable(), latencyMs: z.number().nullable() }),
  ),
});
export type EventReport = z.infer<typeof eventReportSchema>;

/** The answer of `GET /v1/webhooks/{source}/events`: newest first. */
export const eventsPageSchema = z.object({
  events: z.array(eventSummarySchema),
  nextCursor: z.string().nullable(),
});

/** An inbox. `counts`: admitted = settled + dead + inFlight. */
export const inboxReportSchema = z.object({
  inbox: z.string(),
  source: z.string(),
  key: z.string().nullable(),
  status: z.enum(INBOX_STATUSES),
  reason: z.string().nullable(),
  nextSequence: count,
  /** The oldest event that is not settled. */
  head: count.nullable(),
  counts: z.object({ admitted: count, settled: count, dead: count, inFlight: count }),
  lettersOwed: count,
  events: z.array(z.object({ at, kind: z.string(), detail: z.string() })),
});
export type InboxReport = z.infer<typeof inboxReportSchema>;

/** The answer of `GET /v1/webhooks/{source}/inboxes`: in the order of their names. */
export const inboxesPageSchema = z.object({
  inboxes: z.array(inboxReportSchema),
  next: z.string().nullable(),
});

const SEQUENCE_FORM = "must be the sequence of the event that is meant: a whole number, from 0";

/** The body of `POST /v1/webhooks/{source}/inbox/skip`: with a sequence, only the head that has it is given up. */
export const skipSchema = reasonSchema.extend({
  sequence: z.int({ error: SEQUENCE_FORM }).nonnegative(SEQUENCE_FORM).optional(),
});
