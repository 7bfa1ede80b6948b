import { z } from "zod";
import { REFUSALS, type PlanReport } from "../domain/api-letters.ts";
import type { LedgerDatabase } from "./ledger.ts";
import type { PlanFilter } from "./plan-filter.ts";

/** Every statement on plans. */

/** A plan as it is asked for: what else decides which letters it lists. */
export interface PlanQuestion {
  readonly id: string;
  readonly filter: PlanFilter;
  /** A letter that was replayed so often is refused; null refuses none for it. */
  readonly maxReplays: number | null;
  readonly limit: number;
  /** Letters in review whose directives have landed: nothing of them will be sent. */
  readonly landed: readonly string[];
  readonly actor: string;
  readonly nowMs: number;
}

export interface PlanFindings {
  readonly matched: number;
  readonly byCode: Readonly<Record<string, number>>;
  readonly byLane: Readonly<Record<string, number>>;
  readonly refused: PlanReport["refused"];
  readonly truncated: boolean;
}

const LANES_IN_PLAN = 100;
const IDS_PER_PAGE = 5000;
const STALE_PLANS = 5;
const PLAN_RETENTION_MS = 7 * 24 * 3600 * 1000;

/**
 * Why letter `i` may not be replayed; NULL when it may. A payload's `expiresAt` is ISO 8601 in UTC, so it compares as
 * text. Parameters: ?1 the time now as ISO 8601, ?2 the replays that are too many, or NULL, ?10 ids of letters whose
 * directives have landed, as JSON.
 */
const REFUSAL = `CASE
  WHEN i.id IN (SELECT value FROM json_each(?10)) THEN NULL
  WHEN i.directive_status = 'review' THEN 'undetermined'
  WHEN i.directive_status = 'reverted' THEN 'reverted'
  WHEN i.body_format = 'text' THEN 'unreadable'
  WHEN i.kind IN ('directive', 'introduction') AND i.body_format = 'json'
    AND CASE WHEN json_valid(i.body) THEN json_extract(i.body, '$.expiresAt') END <= ?1 THEN 'expired'
  WHEN i.generation >= ?2 THEN 'over-max-replays'
END`;

/** Parameters ?3 from, ?4 to, ?5 source queue, ?6 lane, ?7 kind, ?8 code, ?9 ids as JSON: those that are NULL ask nothing. */
const FITS = `i.state = 'open' AND i.opened_at >= ?3 AND i.opened_at < ?4 AND i.source_queue = COALESCE(?5, i.source_queue)`;

/**
 * Open letters that fit the filter and a condition, as (opened_at, seq). Each non-empty group of (kind, code) is walked in
 * the order of its index, so that a plan over a million letters reads about as many as it lists.
 */
function candidates(filter: PlanFilter, condition: string, limit: string): string {
  if (filter.ids !== null) {
    return `SELECT i.opened_at, i.seq FROM letters i WHERE i.id IN (SELECT value FROM json_each(?9)) AND ${FITS}
      AND i.lane = COALESCE(?6, i.lane) AND i.kind = COALESCE(?7, i.kind) AND i.code = COALESCE(?8, i.code) AND ${condition}`;
  }
  const [index, lane] =
    filter.lane === null ? ["letters_by_group", ""] : ["letters_by_lane", "i.lane = ?6 AND"];
  return `SELECT l.opened_at, l.seq FROM letter_counts g CROSS JOIN letters l ON l.seq IN (
      SELECT i.seq FROM letters i INDEXED BY ${index}
      WHERE ${lane} i.kind = g.kind AND i.code = g.code AND ${FITS} AND ${condition}
      ORDER BY i.opened_at, i.seq ${limit})
    WHERE g.state = 'open' AND g.letters > 0 AND g.kind = COALESCE(?7, g.kind) AND g.code = COALESCE(?8, g.code)`;
}

/**
 * Writes the plan's letters down, oldest first, and counts them, all in one transaction. Refused letters are counted as
 * far as the plan reaches: up to its last letter when there are more than the limit.
 */
