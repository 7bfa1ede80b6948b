// In:  letters to record (the consumer).
// Out: rows of the D1 database LEDGER, whose schema is in migrations/. Letters are read in `letters`, and changed in `letter-changes`.
// On failure: recording says which letters are not in the ledger.
import { letterId, type NewLetter } from "../domain/dead-letter.ts";
import { chunks } from "./chunks.ts";
import { linkRaw } from "./replay-lineage.ts";

export type LedgerDatabase = Pick<D1Database, "prepare" | "batch">;

/** D1's own limit. */
const MAX_PARAMETERS = 100;

const INSERTED_COLUMNS = `id, kind, state, lane, directive_id, digest, generation, source_queue, code, message,
  first_failure_code, first_failure_at, last_failure_at, attempts, directive_status, sequence, transactions, opened_at, updated_at, refund, body_format, body`;

function insertedValues(id: string, letter: NewLetter): readonly (string | number | null)[] {
  return [
    id,
    letter.kind,
    "open",
    letter.lane ?? "",
    letter.directiveId,
    letter.digest,
    letter.generation,
    letter.sourceQueue,
    letter.code,
    letter.message,
    letter.firstFailureCode,
    letter.firstFailureAtMs,
    letter.lastFailureAtMs,
    letter.attempts,
    letter.directiveStatus,
    letter.sequence,
    JSON.stringify(letter.transactions),
    letter.openedAtMs,
    letter.openedAtMs,
    letter.refund,
    letter.bodyFormat,
    letter.body,
  ];
}

/** What is not in the ledger, by letter id, with D1's reason. Every other letter is committed. */
export interface Recording {
  readonly failed: ReadonlyMap<string, string>;
}

/**
 * Writes letters and the first entry of their history, all in one transaction. One that is there already stays as it
 * is. When the transaction fails while D1 answers, each letter gets its own, so that one that cannot be written
 * holds up no other. Never throws. Whoever calls sees to it that the bodies fit into an isolate several times over.
 */
export async function recordLetters(db: LedgerDatabase, letters: readonly NewLetter[]): Promise<Recording> {
  const byId = new Map(letters.map((letter) => [letterId(letter), letter]));
  const whole = await write(db, byId);
  if (whole === null) return { failed: new Map() };
  if (byId.size === 1 || !(await answers(db)))
    return { failed: new Map([...byId.keys()].map((id) => [id, whole])) };
  const failed = new Map<string, string>();
  for (const [id, letter] of byId) {
    const reason = await write(db, new Map([[id, letter]]));
    if (reason !== null) failed.set(id, reason);
  }
  return { failed };
}

/** Null, or why nothing of it was written. */
async function write(db: LedgerDatabase, letters: ReadonlyMap<string, NewLetter>): Promise<string | null> {
  if (letters.size === 0) return null;
  try {
    const raw = Array.from(letters).flatMap(([id, { kind }]) => (kind === "raw" ? [id] : []));
    // The link is made before the first entry of the history, by which it knows that the letter is new.
    await db.batch([
      ...insertions(db, letters),
      ...raw.flatMap((id) => linkRaw(db, id)),
      ...openings(db, [...letters.keys()]),
    ]);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function insertions(db: LedgerDatabase, letters: ReadonlyMap<string, NewLetter>): D1PreparedStatement[] {
  const rows = Array.from(letters, ([id, letter]) => insertedValues(id, letter));
  const width = rows[0]?.length ?? 1;
  return chunks(rows, Math.floor(MAX_PARAMETERS / width)).map((chunk) => {
    const row = `(${Array.from({ length: width }, () => "?").join(", ")})`;
    const values = chunk.map(() => row).join(", ");
    return db
      .prepare(`INSERT INTO letters (${INSERTED_COLUMNS}) VALUES ${values} ON CONFLICT DO NOTHING`)
      .bind(...chunk.flat());
  });
}

function openings(db: LedgerDatabase, ids: readonly string[]): D1PreparedStatement[] {
  return chunks(ids, MAX_PARAMETERS).map((chunk) =>
    db
      .prepare(
        `INSERT INTO letter_history (letter_id, number, at, actor, action, reason)
         SELECT id, 1, opened_at, 'lockstep', 'opened', code FROM letters WHERE id IN (${chunk.map(() => "?").join(", ")})
         ON CONFLICT DO NOTHING`,
      )
      .bind(...chunk),
  );
}

async function answers(db: LedgerDatabase): Promise<boolean> {
  try {
    await db.prepare("SELECT 1 FROM letter_counts LIMIT 1").all();
    return true;
  } catch {
    return false;
  }
}
