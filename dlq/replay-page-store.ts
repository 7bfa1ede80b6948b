import { z } from "zod";
import { BODY_FORMATS, LETTER_KINDS, type BodyFormat, type LetterKind } from "../domain/dead-letter.ts";
import type { LedgerDatabase } from "./ledger.ts";
import type { Quota, Spacing } from "./replay-pace.ts";
import { DRIVER_GRACE_MS, type Driver } from "./replay-driver-store.ts";
import { RATE_WINDOW_MS, type Outcome } from "./replay-progress.ts";
import { historyOf } from "./replay-store.ts";

/**
 * What a driver asks of the ledger, as statements. Each change is one transaction and names the driver's number: once
 * another driver has taken over, nothing of the old one's changes a row.
 */

/** A letter of the replay, with what its lane knows it by. */
export interface ReplayLetter {
  readonly ordinal: number;
  readonly letterId: string;
  readonly lane: string;
  readonly kind: LetterKind;
  readonly directiveId: string;
  readonly digest: string;
  readonly generation: number;
  readonly sourceQueue: string;
  readonly sequence: number | null;
}

/** What became of one letter. `letter`: where the letter itself goes; null leaves it `replaying`. */
export interface Decision {
  readonly ordinal: number;
  readonly letterId: string;
  readonly outcome: Exclude<Outcome, "waiting" | "returned">;
  readonly detail: string | null;
  readonly letter:
    | null
    | { readonly state: "open" }
    | {
        readonly state: "resolved";
        readonly resolution: "landed" | "settled" | "failed-again" | "returned";
        readonly next: string | null;
      };
}

const KEY_COLUMNS =
  "r.ordinal, r.letter_id, r.lane, l.kind, l.directive_id, l.digest, l.generation, l.source_queue, l.sequence";

/** Letters that were claimed and not carried through: by this driver before a crash, or by one before it. */
export async function claimedLetters(
  db: LedgerDatabase,
  { replay }: Driver,
  limit: number,
  nowMs: number,
): Promise<readonly ReplayLetter[]> {
  const { results } = await db
    .prepare(
      `SELECT ${KEY_COLUMNS} FROM replay_letters r INDEXED BY replay_letters_claimed
         JOIN replay_lanes n ON n.replay_id = r.replay_id AND n.lane = r.lane JOIN letters l ON l.id = r.letter_id
       WHERE r.replay_id = ?1 AND r.outcome = 'waiting' AND r.claimed = 1 AND n.next_at <= ?2 ORDER BY r.ordinal LIMIT ?3`,
    )
    .bind(replay, nowMs, limit)
    .all();
  return results.map((row) => keyRow.parse(row));
}

/**
 * The oldest letters of each lane whose time has come, as many of it as the quota allows. CROSS JOIN: the lanes lead to
 * their letters, or SQLite would try every letter of the replay.
 */
export async function waitingLetters(
  db: LedgerDatabase,
  { replay }: Driver,
  { letters, perLane }: Quota,
  nowMs: number,
): Promise<readonly ReplayLetter[]> {
  const { results } = await db
    .prepare(
      `WITH page (ordinal) AS (
         SELECT r.ordinal FROM (
           SELECT n.lane FROM replay_lanes n INDEXED BY replay_lanes_by_head
           WHERE n.replay_id = ?1 AND n.head IS NOT NULL AND n.next_at <= ?2 ORDER BY n.head LIMIT ?3) d
         CROSS JOIN replay_letters r ON r.replay_id = ?1 AND r.ordinal IN (
           SELECT i.ordinal FROM replay_letters i INDEXED BY replay_letters_waiting
           WHERE i.replay_id = ?1 AND i.lane = d.lane AND i.outcome = 'waiting' AND i.claimed = 0 ORDER BY i.ordinal LIMIT ?4)
         ORDER BY r.ordinal LIMIT ?3)
       SELECT ${KEY_COLUMNS} FROM page p CROSS JOIN replay_letters r ON r.replay_id = ?1 AND r.ordinal = p.ordinal
         JOIN letters l ON l.id = r.letter_id ORDER BY r.ordinal`,
    )
    .bind(replay, nowMs, letters, perLane)
    .all();
  return results.map((row) => keyRow.parse(row));
}

/** When the first lane that has letters nobody claimed may be sent to; null when there is none. */
export async function nextLaneAtMs(db: LedgerDatabase, { replay }: Driver): Promise<number | null> {
  const { results } = await db
    .prepare("SELECT MIN(next_at) AS at FROM replay_lanes WHERE replay_id = ? AND head IS NOT NULL")
    .bind(replay)
    .all();
  return z.object({ at: z.number().nullable() }).parse(results[0]).at;
}

export interface Claim {
  readonly ordinals: readonly number[];
  /** The token of the page before: another page in between means that this one is not to be. */
  readonly after: string;
  readonly token: string;
  readonly spacing: Spacing;
  readonly nowMs: number;
}

