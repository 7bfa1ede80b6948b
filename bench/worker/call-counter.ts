import { observed } from "./observed.ts";
import { addStage, currentTally } from "./tally.ts";

type Cursor = SqlStorageCursor<Record<string, SqlStorageValue>>;

/** What one Durable Object's calls cost: the calls themselves, their rows, and the time inside them. */
export class CallCounter {
  readonly #cursors: Cursor[] = [];

  /** The same state, with its rows counted. */
  watch<State extends DurableObjectState>(ctx: State): State {
    const sql = observed(ctx.storage.sql, (method, _args, result) => {
      if (method === "exec" && isCursor(result)) this.#cursors.push(result);
    });
    const storage = observed(
      ctx.storage,
      (method) => {
        if (method === "setAlarm") currentTally().rowsWritten += 1;
      },
      { sql },
    );
    return observed(ctx, () => undefined, { storage });
  }

  /** `object` names the class where the tally is of several. Rows are those until the method first waits. */
  counted<Answer>(method: string, run: () => Answer, object?: string): Answer {
    const tally = currentTally();
    const name = object === undefined ? method : `${object} ${method}`;
    tally.calls[name] = (tally.calls[name] ?? 0) + 1;
    const begunMs = performance.now();
    const answer = run();
    addStage(`${object ?? "object"}: ${method}`, performance.now() - begunMs);
    for (const cursor of this.#cursors.splice(0)) {
      tally.rowsWritten += cursor.rowsWritten;
      tally.rowsRead += cursor.rowsRead;
    }
    return answer;
  }
}

/** The queue, with every message that is sent to it counted. */
export function countedQueue<Sends extends object>(queue: Sends): Sends {
  return observed(queue, (method, [first]) => {
    if (method === "send") currentTally().queueSends += 1;
    if (method === "sendBatch" && Array.isArray(first)) currentTally().queueSends += first.length;
  });
}

function isCursor(value: unknown): value is Cursor {
  return typeof value === "object" && value !== null && "rowsWritten" in value;
}
