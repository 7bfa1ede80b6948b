// In:  a question of an operator.
// Out: both numbers: what waits on the queues, and the letters of the ledger.
// On failure: a queue that does not say is reported with nulls and the reason; a ledger that does not answer throws.
import type { DepthReport } from "../domain/api-letters.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { letterAges } from "./letter-gauges.ts";
import { letterDepth } from "./letters.ts";

export interface QueuesEnv {
  readonly DIRECTIVES: MeteredQueue;
  readonly CONFIRMATIONS: MeteredQueue;
  readonly WEBHOOK_EVENTS: MeteredQueue;
  readonly DIRECTIVES_DLQ: MeteredQueue;
  readonly WEBHOOK_EVENTS_DLQ: MeteredQueue;
  readonly DEAD_LETTERS_PARKING: MeteredQueue;
}

export interface DepthEnv extends QueuesEnv {
  readonly LEDGER: LedgerDatabase;
}

export interface MeteredQueue {
  metrics(): Promise<{
    readonly backlogCount: number;
    readonly backlogBytes: number;
    readonly oldestMessageTimestamp?: Date;
  }>;
}

export type QueueReading =
  | {
      readonly ok: true;
      readonly backlogCount: number;
      readonly backlogBytes: number;
      /** Null when nothing waits. */
      readonly oldestMessageAtMs: number | null;
    }
  | { readonly ok: false; readonly error: string };

/** Delayed and leased messages are not in a backlog, and doorbells are not the work: what is in flight, the lanes say. */
export async function depth(env: DepthEnv, nowMs: number): Promise<DepthReport> {
  const [queues, letters, ages] = await Promise.all([
    readQueues(env),
    letterDepth(env.LEDGER),
    letterAges(env.LEDGER, nowMs),
  ]);
  const { oldestOpenAtMs, ...counts } = letters;
  return {
    queues: Object.fromEntries(queues.map(({ queue, reading }) => [queue, queueReport(reading)])),
    letters: { ...counts, oldestOpenAt: iso(oldestOpenAtMs), ...ages },
  };
}

/** Each queue by its name. Never throws. */
export async function readQueues(
  env: QueuesEnv,
): Promise<readonly { readonly queue: string; readonly reading: QueueReading }[]> {
  const queues: Readonly<Record<string, MeteredQueue>> = {
    directives: env.DIRECTIVES,
    confirmations: env.CONFIRMATIONS,
    "webhook-events": env.WEBHOOK_EVENTS,
    "directives-dlq": env.DIRECTIVES_DLQ,
    "webhook-events-dlq": env.WEBHOOK_EVENTS_DLQ,
    "dead-letters-parking": env.DEAD_LETTERS_PARKING,
  };
  return Promise.all(
    Object.entries(queues).map(async ([queue, metered]) => ({ queue, reading: await readQueue(metered) })),
  );
}

async function readQueue(queue: MeteredQueue): Promise<QueueReading> {
  try {
    const { backlogCount, backlogBytes, oldestMessageTimestamp } = await queue.metrics();
    const oldestMs = oldestMessageTimestamp?.getTime() ?? 0;
    // An empty queue says the epoch, or nothing.
    return { ok: true, backlogCount, backlogBytes, oldestMessageAtMs: oldestMs <= 0 ? null : oldestMs };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

function queueReport(reading: QueueReading): DepthReport["queues"][string] {
  if (!reading.ok)
    return { backlogCount: null, backlogBytes: null, oldestMessageAt: null, error: reading.error };
  const { backlogCount, backlogBytes, oldestMessageAtMs } = reading;
  return { backlogCount, backlogBytes, oldestMessageAt: iso(oldestMessageAtMs) };
}

function iso(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}
