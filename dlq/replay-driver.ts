// In:  a replay and the number of the driver that works it.
// Out: claimed pages at the replay's rates, sent through lanes, inboxes and queues; what became of each letter, committed.
// On failure: throws what D1 throws, and repeats nothing when it is called again; a lane that does not answer is asked again later.
import type { Config } from "../domain/config.ts";
import { CALL_BOUNDS, type CallBounds } from "./call-bounds.ts";
import { newId } from "./plan.ts";
import {
  DRIVER_GRACE_MS,
  endReplay,
  promise,
  readDriver,
  restPaused,
  type Driver,
  type DriverView,
} from "./replay-driver-store.ts";
import {
  laneBackoffMs,
  nextWatchDelayMs,
  quotaOf,
  selectPage,
  spacingAfter,
  MAX_PAGE,
} from "./replay-pace.ts";
import {
  claimedLetters,
  claimPage,
  commitDecisions,
  laneFailures,
  nextLaneAtMs,
  sentLetters,
  waitingLetters,
  type LaneReachability,
  type ReplayLetter,
} from "./replay-page-store.ts";
import { carryOut, type ReplayTargets } from "./replay-send.ts";
import { lookUp } from "./replay-watch.ts";

export interface DriverTools {
  readonly bounds: CallBounds;
  readonly config: Config;
  readonly now: () => number;
  readonly wait: (delayMs: number) => Promise<void>;
}

/** `ended`: nothing is left to do for this driver. Otherwise it goes on after the delay. `calls`: made by this turn. */
export interface Turn {
  readonly ended: boolean;
  readonly delayMs: number;
  readonly calls: number;
}

const TURN_MS = 5000;
/** A turn ends after so many calls, and the page that it is at: an invocation has 1,000. */
export const CALLS_PER_TURN = CALL_BOUNDS.calls;
/** A shorter delay is waited for inside the turn. */
const SHORT_MS = 1000;
const WATCH_PAGE = 500;
/** Look-ups rest for so long between pages while letters wait to be sent. */
const WATCH_AMID_SENDING_MS = 1000;
const CLAIMED_REST_MS = 1000;
const MAX_REST_MS = 30_000;

/** Works the replay for a few seconds, or until there is nothing to do for longer than that. */
export async function driveReplay(targets: ReplayTargets, driver: Driver, tools: DriverTools): Promise<Turn> {
  const { now, wait } = tools;
  const untilMs = now() + TURN_MS;
  let calls = 0;
  for (;;) {
    const view = await readDriver(targets.LEDGER, driver);
    if (view === null) return { ended: true, delayMs: 0, calls };
    if (!view.unclaimed && !view.claimed && !view.sent) {
      await endReplay(targets.LEDGER, driver, now());
      return { ended: true, delayMs: 0, calls };
    }
    if (view.status === "paused" && !view.claimed && !view.sent && (await restPaused(targets.LEDGER, driver)))
      return { ended: true, delayMs: 0, calls };
    const letters = await nextPage(targets, driver, view, now);
    if (letters.length > 0) calls += await sendPage(targets, driver, letters, tools);
    const watches = view.sent && view.watchAtMs <= now();
    if (watches) calls += await watchPage(targets, driver, view, tools);
    if (letters.length === 0 && !watches) {
      const delayMs = Math.max(1, (await dueAtMs(targets, driver, view, now())) - now());
      if (delayMs > SHORT_MS || now() + delayMs > untilMs) {
        await promise(targets.LEDGER, driver, now() + delayMs + DRIVER_GRACE_MS);
        return { ended: false, delayMs, calls };
      }
      await wait(delayMs);
    }
    calls += 4;
    if (now() >= untilMs || calls >= CALLS_PER_TURN) return { ended: false, delayMs: 0, calls };
  }
}

