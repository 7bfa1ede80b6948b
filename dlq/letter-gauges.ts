// In:  questions of those who watch the ledger.
// Out: numbers that cost the same with a million letters as with ten: they are read from counters, or from the end of an index.
// On failure: throws what D1 throws.
import { z } from "zod";
import { LETTER_KINDS, LETTER_STATES, type LetterKind, type LetterState } from "../domain/dead-letter.ts";
import type { LedgerDatabase } from "./ledger.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface LetterAges {
  /**
   * Open letters by age. The age is counted from the beginning of the ten minutes in which a letter was opened, so a letter
   * is called older too early by less than that, and never too late.
   */
  readonly byAge: {
    readonly under1h: number;
    readonly under24h: number;
    readonly under7d: number;
    readonly over7d: number;
  };
  readonly reconciliationRequired: number;
}

const agesRow = z.object({
  under1h: z.number(),
  under24h: z.number(),
  under7d: z.number(),
  over7d: z.number(),
});
const lettersRow = z.object({ letters: z.number() });
const oldestRow = z.object({ at: z.number().nullable() });

export async function letterAges(db: LedgerDatabase, nowMs: number): Promise<LetterAges> {
  const [ages, refunds] = await db.batch([
    db
      .prepare(
        `SELECT TOTAL(letters) FILTER (WHERE opened_from > ?1) AS under1h,
           TOTAL(letters) FILTER (WHERE opened_from > ?2 AND opened_from <= ?1) AS under24h,
           TOTAL(letters) FILTER (WHERE opened_from > ?3 AND opened_from <= ?2) AS under7d,
           TOTAL(letters) FILTER (WHERE opened_from <= ?3) AS over7d
         FROM open_ages`,
      )
      .bind(nowMs - HOUR_MS, nowMs - DAY_MS, nowMs - 7 * DAY_MS),
    db.prepare("SELECT TOTAL(letters) AS letters FROM open_refunds"),
  ]);
  return {
    byAge: agesRow.parse(ages?.results[0]),
    reconciliationRequired: lettersRow.parse(refunds?.results[0]).letters,
  };
}

export interface LetterGauges {
  readonly groups: readonly {
    readonly state: LetterState;
    readonly kind: LetterKind;
    readonly code: string;
    readonly letters: number;
  }[];
  /** Letters ever recorded, by the failure code that they were recorded with. */
  readonly opened: readonly { readonly code: string; readonly letters: number }[];
  readonly oldestOpenAtMs: number | null;
  readonly reconciliationRequired: number;
}

const openedRow = z.object({ code: z.string(), letters: z.number() });
const groupRow = z.object({
  state: z.enum(LETTER_STATES),
  kind: z.enum(LETTER_KINDS),
  code: z.string(),
  letters: z.number(),
});

/** A group that has become empty is there too, with 0. */
export async function letterGauges(db: LedgerDatabase): Promise<LetterGauges> {
  const [groups, opened, oldest, refunds] = await db.batch([
    db.prepare("SELECT state, kind, code, letters FROM letter_counts ORDER BY state, kind, code"),
    db.prepare("SELECT code, letters FROM opened_counts ORDER BY code"),
    db.prepare(
      `SELECT MIN((SELECT i.opened_at FROM letters i INDEXED BY letters_by_group
                   WHERE i.state = g.state AND i.kind = g.kind AND i.code = g.code ORDER BY i.opened_at LIMIT 1)) AS at
       FROM letter_counts g WHERE g.state = 'open' AND g.letters > 0`,
    ),
    db.prepare("SELECT TOTAL(letters) AS letters FROM open_refunds"),
  ]);
  return {
    groups: (groups?.results ?? []).map((row) => groupRow.parse(row)),
    opened: (opened?.results ?? []).map((row) => openedRow.parse(row)),
    oldestOpenAtMs: oldestRow.parse(oldest?.results[0]).at,
    reconciliationRequired: lettersRow.parse(refunds?.results[0]).letters,
  };
}

/** Letters opened at a time or later, whatever became of them: counted as far as `most`. */
export async function openedSince(db: LedgerDatabase, sinceMs: number, most: number): Promise<number> {
  const { results } = await db
    .prepare(
      `SELECT COUNT(*) AS letters FROM (
         SELECT 1 FROM letter_counts g CROSS JOIN letters i INDEXED BY letters_by_group
         WHERE g.letters > 0 AND i.state = g.state AND i.kind = g.kind AND i.code = g.code AND i.opened_at >= ?1
         LIMIT ?2)`,
    )
    .bind(sinceMs, most)
    .all();
  return lettersRow.parse(results[0]).letters;
}

const progressRow = z.object({ replay: z.string(), outcome: z.string(), letters: z.number() });

/** What has become so far of the letters of each replay that has not ended. */
export async function replayProgress(db: LedgerDatabase): Promise<readonly z.infer<typeof progressRow>[]> {
  const { results } = await db
    .prepare(
      `SELECT c.replay_id AS replay, c.outcome, c.letters
       FROM replays r INDEXED BY replays_unended CROSS JOIN replay_counts c ON c.replay_id = r.id
       WHERE r.ended_at IS NULL ORDER BY c.replay_id, c.outcome`,
    )
    .all();
  return results.map((row) => progressRow.parse(row));
}