/** Writes down that the letters are about to be sent, before any of them is. False: nothing was claimed. */
export async function claimPage(db: LedgerDatabase, driver: Driver, claim: Claim): Promise<boolean> {
  const { ordinals, after, token, spacing, nowMs } = claim;
  const mine = "EXISTS (SELECT 1 FROM replays WHERE id = ?1 AND page_token = ?2)";
  const results = await db.batch([
    db
      .prepare(
        `UPDATE replays SET page_token = ?2, next_page_at = ?3, driver_due_at = ?4, updated_at = ?5
         WHERE id = ?1 AND driver = ?6 AND page_token = ?7 AND status = 'running'`,
      )
      .bind(driver.replay, token, spacing.nextPageAtMs, nowMs + DRIVER_GRACE_MS, nowMs, driver.number, after),
    db
      .prepare(
        `UPDATE replay_letters SET claimed = 1
         WHERE replay_id = ?1 AND ordinal IN (SELECT value FROM json_each(?3)) AND outcome = 'waiting' AND ${mine}`,
      )
      .bind(driver.replay, token, JSON.stringify(ordinals)),
    db
      .prepare(
        `UPDATE replay_lanes SET next_at = d.value ->> '$.nextAtMs', head = (
           SELECT MIN(i.ordinal) FROM replay_letters i INDEXED BY replay_letters_waiting
           WHERE i.replay_id = ?1 AND i.lane = d.value ->> '$.lane' AND i.outcome = 'waiting' AND i.claimed = 0)
         FROM json_each(?3) d WHERE replay_id = d.value ->> '$.replay' AND lane = d.value ->> '$.lane' AND ${mine}`,
      )
      .bind(
        driver.replay,
        token,
        JSON.stringify(spacing.lanes.map((lane) => ({ replay: driver.replay, ...lane }))),
      ),
    db
      .prepare(
        `INSERT INTO replay_pages (replay_id, at, token, letters) SELECT ?1, ?3, ?2, ?4 WHERE ${mine} ON CONFLICT DO NOTHING`,
      )
      .bind(driver.replay, token, nowMs, ordinals.length),
    // What is older than the window tells nothing more.
    db
      .prepare("DELETE FROM replay_pages WHERE replay_id = ?1 AND at <= ?2")
      .bind(driver.replay, nowMs - RATE_WINDOW_MS),
  ]);
  return (results[0]?.meta.changes ?? 0) > 0;
}

/** Lanes that did not answer, and when each may be asked again; `answered`: those that did. */
export interface LaneReachability {
  readonly answered: readonly string[];
  readonly failed: readonly { readonly lane: string; readonly failures: number; readonly nextAtMs: number }[];
}

/** How often in a row each of the lanes did not answer. */
export async function laneFailures(
  db: LedgerDatabase,
  { replay }: Driver,
  lanes: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const { results } = await db
    .prepare(
      "SELECT lane, failures FROM replay_lanes WHERE replay_id = ? AND lane IN (SELECT value FROM json_each(?))",
    )
    .bind(replay, JSON.stringify(lanes))
    .all();
  return new Map(results.map((row) => failuresRow.parse(row)).map(({ lane, failures }) => [lane, failures]));
}

/** Where the look-ups of what was sent go on, and when. */
export interface WatchPosition {
  readonly after: number;
  readonly atMs: number;
  readonly delayMs: number;
}

export interface Commit {
  readonly decisions: readonly Decision[];
  /** The outcome that the letters have until now: one that has another stays as it is. */
  readonly from: "waiting" | "sent";
  readonly lanes: LaneReachability;
  readonly watch: WatchPosition | null;
  readonly nowMs: number;
}