/** Letters to send now: claimed, in the ledger, before anything is sent. Those that a crash left claimed come first. */
async function nextPage(
  { LEDGER }: ReplayTargets,
  driver: Driver,
  view: DriverView,
  now: () => number,
): Promise<readonly ReplayLetter[]> {
  if (view.claimed) {
    const left = await claimedLetters(LEDGER, driver, MAX_PAGE, now());
    if (left.length > 0) return left;
  }
  const nowMs = now();
  if (view.status !== "running" || !view.unclaimed || view.nextPageAtMs > nowMs) return [];
  const rates = { perSecond: view.ratePerSecond, perLanePerSecond: view.perLanePerSecond };
  const quota = quotaOf(rates);
  const page = selectPage(await waitingLetters(LEDGER, driver, quota, nowMs), quota);
  if (page.length === 0) return [];
  const claim = {
    ordinals: page.map(({ ordinal }) => ordinal),
    after: view.pageToken,
    token: newId(),
    spacing: spacingAfter(page, rates, nowMs),
    nowMs,
  };
  return (await claimPage(LEDGER, driver, claim)) ? page : [];
}

async function sendPage(
  targets: ReplayTargets,
  driver: Driver,
  letters: readonly ReplayLetter[],
  { config, bounds, now }: DriverTools,
): Promise<number> {
  const { decisions, answered, unanswered, calls } = await carryOut(letters, targets, config, {
    bounds,
    now,
  });
  const lanes = await reachability(targets, driver, answered, unanswered, now());
  await commitDecisions(targets.LEDGER, driver, {
    decisions,
    from: "waiting",
    lanes,
    watch: null,
    nowMs: now(),
  });
  return calls;
}

async function reachability(
  { LEDGER }: ReplayTargets,
  driver: Driver,
  answered: readonly string[],
  unanswered: readonly string[],
  nowMs: number,
): Promise<LaneReachability> {
  if (unanswered.length === 0) return { answered, failed: [] };
  const before = await laneFailures(LEDGER, driver, unanswered);
  const failed = unanswered.map((lane) => {
    const failures = (before.get(lane) ?? 0) + 1;
    return { lane, failures, nextAtMs: nowMs + laneBackoffMs(failures) };
  });
  return { answered, failed };
}

async function watchPage(
  targets: ReplayTargets,
  driver: Driver,
  view: DriverView,
  { bounds, now }: DriverTools,
): Promise<number> {
  const letters = await sentLetters(targets.LEDGER, driver, view.watchAfter, WATCH_PAGE);
  const { decisions, leftFrom, calls } = await lookUp(letters, targets, { bounds, now });
  const isLast = leftFrom === null && letters.length < WATCH_PAGE;
  const sends = view.status === "running" && view.unclaimed;
  const settled = decisions.length > 0;
  const delayMs = isLast || settled ? nextWatchDelayMs(view.watchDelayMs, settled) : view.watchDelayMs;
  await commitDecisions(targets.LEDGER, driver, {
    decisions,
    from: "sent",
    lanes: { answered: [], failed: [] },
    watch: {
      after: isLast ? 0 : leftFrom === null ? (letters.at(-1)?.ordinal ?? 0) : leftFrom - 1,
      atMs: now() + (isLast ? delayMs : sends ? WATCH_AMID_SENDING_MS : 0),
      delayMs,
    },
    nowMs: now(),
  });
  return calls;
}

/** When something may be due next. What was claimed waits for a lane that did not answer. */
async function dueAtMs(
  { LEDGER }: ReplayTargets,
  driver: Driver,
  view: DriverView,
  nowMs: number,
): Promise<number> {
  const due = [nowMs + MAX_REST_MS];
  if (view.status === "running" && view.unclaimed)
    due.push(Math.max(view.nextPageAtMs, (await nextLaneAtMs(LEDGER, driver)) ?? 0));
  if (view.claimed) due.push(nowMs + CLAIMED_REST_MS);
  if (view.sent) due.push(view.watchAtMs);
  return Math.min(...due);
}
