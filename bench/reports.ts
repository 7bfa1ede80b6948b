// What the bench's Worker answers: the one form that both sides know.
import { z } from "zod";

/** A lane that was worked by one caller at a time. */
export const laneRunSchema = z.object({
  sequences: z.number(),
  ms: z.number(),
  /** Of `ms`, what admission took. */
  admitMs: z.number(),
  /** Of `ms`, what the evidence took that ends the slots: `unconfirmed` and `confirm`. */
  confirmMs: z.number(),
  duplicates: z.number(),
  gaps: z.number(),
});
export type LaneRun = z.infer<typeof laneRunSchema>;

/** Callers that each want one sequence at the same time, round after round. */
export const callersRunSchema = z.object({
  sequences: z.number(),
  ms: z.number(),
  /** From a caller's question to its sequence, in milliseconds, ascending. */
  latencies: z.array(z.number()),
  duplicates: z.number(),
  gaps: z.number(),
});
export type CallersRun = z.infer<typeof callersRunSchema>;

/** What a run of the product cost, as a bill would count it, and how long its stages took. */
export const tallySchema = z.object({
  /** Calls of Durable Objects over RPC, by method; `alarm` is an alarm, which is billed as a call too. */
  calls: z.record(z.string(), z.number()),
  /** In Durable Objects, with index rows and `setAlarm`, which is billed as a row. */
  rowsWritten: z.number(),
  rowsRead: z.number(),
  /** Messages sent, and messages delivered: a retried one is delivered again. */
  queueSends: z.number(),
  queueDeliveries: z.number(),
  /** Invocations of the Worker by a queue. */
  queueBatches: z.number(),
  /** Submissions and webhook events; what is asked of the API beside them is not counted. */
  httpRequests: z.number(),
  /** Statements that D1 was given, of whatever kind. */
  ledgerStatements: z.number(),
  /** By stage. `ms` is wall time, summed over stages that may run at the same time. */
  stages: z.record(z.string(), z.object({ calls: z.number(), ms: z.number() })),
});
export type Tally = z.infer<typeof tallySchema>;

export const filledSchema = z.object({ filled: z.number() });

/** How directives are named: at random, as UUIDv4 does, or by the time of their making, as UUIDv7 and ULID do. */
export type Naming = "random" | "by-time";

/** What the bench's Worker is asked, by POST to `/bench`. */
export const questionSchema = z.discriminatedUnion("run", [
  z.object({
    run: z.literal("lane"),
    account: z.string(),
    batch: z.number(),
    sequences: z.number(),
    ids: z.enum(["random", "by-time"]),
  }),
  z.object({ run: z.literal("callers"), account: z.string(), callers: z.number(), rounds: z.number() }),
  z.object({ run: z.literal("stagger"), callers: z.number(), staggerMs: z.number() }),
  /** Makes the account's lane one that has settled so many more directives. */
  z.object({ run: z.literal("fill"), account: z.string(), rows: z.number() }),
  z.object({
    run: z.literal("kill"),
    account: z.string(),
    directives: z.number(),
    /** The account's next sequence on the chain. */
    chainSequence: z.number(),
  }),
  z.object({ run: z.literal("dead-letters"), count: z.number() }),
  /** Letters `from` to `from + count` of `rows`, the oldest first. */
  z.object({ run: z.literal("fill-ledger"), from: z.number(), count: z.number(), rows: z.number() }),
  /** The tally since the last time. */
  z.object({ run: z.literal("tally") }),
]);
export type Question = z.infer<typeof questionSchema>;
