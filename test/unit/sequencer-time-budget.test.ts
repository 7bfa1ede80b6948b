import { beforeEach, describe, expect, test } from "vitest";
import type { Failure } from "../../domain/failure.ts";
import type { Outcome } from "../../domain/outcome.ts";
import {
  accepted,
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

test("a send that is accepted gives the time budget back: one refusal a long time after a first failure burns nothing", () => {
  const flight = live("a");
  record(flight.token, entry(0, "a"));
  const answer = (token: number, outcome: Outcome) =>
    settleWith(token, { outcomes: [{ hash: "h-0-a", outcome }] });
  const refused: Outcome = { kind: "uncertain", failure: { code: "insufficient_funds", message: "empty" } };
  answer(flight.token, refused);
  script.nowMs += 60_000;
  answer(takeWork().token, accepted);
  script.nowMs += 7_200_000;
  answer(takeWork().token, refused);
  expect([stateOf("a"), script.lane.slots.get(0)?.burning]).toEqual(["broadcast", false]);
  script.nowMs += 3_600_000;
  answer(takeWork().token, refused);
  expect([stateOf("a"), script.lane.slots.get(0)?.burning]).toEqual(["review", true]);
});

describe("bytes whose send failed are sent again", () => {
  /** Seconds from a send that fails, an hour after the signing, until the next. */
  function nextAfterHour(failure: Failure): number {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    const outcomes = [{ hash: "h-0-a", outcome: { kind: "uncertain", failure } }] as const;
    settleWith(flight.token, { outcomes });
    script.nowMs += 3_500_000;
    settleWith(takeWork().token, { outcomes });
    return ((script.lane.slots.get(0)?.resendAtMs ?? 0) - script.nowMs) / 1000;
  }

  test("within seconds where the endpoint was away, however long that was", () => {
    expect(nextAfterHour({ code: "network_error", message: "away" })).toBeLessThan(5);
  });

  test("ever more rarely where the node refuses them, up to the pace of what was accepted", () => {
    const { rebroadcastAfterSeconds } = moment().policy;
    expect(nextAfterHour({ code: "insufficient_funds", message: "empty" })).toBeCloseTo(
      rebroadcastAfterSeconds,
      0,
    );
  });
});
