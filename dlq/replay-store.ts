import { z } from "zod";
import { REPLAY_STATUSES } from "../domain/api-letters.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { OUTCOMES, RATE_WINDOW_MS, type OutcomeCounts, type Replay } from "./replay-progress.ts";

/** What operators ask of replays, as statements. Each change is one transaction. What a driver does is in `replay-page-store`. */

export interface NewReplay {
  readonly id: string;
  readonly plan: string;
  readonly actor: string;
  readonly reason: string;
  readonly ratePerSecond: number;
  readonly perLanePerSecond: number;
  readonly nowMs: number;
}

/**
 * Claims every letter of the plan and writes the replay down, or nothing at all when one of them is not open: two runs
 * over one letter cannot both win. Answers the id of the plan's replay, this one or an earlier; null when there is none.
 */
export async function beginReplay(db: LedgerDatabase, replay: NewReplay): Promise<string | null> {
  const { id, plan, actor, reason, ratePerSecond, perLanePerSecond, nowMs } = replay;
  const mine = "EXISTS (SELECT 1 FROM replays WHERE id = ?1)";
  const results = await db.batch([
    db
      .prepare(
        `INSERT INTO replays (id, plan_id, status, actor, reason, rate_per_second, per_lane_per_second, total, driver,
           driver_due_at, page_token, next_page_at, watch_after, watch_at, watch_delay_ms, started_at, updated_at)
         SELECT ?1, ?2, 'running', ?3, ?4, ?5, ?6, (SELECT COUNT(*) FROM plan_letters WHERE plan_id = ?2), 0,
           ?7, '', ?7, 0, ?7, 0, ?7, ?7
         WHERE NOT EXISTS (${changed("1")}) ON CONFLICT DO NOTHING`,
      )
      .bind(id, plan, actor, reason, ratePerSecond, perLanePerSecond, nowMs),
    db
      .prepare(
        `UPDATE letters SET state = 'replaying', replay_id = ?1, updated_at = ?3
         WHERE id IN (SELECT letter_id FROM plan_letters WHERE plan_id = ?2) AND ${mine}`,
      )
      .bind(id, plan, nowMs),
    db
      .prepare(
        `${historyOf("p.letter_id", "?3", "?4", "'replay'", "?5")} FROM plan_letters p WHERE p.plan_id = ?2 AND ${mine}`,
      )
      .bind(id, plan, nowMs, actor, reason),
    db
      .prepare(
        `INSERT INTO replay_letters (replay_id, ordinal, letter_id, lane, claimed, outcome, at)
         SELECT ?1, ordinal, letter_id, lane, 0, 'waiting', ?3 FROM plan_letters WHERE plan_id = ?2 AND ${mine}`,
      )
      .bind(id, plan, nowMs),
    db
      .prepare(
        `INSERT INTO replay_lanes (replay_id, lane, head, next_at, failures)
         SELECT ?1, lane, MIN(ordinal), 0, 0 FROM plan_letters WHERE plan_id = ?2 AND ${mine} GROUP BY lane`,
      )
      .bind(id, plan),
    db
      .prepare(
        `INSERT INTO replay_counts (replay_id, outcome, letters)
         SELECT ?1, 'waiting', COUNT(*) FROM plan_letters WHERE plan_id = ?2 AND ${mine}`,
      )
      .bind(id, plan),
    db.prepare(`DELETE FROM plan_letters WHERE plan_id = ?2 AND ${mine}`).bind(id, plan),
    db.prepare("SELECT id FROM replays WHERE plan_id = ?").bind(plan),
  ]);
  const found = results.at(-1)?.results[0];
  return found === undefined ? null : idRow.parse(found).id;
}

/** The id of the replay that the plan was run as; null when it was not. */
export async function replayOfPlan(db: LedgerDatabase, plan: string): Promise<string | null> {
  const { results } = await db.prepare("SELECT id FROM replays WHERE plan_id = ?").bind(plan).all();
  return results[0] === undefined ? null : idRow.parse(results[0]).id;
}

