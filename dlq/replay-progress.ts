import type { ReplayReport, REPLAY_STATUSES } from "../domain/api-letters.ts";

/** What became of a letter in its replay. All but `waiting` and `sent` are ends. */
export const OUTCOMES = [
  "waiting",
  "sent",
  "landed",
  "already-landed",
  "failed-again",
  "refused",
  "returned",
] as const;
export type Outcome = (typeof OUTCOMES)[number];

export type OutcomeCounts = Readonly<Record<Outcome, number>>;
export type ReplayStatus = (typeof REPLAY_STATUSES)[number];

/** A replay as the ledger has it. Times in epoch milliseconds. */
export interface Replay {
  readonly id: string;
  readonly plan: string;
  readonly status: ReplayStatus;
  readonly actor: string;
  readonly reason: string;
  readonly ratePerSecond: number;
  readonly perLanePerSecond: number;
  readonly total: number;
  readonly counts: OutcomeCounts;
  /** Letters claimed within the last minute. */
  readonly recentLetters: number;
  readonly startedAtMs: number;
  readonly updatedAtMs: number;
  readonly endedAtMs: number | null;
}

export const RATE_WINDOW_MS = 60_000;

export function replayReport(replay: Replay, nowMs: number): ReplayReport {
  const { counts, startedAtMs, updatedAtMs, endedAtMs } = replay;
  const alreadyLanded = counts["already-landed"];
  const failedAgain = counts["failed-again"];
  return {
    id: replay.id,
    plan: replay.plan,
    status: replay.status,
    actor: replay.actor,
    reason: replay.reason,
    ratePerSecond: replay.ratePerSecond,
    perLanePerSecond: replay.perLanePerSecond,
    total: replay.total,
    waiting: counts.waiting,
    sent: counts.sent + counts.landed + failedAgain,
    inFlight: counts.sent,
    landed: counts.landed + alreadyLanded,
    alreadyLanded,
    failedAgain,
    refused: counts.refused,
    returned: counts.returned,
    etaSeconds: etaSeconds(replay, nowMs),
    startedAt: new Date(startedAtMs).toISOString(),
    updatedAt: new Date(updatedAtMs).toISOString(),
    endedAt: endedAtMs === null ? null : new Date(endedAtMs).toISOString(),
  };
}

/** Of those that wait, at the rate of the last minute, or of its whole time if that is shorter. */
export function etaSeconds(
  replay: Pick<Replay, "status" | "counts" | "recentLetters" | "startedAtMs">,
  nowMs: number,
): number | null {
  const { status, counts, recentLetters, startedAtMs } = replay;
  if (status !== "running") return null;
  if (counts.waiting === 0) return 0;
  const windowMs = Math.min(RATE_WINDOW_MS, nowMs - startedAtMs);
  if (recentLetters === 0 || windowMs <= 0) return null;
  return Math.ceil((counts.waiting * windowMs) / recentLetters / 1000);
}
