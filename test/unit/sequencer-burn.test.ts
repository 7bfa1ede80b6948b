import { beforeEach, describe, expect, test } from "vitest";
import { alarmDueMs, schedule } from "../../durable-objects/sequencer-alarm.ts";
import { burn } from "../../durable-objects/sequencer-burn.ts";
import { confirm } from "../../durable-objects/sequencer-evidence.ts";
import type { Moment } from "../../durable-objects/sequencer-state.ts";
import {
  admitAll,
  begin,
  entry,
  live,
  moment,
  record,
  script,
  sendAll,
  settleWith,
  stateOf,
  takeWork,
  uncertain,
} from "../model/lane-script.ts";

beforeEach(begin);

const say = (id: string, at: Moment = moment()) => burn(script.lane, id, "no such transfer", "ann", at);

/** A directive whose send an endpoint answered with 401: nobody knows whether it is out. */
function review(id = "a"): void {
  const flight = live(id);
  record(flight.token, entry(0, id));
  settleWith(flight.token, { outcomes: [{ hash: `h-0-${id}`, outcome: uncertain("unauthorized") }] });
  expect(stateOf(id)).toBe("review");
}

/** The number was used by the transaction of this hash. */
function used(by: string, looked: readonly string[]): void {
  const receipts = [{ hash: by, block: 9, success: true }];
  confirm(script.lane, { block: 9, sequence: 1, looked, receipts, foreign: [] }, moment());
}

describe("R5: an operator says that a directive did not land", () => {
  test("nothing is decided by it: a no-op is handed out for the number, with the next work", () => {
    review();
    expect(say("a")).toEqual({ kind: "burning" });
    expect(stateOf("a")).toBe("review");
    expect(takeWork().burns.map(({ sequence }) => sequence)).toEqual([0]);
  });

  test("the alarm rings for it at once, and the lane's log says who and why", () => {
    review();
    script.lane.letterPaid("a");
    script.lane.header.ringAtMs = null;
    schedule(script.lane, moment(), false);
    expect(alarmDueMs(script.lane)).toBeGreaterThan(script.nowMs);
    say("a");
    schedule(script.lane, moment(), true);
    expect(alarmDueMs(script.lane)).toBe(script.nowMs);
    expect(script.lane.events.at(-1)).toEqual({
      atMs: script.nowMs,
      kind: "burn",
      detail: "ann: no such transfer: sequence 0 of directive a",
    });
  });

  test("when the no-op used the number up, the directive is dead; when its own did, it is confirmed", () => {
    review();
    say("a");
    const flight = takeWork();
    expect(record(flight.token, entry(0, null, "noop"))).toEqual({ kind: "recorded" });
    settleWith(flight.token, { outcomes: [{ hash: "noop", outcome: { kind: "accepted" } }] });
    used("noop", ["h-0-a", "noop"]);
    expect(stateOf("a")).toBe("dead");

    begin();
    review();
    say("a");
    const late = takeWork();
    record(late.token, entry(0, null, "noop"));
    settleWith(late.token, { outcomes: [{ hash: "noop", outcome: { kind: "accepted" } }] });
    used("h-0-a", ["h-0-a", "noop"]);
    expect(stateOf("a")).toBe("confirmed");
  });

  test("said again, it changes nothing", () => {
    review();
    say("a");
    const before = JSON.stringify([...script.lane.slots.values(), script.lane.events]);
    script.nowMs += 5000;
    expect(say("a")).toEqual({ kind: "burning" });
    expect(JSON.stringify([...script.lane.slots.values(), script.lane.events])).toBe(before);
  });

  test("of one that is not in review, it changes nothing and says how that stands", () => {
    const flight = live("a", "b");
    expect(say("a")).toEqual({ kind: "settled", status: "queued" });
    record(flight.token, entry(0, "a"));
    expect(say("a")).toEqual({ kind: "settled", status: "recorded" });
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    expect(say("a")).toEqual({ kind: "settled", status: "broadcast" });
    used("h-0-a", ["h-0-a"]);
    expect(say("a")).toEqual({ kind: "settled", status: "confirmed" });
    expect(say("nobody")).toEqual({ kind: "unknown" });
    expect(takeWork().burns).toEqual([]);
  });

  test("on a strict chain it is impossible, since a number cannot be outbid there", () => {
    review();
    const strict = { ...moment(), policy: { ...moment().policy, gapTolerant: false } };
    expect(say("a", strict).kind).toBe("impossible");
    expect([...script.lane.slots.values()].some(({ burning }) => burning)).toBe(false);
  });

  test("while a consumer works the number, the burn waits for its lease to end and is not lost", () => {
    review();
    script.nowMs += 60_000;
    const flight = takeWork();
    expect(flight.rebroadcast.map(({ sequence }) => sequence)).toEqual([0]);
    expect(say("a")).toEqual({ kind: "burning" });
    const outcomes = [{ hash: "h-0-a", outcome: uncertain() }];
    settleWith(flight.token, { outcomes });
    script.nowMs += 60_000;
    expect(takeWork().burns.map(({ sequence }) => sequence)).toEqual([0]);
  });

  test("a directive behind it keeps its place", () => {
    review();
    admitAll("b");
    say("a");
    const flight = takeWork();
    expect(flight.range).toEqual([1]);
    record(flight.token, entry(0, null, "noop"), entry(1, "b"));
    expect(stateOf("b")).toBe("recorded");
  });
});

test("nothing of a lane that never had a review is burnt", () => {
  sendAll(live("a", "b"));
  for (const id of ["a", "b"]) say(id);
  expect([...script.lane.slots.values()].some(({ burning }) => burning)).toBe(false);
});
