// In:  a question of an operator.
// Out: both numbers: what waits on the queues, and the letters of the ledger.
// On failure: a queue that does not say is reported with nulls and the reason; a ledger that does not answer throws.
import { letterDepth, type LedgerDatabase, type LetterDepth } from "./ledger.ts";

export interface DepthEnv {
  readonly LEDGER: LedgerDatabase;
  readonly DIRECTIVES: MeteredQueue;
  readonly CONFIRMATIONS: MeteredQueue;
  readonly DIRECTIVES_DLQ: MeteredQueue;
}

export interface MeteredQueue {
  metrics(): Promise<{
    readonly backlogCount: number;
    readonly backlogBytes: number;
    readonly oldestMessageTimestamp?: Date;
  }>;
}

/** Counts are null when the queue did not say: `error` says why. */
export interface QueueDepth {
  readonly backlogCount: number | null;
  readonly backlogBytes: number | null;
  /** ISO 8601. Null when nothing waits. */
  readonly oldestMessageAt: string | null;
  readonly error?: string;
}

export interface Depth {
  readonly queues: Readonly<Record<"directives" | "confirmations" | "directives-dlq", QueueDepth>>;
  readonly letters: Omit<LetterDepth, "oldestOpenAtMs"> & { readonly oldestOpenAt: string | null };
}

/** Delayed and leased messages are not in a backlog, and doorbells are not the work: what is in flight, the lanes say. */
export async function depth(env: DepthEnv): Promise<Depth> {
  const [directives, confirmations, dead, letters] = await Promise.all([
    queueDepth(env.DIRECTIVES),
    queueDepth(env.CONFIRMATIONS),
    queueDepth(env.DIRECTIVES_DLQ),
    letterDepth(env.LEDGER),
  ]);
  const { oldestOpenAtMs, ...counts } = letters;
  return {
    queues: { directives, confirmations, "directives-dlq": dead },
    letters: {
      ...counts,
      oldestOpenAt: oldestOpenAtMs === null ? null : new Date(oldestOpenAtMs).toISOString(),
    },
  };
}

async function queueDepth(queue: MeteredQueue): Promise<QueueDepth> {
  try {
    const { backlogCount, backlogBytes, oldestMessageTimestamp } = await queue.metrics();
    // An empty queue says the epoch, or nothing.
    const oldest =
      oldestMessageTimestamp === undefined || oldestMessageTimestamp.getTime() <= 0
        ? null
        : oldestMessageTimestamp.toISOString();
    return { backlogCount, backlogBytes, oldestMessageAt: oldest };
  } catch (error) {
    return {
      backlogCount: null,
      backlogBytes: null,
      oldestMessageAt: null,
      error: error instanceof Error ? error.message : String(error),
    };
  }
}