/** What became of letters: of the letter, of its place in the replay, and its history, in one transaction. */
export async function commitDecisions(db: LedgerDatabase, driver: Driver, commit: Commit): Promise<void> {
  const { decisions, from, lanes, watch, nowMs } = commit;
  const mine = "EXISTS (SELECT 1 FROM replays WHERE id = ?1 AND driver = ?2)";
  const moved = JSON.stringify(
    decisions.flatMap(({ ordinal, letterId, outcome, detail, letter }) =>
      letter === null
        ? []
        : [{ ordinal, letterId, outcome, detail, resolution: null, next: null, ...letter }],
    ),
  );
  // The replay stands in each row, so that the rows lead to the letters and no letter is looked for among the rows.
  const { replay } = driver;
  const outcomes = JSON.stringify(
    decisions.map(({ ordinal, outcome, detail }) => ({ replay, ordinal, outcome, detail })),
  );
  const still = `EXISTS (SELECT 1 FROM replay_letters r WHERE r.replay_id = ?1 AND r.ordinal = d.value ->> '$.ordinal' AND r.outcome = ?5)`;
  const held = `l.state = 'replaying' AND l.replay_id = ?1`;
  const statements = [
    db
      .prepare(
        `UPDATE replays SET driver_due_at = ?3, updated_at = ?4${watch === null ? "" : ", watch_after = ?5, watch_at = ?6, watch_delay_ms = ?7"}
         WHERE id = ?1 AND driver = ?2 AND ended_at IS NULL`,
      )
      .bind(
        driver.replay,
        driver.number,
        nowMs + DRIVER_GRACE_MS,
        nowMs,
        ...(watch === null ? [] : [watch.after, watch.atMs, watch.delayMs]),
      ),
  ];
  if (moved !== "[]") {
    statements.push(
      db
        .prepare(
          `${historyOf("l.id", "?4", "'lockstep'", "d.value ->> '$.outcome'", "COALESCE(d.value ->> '$.detail', '')")}
           FROM json_each(?3) d CROSS JOIN letters l ON l.id = d.value ->> '$.letterId' WHERE ${held} AND ${still} AND ${mine}`,
        )
        .bind(driver.replay, driver.number, moved, nowMs, from),
      db
        .prepare(
          `UPDATE letters AS l SET state = d.value ->> '$.state', resolution = d.value ->> '$.resolution',
             next = COALESCE(d.value ->> '$.next', l.next), updated_at = ?4
           FROM json_each(?3) d WHERE l.id = d.value ->> '$.letterId' AND ${held} AND ${still} AND ${mine}`,
        )
        .bind(driver.replay, driver.number, moved, nowMs, from),
      db
        .prepare(
          `UPDATE letters AS l SET previous = d.value ->> '$.letterId' FROM json_each(?3) d
           WHERE l.id = d.value ->> '$.next' AND l.previous IS NULL AND ${still.replace("?5", "?4")} AND ${mine}`,
        )
        .bind(driver.replay, driver.number, moved, from),
    );
  }
  if (decisions.length > 0) {
    statements.push(
      db
        .prepare(
          `UPDATE replay_letters AS r SET outcome = d.value ->> '$.outcome', detail = d.value ->> '$.detail', at = ?4
           FROM json_each(?3) d WHERE r.replay_id = d.value ->> '$.replay' AND r.ordinal = d.value ->> '$.ordinal' AND r.outcome = ?5 AND ${mine}`,
        )
        .bind(driver.replay, driver.number, outcomes, nowMs, from),
    );
  }
  if (lanes.failed.length > 0) {
    statements.push(
      db
        .prepare(
          `UPDATE replay_lanes AS n SET failures = d.value ->> '$.failures', next_at = d.value ->> '$.nextAtMs'
           FROM json_each(?3) d WHERE n.replay_id = d.value ->> '$.replay' AND n.lane = d.value ->> '$.lane' AND ${mine}`,
        )
        .bind(
          driver.replay,
          driver.number,
          JSON.stringify(lanes.failed.map((lane) => ({ replay, ...lane }))),
        ),
    );
  }
  if (lanes.answered.length > 0) {
    statements.push(
      db
        .prepare(
          `UPDATE replay_lanes SET failures = 0 WHERE replay_id = ?1 AND failures > 0
             AND lane IN (SELECT value FROM json_each(?3)) AND ${mine}`,
        )
        .bind(driver.replay, driver.number, JSON.stringify(lanes.answered)),
    );
  }
  await db.batch(statements);
}

/** What was sent, after the given ordinal. */
export async function sentLetters(
  db: LedgerDatabase,
  { replay }: Driver,
  after: number,
  limit: number,
): Promise<readonly ReplayLetter[]> {
  const { results } = await db
    .prepare(
      `SELECT ${KEY_COLUMNS} FROM replay_letters r INDEXED BY replay_letters_sent JOIN letters l ON l.id = r.letter_id
       WHERE r.replay_id = ? AND r.outcome = 'sent' AND r.ordinal > ? ORDER BY r.ordinal LIMIT ?`,
    )
    .bind(replay, after, limit)
    .all();
  return results.map((row) => keyRow.parse(row));
}

export interface StoredBody {
  readonly format: BodyFormat;
  readonly body: string;
}

/** The bodies of a few letters, by letter id: each may be a megabyte. */
export async function letterBodies(
  db: LedgerDatabase,
  ids: readonly string[],
): Promise<ReadonlyMap<string, StoredBody>> {
  const { results } = await db
    .prepare("SELECT id, body_format, body FROM letters WHERE id IN (SELECT value FROM json_each(?))")
    .bind(JSON.stringify(ids))
    .all();
  return new Map(
    results
      .map((row) => bodyRow.parse(row))
      .map(({ id, body_format: format, body }) => [id, { format, body }]),
  );
}

const failuresRow = z.object({ lane: z.string(), failures: z.number() });
const bodyRow = z.object({ id: z.string(), body_format: z.enum(BODY_FORMATS), body: z.string() });

const keyRow = z
  .object({
    ordinal: z.number(),
    letter_id: z.string(),
    lane: z.string(),
    kind: z.enum(LETTER_KINDS),
    directive_id: z.string(),
    digest: z.string(),
    generation: z.number(),
    source_queue: z.string(),
    sequence: z.number().nullable(),
  })
  .transform((row): ReplayLetter => ({
    ordinal: row.ordinal,
    letterId: row.letter_id,
    lane: row.lane,
    kind: row.kind,
    directiveId: row.directive_id,
    digest: row.digest,
    generation: row.generation,
    sourceQueue: row.source_queue,
    sequence: row.sequence,
  }));
