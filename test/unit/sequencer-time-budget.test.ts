import { beforeEach, describe, expect, test } from "vitest";
import {
  admitAll,
  begin,
  entry,
  live,
  record,
  script,
  sendAll,
  settleWith,
  stateOf,
  takeWork,
  uncertain,
} from "../model/lane-script.ts";

beforeEach(begin);

describe("G5: the time budget is that of transient failures", () => {
  test("one refused preflight ends no directive that has merely waited its turn for long", () => {
    // `a` keeps the lane full, say, or the signer was missing: `b` waits for two hours and has failed at nothing.
    sendAll(live("a"));
    admitAll("b");
    script.nowMs += 7_200_000;
    const refusals = [
      { id: "b", failure: { code: "insufficient_funds", message: "one block too early" } as const },
    ];
    settleWith(takeWork().token, { reading: { sequence: 1 }, refusals });
    script.nowMs += 60_000;
    takeWork();
    expect(script.lane.directive("b")?.failure?.code).toBe("insufficient_funds");
    expect(stateOf("b")).toBe("queued");
  });

  test("one send without an answer burns no directive that has merely waited its turn for long", () => {
    admitAll("a");
    script.nowMs += 7_200_000;
    const first = settleWith(takeWork().token, { reading: { sequence: 0 }, renew: true });
    if (first.kind !== "settled" || first.next.kind !== "work") throw new Error(first.kind);
    const { token } = first.next;
    record(token, entry(0, "a"));
    settleWith(token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }], reading: { sequence: 0 } });
    expect([stateOf("a"), script.lane.slots.get(0)?.burning]).toEqual(["broadcast", false]);
  });

  test("a blip and then a long pause end no directive that has merely waited its turn for long", () => {
    admitAll("a");
    script.nowMs += 3_700_000;
    settleWith(takeWork().token, { outage: { code: "network_error", message: "blip" } });
    // What `pause` and `resume` do, a day apart.
    script.nowMs += 86_400_000;
    script.lane.header.pausedMs += 86_400_000;
    expect(takeWork().directives.map(({ id }) => id)).toEqual(["a"]);
  });
});