export async function writePlan(db: LedgerDatabase, question: PlanQuestion): Promise<PlanFindings> {
  const { id, filter, maxReplays, limit, landed, actor, nowMs } = question;
  const shared = [
    new Date(nowMs).toISOString(),
    maxReplays,
    filter.fromMs ?? 0,
    Math.min(filter.toMs ?? nowMs, nowMs),
    filter.sourceQueue,
    filter.lane,
    filter.kind,
    filter.code,
    filter.ids === null ? null : JSON.stringify(filter.ids),
    JSON.stringify(landed),
  ];
  const last = `SELECT l.opened_at, l.seq FROM plan_letters p JOIN letters l ON l.id = p.letter_id
    WHERE p.plan_id = ?11 ORDER BY p.ordinal DESC LIMIT 1`;
  const results = await db.batch([
    db
      .prepare(
        `WITH chosen AS (${candidates(filter, `${REFUSAL} IS NULL`, "LIMIT ?12")} ORDER BY opened_at, seq LIMIT ?12)
         INSERT INTO plan_letters (plan_id, ordinal, letter_id, lane)
         SELECT ?11, ROW_NUMBER() OVER (ORDER BY c.opened_at, c.seq), l.id, l.lane FROM chosen c JOIN letters l ON l.seq = c.seq`,
      )
      .bind(...shared, id, limit),
    db
      .prepare(
        `SELECT l.code AS name, COUNT(*) AS letters FROM plan_letters p JOIN letters l ON l.id = p.letter_id
         WHERE p.plan_id = ? GROUP BY l.code`,
      )
      .bind(id),
    db
      .prepare(
        `SELECT lane AS name, COUNT(*) AS letters FROM plan_letters WHERE plan_id = ? AND lane <> ''
         GROUP BY lane ORDER BY letters DESC, lane LIMIT ?`,
      )
      .bind(id, LANES_IN_PLAN),
    db
      .prepare(
        `SELECT EXISTS (SELECT 1 FROM (${candidates(filter, `${REFUSAL} IS NULL AND (i.opened_at, i.seq) > (${last})`, "LIMIT 1")})) AS found`,
      )
      .bind(...shared, id),
  ]);
  const byCode = countsOf(results[1]);
  const byLane = countsOf(results[2]);
  const truncated = foundRow.parse(results[3]?.results[0]).found === 1;
  const reach = truncated ? `(i.opened_at, i.seq) < (${last})` : "?11 = ?11";
  const refusals = await db
    .prepare(
      `SELECT ${REFUSAL} AS name, COUNT(*) AS letters FROM letters i
       WHERE i.seq IN (SELECT seq FROM (${candidates(filter, `${REFUSAL} IS NOT NULL AND ${reach}`, "")})) GROUP BY name`,
    )
    .bind(...shared, id)
    .all();
  const refused = Object.fromEntries(
    refusals.results.map((row) => refusalRow.parse(row)).map(({ name, letters }) => [name, letters]),
  );
  const matched = Object.values(byCode).reduce((sum, letters) => sum + letters, 0);
  await db
    .prepare(
      `INSERT INTO plans (id, digest, filter, actor, matched, by_code, by_lane, refused, truncated, created_at)
       VALUES (?, NULL, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    .bind(
      id,
      JSON.stringify({ ...filter, limit, force: maxReplays === null }),
      actor,
      matched,
      JSON.stringify(byCode),
      JSON.stringify(byLane),
      JSON.stringify(refused),
      truncated ? 1 : 0,
      nowMs,
    )
    .run();
  return { matched, byCode, byLane, refused, truncated };
}

/** The ids of a plan's letters in their order, a page at a time. */
export async function* planLetterIds(db: LedgerDatabase, id: string): AsyncGenerator<readonly string[]> {
  for (let after = 0; ; after += IDS_PER_PAGE) {
    const { results } = await db
      .prepare(
        "SELECT letter_id FROM plan_letters WHERE plan_id = ? AND ordinal > ? AND ordinal <= ? ORDER BY ordinal",
      )
      .bind(id, after, after + IDS_PER_PAGE)
      .all();
    if (results.length === 0) return;
    yield results.map((row) => idRow.parse(row).letter_id);
  }
}

/** From here on the plan can be shown and run. */
export async function sealPlan(db: LedgerDatabase, id: string, digest: string): Promise<void> {
  await db.prepare("UPDATE plans SET digest = ? WHERE id = ?").bind(digest, id).run();
}

/** Null for an unknown plan, and for one whose writing was broken off. */
export async function readPlan(db: LedgerDatabase, id: string): Promise<PlanReport | null> {
  const { results } = await db
    .prepare(
      "SELECT id, digest, matched, by_code, by_lane, refused, truncated, created_at FROM plans WHERE id = ? AND digest IS NOT NULL",
    )
    .bind(id)
    .all();
  const found = results[0];
  return found === undefined ? null : planRow.parse(found);
}

/** The given ids that no letter has. */
export async function unknownLetters(db: LedgerDatabase, ids: readonly string[]): Promise<readonly string[]> {
  const { results } = await db
    .prepare(
      "SELECT value AS letter_id FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM letters l WHERE l.id = value)",
    )
    .bind(JSON.stringify(ids))
    .all();
  return results.map((row) => idRow.parse(row).letter_id);
}

/** Forgets a few plans that are old; a replay has its own list of letters. */
export async function prunePlans(db: LedgerDatabase, nowMs: number): Promise<void> {
  const beforeMs = nowMs - PLAN_RETENTION_MS;
  const old = `SELECT p.id FROM plans p WHERE p.created_at < ?1 AND NOT EXISTS (SELECT 1 FROM replays r WHERE r.plan_id = p.id)
    ORDER BY p.created_at LIMIT ${STALE_PLANS}`;
  await db.batch([
    db.prepare(`DELETE FROM plan_letters WHERE plan_id IN (${old})`).bind(beforeMs),
    db.prepare(`DELETE FROM plans WHERE id IN (${old})`).bind(beforeMs),
  ]);
}

function countsOf(result: D1Result | undefined): Readonly<Record<string, number>> {
  const rows = (result?.results ?? []).map((row) => nameRow.parse(row));
  return Object.fromEntries(rows.map(({ name, letters }) => [name, letters]));
}

const nameRow = z.object({ name: z.string(), letters: z.number() });
const refusalRow = z.object({ name: z.enum(REFUSALS), letters: z.number() });
const foundRow = z.object({ found: z.number() });
const idRow = z.object({ letter_id: z.string() });

const counts = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(z.record(z.string(), z.number()));
const planRow = z
  .object({
    id: z.string(),
    digest: z.string(),
    matched: z.number(),
    by_code: counts,
    by_lane: counts,
    refused: z
      .string()
      .transform((text): unknown => JSON.parse(text))
      .pipe(z.partialRecord(z.enum(REFUSALS), z.number())),
    truncated: z.number(),
    created_at: z.number(),
  })
  .transform((row): PlanReport => ({
    id: row.id,
    digest: row.digest,
    matched: row.matched,
    byCode: row.by_code,
    byLane: row.by_lane,
    refused: row.refused,
    truncated: row.truncated === 1,
    createdAt: new Date(row.created_at).toISOString(),
  }));