/** Letters of plan ?2 that are no longer open. */
function changed(columns: string): string {
  return `SELECT ${columns} FROM plan_letters p LEFT JOIN letters l ON l.id = p.letter_id
    WHERE p.plan_id = ?2 AND COALESCE(l.state, 'gone') <> 'open'`;
}

export interface ChangedSet {
  readonly count: number;
  /** The first of them, in the plan's order. */
  readonly letters: readonly { readonly id: string; readonly state: string }[];
}

/** What has left `open` since the plan was made. */
export async function changedSet(db: LedgerDatabase, plan: string, shown: number): Promise<ChangedSet> {
  const [counted, first] = await db.batch([
    db.prepare(`${changed("COUNT(*) AS count")} AND ?1 = ?1`).bind(0, plan),
    db
      .prepare(
        `${changed("p.letter_id AS id, COALESCE(l.state, 'gone') AS state")} ORDER BY p.ordinal LIMIT ?1`,
      )
      .bind(shown, plan),
  ]);
  return {
    count: z.object({ count: z.number() }).parse(counted?.results[0]).count,
    letters: (first?.results ?? []).map((row) => z.object({ id: z.string(), state: z.string() }).parse(row)),
  };
}

/** An entry at the end of a letter's history: everything up to the FROM. */
export function historyOf(letter: string, at: string, actor: string, action: string, reason: string): string {
  return `INSERT INTO letter_history (letter_id, number, at, actor, action, reason)
    SELECT ${letter}, COALESCE((SELECT MAX(h.number) FROM letter_history h WHERE h.letter_id = ${letter}), 0) + 1,
      ${at}, ${actor}, ${action}, ${reason}`;
}

const REPLAY_COLUMNS = `r.id, r.plan_id, r.status, r.actor, r.reason, r.rate_per_second, r.per_lane_per_second, r.total, r.started_at,
  r.updated_at, r.ended_at, (SELECT json_group_object(outcome, letters) FROM replay_counts c WHERE c.replay_id = r.id) AS counts,
  (SELECT COALESCE(SUM(g.letters), 0) FROM replay_pages g WHERE g.replay_id = r.id AND g.at > ?1) AS recent`;

export async function readReplay(db: LedgerDatabase, id: string, nowMs: number): Promise<Replay | null> {
  const { results } = await db
    .prepare(`SELECT ${REPLAY_COLUMNS} FROM replays r WHERE r.id = ?2`)
    .bind(nowMs - RATE_WINDOW_MS, id)
    .all();
  return results[0] === undefined ? null : toReplay(results[0]);
}

/** Latest first. */
export async function listReplays(
  db: LedgerDatabase,
  limit: number,
  nowMs: number,
): Promise<readonly Replay[]> {
  const { results } = await db
    .prepare(`SELECT ${REPLAY_COLUMNS} FROM replays r ORDER BY r.seq DESC LIMIT ?2`)
    .bind(nowMs - RATE_WINDOW_MS, limit)
    .all();
  return results.map(toReplay);
}

export interface Command {
  readonly id: string;
  readonly actor: string;
  readonly reason: string;
  readonly nowMs: number;
}

/** Nothing that nobody has claimed is sent from here on. False when it was not running. */
export async function pauseReplay(db: LedgerDatabase, command: Command): Promise<boolean> {
  return changesAny(
    await db.batch([
      ...commanded(db, command, "pause", "'running'"),
      db
        .prepare("UPDATE replays SET status = 'paused', updated_at = ?2 WHERE id = ?1 AND status = 'running'")
        .bind(command.id, command.nowMs),
    ]),
  );
}

/** It runs, and wants a driver at once. False when it was not paused. */
export async function resumeReplay(db: LedgerDatabase, command: Command): Promise<boolean> {
  return changesAny(
    await db.batch([
      ...commanded(db, command, "resume", "'paused'"),
      db
        .prepare(
          `UPDATE replays SET status = 'running', updated_at = ?2, next_page_at = ?2, watch_at = ?2, driver_due_at = ?2
           WHERE id = ?1 AND status = 'paused'`,
        )
        .bind(command.id, command.nowMs),
    ]),
  );
}

/**
 * Letters that nobody has claimed are open again, in this transaction; the others are carried through and watched to
 * their end. False when there was nothing to cancel.
 */
