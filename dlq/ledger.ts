// In:  letters to record (the consumer), questions (operators).
// Out: rows of the D1 database LEDGER; every statement on letters stands in this file, its schema in migrations/.
// On failure: recording says which letters are not in the ledger; reading throws what D1 throws.
import {
  letterId,
  type Letter,
  type LetterFilter,
  type LetterHistoryEntry,
  type LetterSummary,
  type NewLetter,
} from "../domain/dead-letter.ts";
import { countRow, historyRow, laneRow, letterRow, oldestRow, summaryRow, toSummary } from "./letter-row.ts";

export type LedgerDatabase = Pick<D1Database, "prepare" | "batch">;

/** D1's own limit. */
const MAX_PARAMETERS = 100;
const LANES_IN_DEPTH = 100;

const SUMMARY_COLUMNS = `seq, id, kind, state, lane, directive_id, digest, generation, source_queue, code, message,
  first_failure_code, first_failure_at, last_failure_at, attempts, directive_status, sequence, transactions, opened_at, updated_at`;

const INSERTED_COLUMNS = `id, kind, state, lane, directive_id, digest, generation, source_queue, code, message,
  first_failure_code, first_failure_at, last_failure_at, attempts, directive_status, sequence, transactions, opened_at, updated_at, body_format, body`;

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
 * holds up no other. Never throws.
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
    await db.batch([...insertions(db, letters), ...openings(db, [...letters.keys()])]);
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

function chunks<Item>(items: readonly Item[], size: number): (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
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

/** Where a page of a list ended. New letters come before it, so that later pages neither skip nor repeat. */
export interface LetterPosition {
  readonly openedAtMs: number;
  readonly seq: number;
}

export interface LetterPage {
  readonly letters: readonly LetterSummary[];
  /** Null when this page is the last. */
  readonly next: LetterPosition | null;
}

/**
 * Newest first. Each non-empty group of (state, kind, code) that the filter admits is asked for its newest few, and
 * these are merged: the cost is bounded by the number of groups, whatever the number of letters.
 */
export async function listLetters(
  db: LedgerDatabase,
  filter: LetterFilter,
  page: { readonly after: LetterPosition | null; readonly limit: number },
): Promise<LetterPage> {
  // A cursor always lies before `to`, since it was made by a page of the same filter.
  const end = page.after ?? { openedAtMs: filter.toMs ?? Number.MAX_SAFE_INTEGER, seq: 0 };
  const [index, lane] =
    filter.lane === null ? ["letters_by_group", ""] : ["letters_by_lane", "i.lane = ?5 AND"];
  const { results } = await db
    .prepare(
      `WITH page (seq) AS (
         SELECT l.seq FROM letter_counts g JOIN letters l ON l.seq IN (
           SELECT i.seq FROM letters i INDEXED BY ${index}
           WHERE ${lane} i.state = g.state AND i.kind = g.kind AND i.code = g.code
             AND i.opened_at >= ?1 AND (i.opened_at, i.seq) < (?2, ?3)
           ORDER BY i.opened_at DESC, i.seq DESC LIMIT ?4)
         WHERE g.letters > 0 AND g.state = COALESCE(?6, g.state) AND g.kind = COALESCE(?7, g.kind) AND g.code = COALESCE(?8, g.code)
         ORDER BY l.opened_at DESC, l.seq DESC LIMIT ?4)
       SELECT ${SUMMARY_COLUMNS} FROM letters WHERE seq IN page ORDER BY opened_at DESC, seq DESC`,
    )
    .bind(
      filter.fromMs ?? 0,
      end.openedAtMs,
      end.seq,
      page.limit + 1,
      filter.lane,
      filter.state,
      filter.kind,
      filter.code,
    )
    .all();
  const rows = results.map((row) => summaryRow.parse(row));
  const shown = rows.slice(0, page.limit);
  const last = shown.at(-1);
  return {
    letters: shown.map(toSummary),
    next:
      rows.length > page.limit && last !== undefined ? { openedAtMs: last.opened_at, seq: last.seq } : null,
  };
}

export interface LetterWithHistory {
  readonly letter: Letter;
  /** Oldest first. */
  readonly history: readonly LetterHistoryEntry[];
}

export async function showLetter(db: LedgerDatabase, id: string): Promise<LetterWithHistory | null> {
  const [letters, history] = await db.batch([
    db.prepare(`SELECT ${SUMMARY_COLUMNS}, body_format, body FROM letters WHERE id = ?`).bind(id),
    db
      .prepare("SELECT at, actor, action, reason FROM letter_history WHERE letter_id = ? ORDER BY number")
      .bind(id),
  ]);
  const found = letters?.results[0];
  if (found === undefined || history === undefined) return null;
  const row = letterRow.parse(found);
  return {
    letter: { ...toSummary(row), body: row.body, bodyFormat: row.body_format },
    history: history.results.map((entry) => {
      const { at, actor, action, reason } = historyRow.parse(entry);
      return { atMs: at, actor, action, reason };
    }),
  };
}

export interface LetterDepth {
  readonly open: number;
  readonly replaying: number;
  readonly resolved: number;
  readonly discarded: number;
  /** Open letters by failure code. */
  readonly byCode: Readonly<Record<string, number>>;
  /** Open letters of the 100 lanes that have most. Raw letters have no lane. */
  readonly byLane: Readonly<Record<string, number>>;
  readonly oldestOpenAtMs: number | null;
}

/** Read from counters: as fast with a million letters as with ten. */
export async function letterDepth(db: LedgerDatabase): Promise<LetterDepth> {
  const [counts, lanes, oldest] = await db.batch([
    db.prepare("SELECT state, code, letters FROM letter_counts WHERE letters > 0"),
    db.prepare("SELECT lane, letters FROM open_lanes ORDER BY letters DESC LIMIT ?").bind(LANES_IN_DEPTH),
    db.prepare(
      `SELECT MIN((SELECT i.opened_at FROM letters i INDEXED BY letters_by_group
                   WHERE i.state = g.state AND i.kind = g.kind AND i.code = g.code ORDER BY i.opened_at LIMIT 1)) AS at
       FROM letter_counts g WHERE g.state = 'open' AND g.letters > 0`,
    ),
  ]);
  const states = { open: 0, replaying: 0, resolved: 0, discarded: 0 };
  const byCode = new Map<string, number>();
  for (const row of counts?.results ?? []) {
    const { state, code, letters } = countRow.parse(row);
    states[state] += letters;
    if (state === "open") byCode.set(code, (byCode.get(code) ?? 0) + letters);
  }
  return {
    ...states,
    byCode: Object.fromEntries(byCode),
    byLane: Object.fromEntries(
      (lanes?.results ?? []).map((row) => laneRow.parse(row)).map(({ lane, letters }) => [lane, letters]),
    ),
    oldestOpenAtMs: oldestRow.parse(oldest?.results[0]).at,
  };
}
