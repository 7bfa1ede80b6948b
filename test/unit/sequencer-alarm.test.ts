import { beforeEach, describe, expect, test } from "vitest";
import { alarmDueMs, ring, schedule } from "../../durable-objects/sequencer-alarm.ts";
import { confirm, lookUpFailed } from "../../durable-objects/sequencer-evidence.ts";
import { take } from "../../durable-objects/sequencer-lease.ts";
import { admitAll, begin, live, moment, script, sendAll } from "../model/lane-script.ts";

beforeEach(begin);

const DAY_MS = 86_400_000;

/** The alarm rings and `answer` comes of each doorbell, for so long. The times of the doorbells. */
function doorbells(
  forMs: number,
  answer: () => void = () => undefined,
  lookUp: () => void = () => undefined,
) {
  const end = script.nowMs + forMs;
  const times: number[] = [];
  schedule(script.lane, moment(), false);
  for (let due = alarmDueMs(script.lane); due !== null && due < end; due = alarmDueMs(script.lane)) {
    script.nowMs = Math.max(script.nowMs, due);
    const { doorbell, confirmation } = ring(script.lane, moment());
    if (confirmation) lookUp();
    if (doorbell) {
      times.push(script.nowMs);
      answer();
    }
    schedule(script.lane, moment(), false);
  }
  script.nowMs = end;
  return times;
}

const gaps = (times: readonly number[]) => times.slice(1).map((at, index) => at - (times[index] ?? at));

describe("a lane that nobody comes for", () => {
  test("rings ever more rarely, and never stops", () => {
    // Its signer is no longer configured: the consumer acknowledges each doorbell and does nothing.
    admitAll("a");
    const times = doorbells(DAY_MS);
    expect(times.length).toBeLessThan(3000);
    expect(Math.max(...gaps(times))).toBeLessThanOrEqual(60_000);
  });

  test("rings each few seconds at first: a minute of lost doorbells is made good at once", () => {
    admitAll("a");
    expect(Math.max(...gaps(doorbells(60_000)))).toBeLessThan(10_000);
    expect(doorbells(10_000)).not.toEqual([]);
  });

  test("rings quickly again once somebody came", () => {
    admitAll("a");
    doorbells(DAY_MS);
    take(script.lane, "test", moment());
    // The lease ends without a word: what comes next is a doorbell that was lost, not a lane that nobody comes for.
    const [first, second] = doorbells(60_000);
    expect((second ?? Number.POSITIVE_INFINITY) - (first ?? 0)).toBeLessThan(10_000);
  });
});

describe("a lane whose look-ups fail", () => {
  const away = () => lookUpFailed(script.lane, { code: "network_error", message: "away" }, moment());

  function broken(): void {
    sendAll(live("a"));
    admitAll("b");
    for (let failures = 0; failures < 3; failures += 1) away();
  }

  test("rings at the pace of its probes at the most, since it takes no work before", () => {
    broken();
    const answers = new Set<string>();
    const times = doorbells(
      3_600_000,
      () => void answers.add(take(script.lane, "test", moment()).kind),
      away,
    );
    expect(times.length).toBeLessThanOrEqual(3600 / moment().policy.probeSeconds);
    expect([...answers].filter((kind) => kind !== "degraded")).toEqual([]);
  });

  test("rings at once when one succeeds", () => {
    broken();
    doorbells(3_600_000, undefined, away);
    confirm(script.lane, { block: 9, sequence: 0, looked: ["h-0-a"], receipts: [], foreign: [] }, moment());
    schedule(script.lane, moment(), true);
    expect(alarmDueMs(script.lane)).toBe(script.nowMs);
  });
});
