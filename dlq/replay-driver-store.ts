import { z } from "zod";
import { REPLAY_STATUSES } from "../domain/api-letters.ts";
import type { LedgerDatabase } from "./ledger.ts";
import type { ReplayStatus } from "./replay-progress.ts";

/**
 * Who drives a replay, as statements. A driver has a number; once another has taken over, nothing that the old one does
 * changes a row, so that two at once, a revived one beside a stuck one, are harmless.
 */

/** Who drives which replay. */
export interface Driver {
  readonly replay: string;
  readonly number: number;
}

/** A driver that is not heard of for so long after it said it would be is replaced. */
export const DRIVER_GRACE_MS = 15_000;

export interface DriverView {
  readonly status: ReplayStatus;
  readonly ratePerSecond: number;
  readonly perLanePerSecond: number;
  readonly pageToken: string;
  readonly nextPageAtMs: number;
  readonly watchAfter: number;
  readonly watchAtMs: number;
  readonly watchDelayMs: number;
  /** Letters that nobody has claimed, those that a driver is about to send or has, and those whose end is awaited. */
  readonly unclaimed: boolean;
  readonly claimed: boolean;
  readonly sent: boolean;
}

/** Null when the replay has ended, or another drives it. */
export async function readDriver(db: LedgerDatabase, driver: Driver): Promise<DriverView | null> {
  const has = (condition: string) =>
    `EXISTS (SELECT 1 FROM replay_letters l WHERE l.replay_id = r.id AND ${condition})`;
  const { results } = await db
    .prepare(
      `SELECT status, rate_per_second, per_lane_per_second, page_token, next_page_at, watch_after, watch_at, watch_delay_ms,
         ${has("l.outcome = 'waiting' AND l.claimed = 0")} AS unclaimed, ${has("l.outcome = 'waiting' AND l.claimed = 1")} AS claimed,
         ${has("l.outcome = 'sent'")} AS sent
       FROM replays r WHERE id = ?1 AND driver = ?2 AND ended_at IS NULL`,
    )
    .bind(driver.replay, driver.number)
    .all();
  return results[0] === undefined ? null : driverRow.parse(results[0]);
}

/** Ends the replay when every letter of it has its end. False when it goes on. */
export async function endReplay(db: LedgerDatabase, driver: Driver, nowMs: number): Promise<boolean> {
  const { meta } = await db
    .prepare(
      `UPDATE replays SET status = CASE status WHEN 'cancelling' THEN 'cancelled' ELSE 'done' END,
         ended_at = ?3, updated_at = ?3, driver_due_at = NULL
       WHERE id = ?1 AND driver = ?2 AND ended_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM replay_letters l WHERE l.replay_id = ?1 AND l.outcome = 'waiting')
         AND NOT EXISTS (SELECT 1 FROM replay_letters l WHERE l.replay_id = ?1 AND l.outcome = 'sent')`,
    )
    .bind(driver.replay, driver.number, nowMs)
    .run();
  return meta.changes > 0;
}

/** Nothing is to be done until an operator resumes it. False when one has, or another drives. */
export async function restPaused(db: LedgerDatabase, driver: Driver): Promise<boolean> {
  const { meta } = await db
    .prepare("UPDATE replays SET driver_due_at = NULL WHERE id = ? AND driver = ? AND status = 'paused'")
    .bind(driver.replay, driver.number)
    .run();
  return meta.changes > 0;
}

/** The driver will be heard of again by then. */
export async function promise(db: LedgerDatabase, driver: Driver, byMs: number): Promise<void> {
  await db
    .prepare("UPDATE replays SET driver_due_at = ? WHERE id = ? AND driver = ? AND ended_at IS NULL")
    .bind(byMs, driver.replay, driver.number)
    .run();
}

/** Replays whose driver was to be heard of by now. */
export async function silentReplays(
  db: LedgerDatabase,
  nowMs: number,
  limit: number,
): Promise<readonly string[]> {
  const { results } = await db
    .prepare("SELECT id FROM replays WHERE driver_due_at <= ? ORDER BY driver_due_at LIMIT ?")
    .bind(nowMs, limit)
    .all();
  return results.map((row) => z.object({ id: z.string() }).parse(row).id);
}

/** The number of the driver that takes over from one that was to be heard of by now; null when none is to. */
export async function succeed(db: LedgerDatabase, replay: string, nowMs: number): Promise<number | null> {
  return numberOf(
    await db
      .prepare(
        `UPDATE replays SET driver = driver + 1, driver_due_at = ? WHERE id = ? AND driver_due_at <= ? AND ended_at IS NULL
         RETURNING driver`,
      )
      .bind(nowMs + DRIVER_GRACE_MS, replay, nowMs)
      .all(),
  );
}

/** The number of the driver that this one hands over to; null when another has taken over. */
export async function handOver(db: LedgerDatabase, driver: Driver, nowMs: number): Promise<number | null> {
  return numberOf(
    await db
      .prepare(
        "UPDATE replays SET driver = driver + 1, driver_due_at = ? WHERE id = ? AND driver = ? AND ended_at IS NULL RETURNING driver",
      )
      .bind(nowMs + DRIVER_GRACE_MS, driver.replay, driver.number)
      .all(),
  );
}

function numberOf({ results }: D1Result): number | null {
  return results[0] === undefined ? null : z.object({ driver: z.number() }).parse(results[0]).driver;
}

const driverRow = z
  .object({
    status: z.enum(REPLAY_STATUSES),
    rate_per_second: z.number(),
    per_lane_per_second: z.number(),
    page_token: z.string(),
    next_page_at: z.number(),
    watch_after: z.number(),
    watch_at: z.number(),
    watch_delay_ms: z.number(),
    unclaimed: z.number(),
    claimed: z.number(),
    sent: z.number(),
  })
  .transform((row): DriverView => ({
    status: row.status,
    ratePerSecond: row.rate_per_second,
    perLanePerSecond: row.per_lane_per_second,
    pageToken: row.page_token,
    nextPageAtMs: row.next_page_at,
    watchAfter: row.watch_after,
    watchAtMs: row.watch_at,
    watchDelayMs: row.watch_delay_ms,
    unclaimed: row.unclaimed === 1,
    claimed: row.claimed === 1,
    sent: row.sent === 1,
  }));
