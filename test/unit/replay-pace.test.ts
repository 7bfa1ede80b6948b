import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  laneBackoffMs,
  MAX_PAGE,
  nextWatchDelayMs,
  quotaOf,
  selectPage,
  spacingAfter,
} from "../../dlq/replay-pace.ts";
import { etaSeconds, replayReport, type Replay } from "../../dlq/replay-progress.ts";

const counts = {
  waiting: 10,
  sent: 5,
  landed: 4,
  "already-landed": 3,
  "failed-again": 2,
  refused: 1,
  returned: 6,
} as const;
const replay: Replay = {
  id: "r1",
  plan: "p1",
  status: "running",
  actor: "ops",
  reason: "why",
  ratePerSecond: 50,
  perLanePerSecond: 10,
  total: 31,
  counts,
  recentLetters: 20,
  startedAtMs: 0,
  updatedAtMs: 1000,
  endedAtMs: null,
};

describe("a page", () => {
  test("holds what the rate allows within a second, one letter at the least and 500 at the most", () => {
    expect(quotaOf({ perSecond: 50, perLanePerSecond: 10 })).toEqual({ letters: 50, perLane: 10 });
    expect(quotaOf({ perSecond: 0.1, perLanePerSecond: 0.01 })).toEqual({ letters: 1, perLane: 1 });
    expect(quotaOf({ perSecond: 5000, perLanePerSecond: 5000 })).toEqual({
      letters: MAX_PAGE,
      perLane: MAX_PAGE,
    });
    expect(quotaOf({ perSecond: 5, perLanePerSecond: 50 }).perLane).toBe(5);
  });

  test("takes the oldest letters, and no more of a lane than its share", () => {
    const waiting = ["a", "a", "a", "b", "a", "b"].map((lane, ordinal) => ({ ordinal, lane }));
    const page = selectPage(waiting.toReversed(), { letters: 4, perLane: 2 });
    expect(page.map(({ ordinal }) => ordinal)).toEqual([0, 1, 3, 5]);
    expect(selectPage(waiting, { letters: 1, perLane: 2 })).toHaveLength(1);
    expect(selectPage([], { letters: 4, perLane: 2 })).toEqual([]);
  });

  test("takes the time that its letters have", () => {
    const page = ["a", "a", "b"].map((lane, ordinal) => ({ ordinal, lane }));
    expect(spacingAfter(page, { perSecond: 2, perLanePerSecond: 0.5 }, 1000)).toEqual({
      nextPageAtMs: 2500,
      lanes: [
        { lane: "a", nextAtMs: 5000 },
        { lane: "b", nextAtMs: 3000 },
      ],
    });
  });

  test("after page never exceeds the rates, whatever waits", () => {
    const rate = fc.double({ min: 0.05, max: 5000, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(fc.nat(4), { minLength: 1, maxLength: 300 }),
        rate,
        rate,
        (lanes, perSecond, perLanePerSecond) => {
          let waiting = lanes.map((lane, ordinal) => ({ ordinal, lane: String(lane) }));
          const rates = { perSecond, perLanePerSecond };
          const quota = quotaOf(rates);
          const laneDue = new Map<string, number>();
          const sent: { atMs: number; lane: string }[] = [];
          let nowMs = 0;
          while (waiting.length > 0) {
            const at = nowMs;
            const due = waiting.filter(({ lane }) => (laneDue.get(lane) ?? 0) <= at);
            const page = selectPage(due, quota);
            if (page.length === 0) {
              nowMs = Math.min(...waiting.map(({ lane }) => laneDue.get(lane) ?? 0));
              continue;
            }
            sent.push(...page.map(({ lane }) => ({ atMs: at, lane })));
            waiting = waiting.filter((letter) => !page.includes(letter));
            const { nextPageAtMs, lanes: spaced } = spacingAfter(page, rates, at);
            for (const { lane, nextAtMs } of spaced) laneDue.set(lane, nextAtMs);
            nowMs = nextPageAtMs;
          }
          // A page may come at once; behind it, no more than the rate.
          const within = (times: readonly { atMs: number }[], perSec: number, burst: number) =>
            times.length <=
            burst + (perSec * ((times.at(-1)?.atMs ?? 0) - (times[0]?.atMs ?? 0))) / 1000 + 1e-6;
          expect(within(sent, perSecond, quota.letters)).toBe(true);
          for (const ofLane of Map.groupBy(sent, ({ lane }) => lane).values())
            expect(within(ofLane, perLanePerSecond, quota.perLane)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("a wait", () => {
  test("for a lane that does not answer doubles up to a minute", () => {
    expect([1, 2, 3, 6, 1000].map(laneBackoffMs)).toEqual([2000, 4000, 8000, 60_000, 60_000]);
  });

  test("between look-ups grows from one second to thirty while nothing comes of them", () => {
    const delays = [];
    for (let delayMs = 0, index = 0; index < 7; index += 1)
      delays.push((delayMs = nextWatchDelayMs(delayMs, false)));
    expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(nextWatchDelayMs(30_000, true)).toBe(1000);
  });
});

describe("progress", () => {
  test("adds up, to the total and to what was sent", () => {
    const report = replayReport(replay, 60_000);
    expect(report).toMatchObject({
      total: 31,
      waiting: 10,
      inFlight: 5,
      landed: 7,
      alreadyLanded: 3,
      failedAgain: 2,
      refused: 1,
      returned: 6,
      sent: 11,
    });
    const { total, waiting, inFlight, landed, failedAgain, refused, returned } = report;
    expect(waiting + inFlight + landed + failedAgain + refused + returned).toBe(total);
  });

  test("tells the time that is left at the rate of the last minute", () => {
    expect(etaSeconds(replay, 10_000_000)).toBe(30);
    expect(etaSeconds({ ...replay, startedAtMs: 9_998_000 }, 10_000_000)).toBe(1);
    expect(etaSeconds({ ...replay, recentLetters: 0 }, 10_000_000)).toBeNull();
    expect(etaSeconds({ ...replay, startedAtMs: 10_000_000 }, 10_000_000)).toBeNull();
    expect(etaSeconds({ ...replay, counts: { ...counts, waiting: 0 } }, 10_000_000)).toBe(0);
    for (const status of ["paused", "cancelling", "cancelled", "done"] as const)
      expect(etaSeconds({ ...replay, status }, 10_000_000)).toBeNull();
  });
});