export async function cancelReplay(db: LedgerDatabase, command: Command): Promise<boolean> {
  const { id, actor, reason, nowMs } = command;
  const unclaimed = `SELECT w.letter_id FROM replay_letters w WHERE w.replay_id = ?1 AND w.outcome = 'waiting' AND w.claimed = 0
    AND EXISTS (SELECT 1 FROM replays r WHERE r.id = ?1 AND r.status = 'cancelling')`;
  return changesAny(
    await db.batch([
      ...commanded(db, command, "cancel", "'running', 'paused'"),
      db
        .prepare(
          `UPDATE replays SET status = 'cancelling', updated_at = ?2, watch_at = ?2, driver_due_at = ?2
           WHERE id = ?1 AND status IN ('running', 'paused')`,
        )
        .bind(id, nowMs),
      db
        .prepare(
          `${historyOf("l.id", "?2", "?3", "'returned'", "?4")} FROM letters l
           WHERE l.id IN (${unclaimed}) AND l.state = 'replaying' AND l.replay_id = ?1`,
        )
        .bind(id, nowMs, actor, reason),
      db
        .prepare(
          `UPDATE letters SET state = 'open', updated_at = ?2
           WHERE id IN (${unclaimed}) AND state = 'replaying' AND replay_id = ?1`,
        )
        .bind(id, nowMs),
      db
        .prepare(
          `UPDATE replay_letters SET outcome = 'returned', detail = 'the replay was cancelled', at = ?2
           WHERE replay_id = ?1 AND outcome = 'waiting' AND claimed = 0
             AND EXISTS (SELECT 1 FROM replays r WHERE r.id = ?1 AND r.status = 'cancelling')`,
        )
        .bind(id, nowMs),
      db
        .prepare(
          `UPDATE replay_lanes SET head = NULL WHERE replay_id = ?1 AND head IS NOT NULL
             AND EXISTS (SELECT 1 FROM replays r WHERE r.id = ?1 AND r.status = 'cancelling')`,
        )
        .bind(id),
    ]),
  );
}

/** The operator's word in the replay's history, if the replay has one of the statuses that the command is for. */
function commanded(
  db: LedgerDatabase,
  { id, actor, reason, nowMs }: Command,
  action: string,
  statuses: string,
): [D1PreparedStatement] {
  return [
    db
      .prepare(
        `INSERT INTO replay_history (replay_id, number, at, actor, action, reason)
         SELECT id, COALESCE((SELECT MAX(h.number) FROM replay_history h WHERE h.replay_id = ?1), 0) + 1, ?2, ?3, ?4, ?5
         FROM replays WHERE id = ?1 AND status IN (${statuses})`,
      )
      .bind(id, nowMs, actor, action, reason),
  ];
}

function changesAny(results: readonly D1Result[]): boolean {
  return (results[0]?.meta.changes ?? 0) > 0;
}

const idRow = z.object({ id: z.string() });

const replayRow = z.object({
  id: z.string(),
  plan_id: z.string(),
  status: z.enum(REPLAY_STATUSES),
  actor: z.string(),
  reason: z.string(),
  rate_per_second: z.number(),
  per_lane_per_second: z.number(),
  total: z.number(),
  started_at: z.number(),
  updated_at: z.number(),
  ended_at: z.number().nullable(),
  counts: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(z.partialRecord(z.enum(OUTCOMES), z.number())),
  recent: z.number(),
});

const NONE: OutcomeCounts = {
  waiting: 0,
  sent: 0,
  landed: 0,
  "already-landed": 0,
  "failed-again": 0,
  refused: 0,
  returned: 0,
};

function toReplay(found: unknown): Replay {
  const row = replayRow.parse(found);
  return {
    id: row.id,
    plan: row.plan_id,
    status: row.status,
    actor: row.actor,
    reason: row.reason,
    ratePerSecond: row.rate_per_second,
    perLanePerSecond: row.per_lane_per_second,
    total: row.total,
    counts: { ...NONE, ...row.counts },
    recentLetters: row.recent,
    startedAtMs: row.started_at,
    updatedAtMs: row.updated_at,
    endedAtMs: row.ended_at,
  };
}
