import { queueBody, type QueueBody } from "./raw-body.ts";
import { refused, returned } from "./replay-decisions.ts";
import type { Decision, ReplayLetter, StoredBody } from "./replay-page-store.ts";

/** A queue that raw messages go back to. */
export interface RawQueue {
  send(body: unknown, options: { readonly contentType: "json" | "bytes" | "v8" }): Promise<unknown>;
  sendBatch(
    messages: readonly { readonly body: unknown; readonly contentType: "json" | "bytes" | "v8" }[],
  ): Promise<unknown>;
}

/** `failure`: the queue did not take what has no decision; it is to be tried again. */
export interface RawSending {
  readonly decisions: readonly Decision[];
  readonly failure: Error | null;
}

/**
 * Sends raw messages back to the queues that they came from, one by one. A crash between the sending and its record sends a
 * message twice: harmless, since an introduction is known by its id, a doorbell may always ring twice, and what cannot be
 * read makes a letter either time.
 */
export async function sendRaw(
  letters: readonly ReplayLetter[],
  bodies: ReadonlyMap<string, StoredBody>,
  queues: Readonly<Record<string, RawQueue>>,
): Promise<RawSending> {
  const decisions: Decision[] = [];
  for (const letter of letters) {
    const queue = queues[letter.sourceQueue];
    const stored = bodies.get(letter.letterId);
    const message = stored === undefined ? null : readable(stored);
    if (queue === undefined || message === null) {
      decisions.push(
        refused(letter, queue === undefined ? "its queue is not bound" : "its body cannot be sent again"),
      );
      continue;
    }
    try {
      await queue.send(message.body, { contentType: message.contentType });
      decisions.push(returned(letter));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (!isForGood(error)) return { decisions, failure: error };
      decisions.push(refused(letter, `its body cannot be sent again: ${error.message}`));
    }
  }
  return { decisions, failure: null };
}

function readable({ format, body }: StoredBody): QueueBody | null {
  try {
    return queueBody(format, body);
  } catch {
    return null;
  }
}

/** What the sending itself refuses: a body that cannot be serialized, or is too large. */
function isForGood(error: Error): boolean {
  return (
    error instanceof RangeError ||
    error instanceof TypeError ||
    error.name === "DataCloneError" ||
    /too large|exceeds/i.test(error.message)
  );
}
