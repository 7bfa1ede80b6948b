// In:  questions of operators, of reconciliation and of replays.
// Out: letters, their history and their numbers, from the D1 database LEDGER.
// On failure: throws what D1 throws.
import type { Letter, LetterFilter, LetterHistoryEntry, LetterSummary } from "../domain/dead-letter.ts";
import type { LedgerDatabase } from "./ledger.ts";
import {
  countRow,
  historyRow,
  laneRow,
  letterRow,
  oldestRow,
  SUMMARY_COLUMNS,
  summaryRow,
  toSummary,
} from "./letter-row.ts";

const LANES_IN_DEPTH = 100;

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
  const { index, also } = indexFor(filter);
  const { results } = await db
    .prepare(
      `WITH page (seq) AS (
         SELECT l.seq FROM letter_counts g JOIN letters l ON l.seq IN (
           SELECT i.seq FROM letters i INDEXED BY ${index}
           WHERE ${also} i.state = g.state AND i.kind = g.kind AND i.code = g.code
             AND i.opened_at >= ?1 AND (i.opened_at, i.seq) < (?2, ?3)
           ORDER BY i.opened_at DESC, i.seq DESC LIMIT ?4)
         WHERE g.letters > 0 AND g.state = COALESCE(?7, g.state) AND g.kind = COALESCE(?8, g.kind) AND g.code = COALESCE(?9, g.code)
         ORDER BY l.opened_at DESC, l.seq DESC LIMIT ?4)
       SELECT ${SUMMARY_COLUMNS} FROM letters WHERE seq IN page ORDER BY opened_at DESC, seq DESC`,
    )
    .bind(
      filter.fromMs ?? 0,
      end.openedAtMs,
      end.seq,
      page.limit + 1,
      filter.lane,
      filter.sourceQueue,
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

/** `also`: what must hold beside the group. Letters of one lane come from one queue, as a rule. */
function indexFor({ lane, sourceQueue }: LetterFilter): { readonly index: string; readonly also: string } {
  const ofQueue = "i.source_queue = ?6 AND";
  if (lane !== null)
    return { index: "letters_by_lane", also: `i.lane = ?5 AND ${sourceQueue === null ? "" : ofQueue}` };
  return sourceQueue === null
    ? { index: "letters_by_group", also: "" }
    : { index: "letters_by_source", also: ofQueue };
}

/** Those of the ids that there are, in no order. */
export async function lettersOf(
  db: LedgerDatabase,
  ids: readonly string[],
): Promise<readonly LetterSummary[]> {
  const { results } = await db
    .prepare(`SELECT ${SUMMARY_COLUMNS} FROM letters WHERE id IN (SELECT value FROM json_each(?))`)
    .bind(JSON.stringify(ids))
    .all();
  return results.map((row) => toSummary(summaryRow.parse(row)));
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
