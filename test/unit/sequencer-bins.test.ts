import { beforeEach, describe, expect, test } from "vitest";
import type { Failure } from "../../domain/failure.ts";
import type { Outcome } from "../../domain/outcome.ts";
import { confirm } from "../../durable-objects/sequencer-evidence.ts";
import {
  accepted,
  admitAll,
  begin,
  entry,
  live,
  moment,
  record,
  refused,
  script,
  sendAll,
  settleWith,
  stateOf,
  takeWork,
  uncertain,
} from "../model/lane-script.ts";

beforeEach(begin);

describe("what is out does not get stuck", () => {
  test("a no-op that fills a hole is outbid by another when it stays away", () => {
    const flight = live("a", "b");
    record(flight.token, entry(0, null, "noop"), entry(1, "b"));
    settleWith(flight.token, {
      outcomes: ["noop", "h-1-b"].map((hash) => ({ hash, outcome: { kind: "accepted" } })),
    });
    script.nowMs += 86_400_000;
    expect(takeWork().burns).toEqual([{ sequence: 0, replaces: ["0x"] }]);
  });

  test("exposed bytes that nobody ever accepts are burnt when the time budget is spent, with a letter", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    script.nowMs += 3_600_000;
    settleWith(takeWork().token, { outcomes: [{ hash: "h-0-a", outcome: refused("fee_too_low") }] });
    expect(stateOf("a")).toBe("review");
    expect(script.lane.directive("a")?.failure?.code).toBe("gave_up");
    expect(takeWork().burns).toHaveLength(1);
  });

  test("bytes that no node takes are sent again soon, then ever later, at last as rarely as what was accepted", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain("insufficient_funds") }] });
    const waits: number[] = [];
    for (let round = 0; round < 30; round += 1) {
      const waitMs = (script.lane.slots.get(0)?.resendAtMs ?? 0) - script.nowMs;
      waits.push(Math.floor(waitMs / 1000));
      script.nowMs += waitMs;
      const { token, rebroadcast } = takeWork();
      const outcomes = rebroadcast.map(({ hash }) => ({ hash, outcome: uncertain("insufficient_funds") }));
      settleWith(token, { outcomes });
    }
    expect(waits).toEqual(waits.toSorted((left, right) => left - right));
    expect(waits[0]).toBeLessThanOrEqual(4);
    expect(waits.at(-1)).toBe(moment().policy.rebroadcastAfterSeconds);
  });

  test("a replaced slot keeps the bytes of two transactions, however often it is replaced", () => {
    sendAll(live("a"));
    for (let bump = 1; bump <= 4; bump += 1) {
      script.nowMs += 86_400_000;
      const again = takeWork();
      expect(
        record(again.token, { ...entry(0, "a", `bump-${bump}`), raw: "0x".padEnd(1000, "0") }).kind,
      ).toBe("recorded");
      settleWith(again.token, { outcomes: [{ hash: `bump-${bump}`, outcome: { kind: "accepted" } }] });
    }
    const transactions = script.lane.slots.get(0)?.transactions ?? [];
    expect(transactions).toHaveLength(5);
    expect(transactions.filter(({ raw }) => raw !== "").length).toBeLessThanOrEqual(2);
  });
});

describe("G5 right bin", () => {
  test("an endpoint's 401 kills nothing that was only waiting behind it to be sent", () => {
    const flight = live("a", "b");
    record(flight.token, entry(0, "a"), entry(1, "b"));
    const failure: Failure = { code: "unauthorized", message: "test" };
    settleWith(flight.token, {
      outcomes: [
        { hash: "h-0-a", outcome: { kind: "uncertain", failure } },
        { hash: "h-1-b", outcome: { kind: "unavailable", failure } },
      ],
    });
    expect([stateOf("a"), stateOf("b")]).toEqual(["review", "queued"]);
  });

  test("a node's word against what it was sent alone puts it under review and burns it, and blames no other", () => {
    const flight = live("a", "b", "c");
    record(flight.token, entry(0, "a"), entry(1, "b"), entry(2, "c"));
    const failure: Failure = { code: "gas_limit_exceeded", message: "test" };
    settleWith(flight.token, {
      outcomes: [
        { hash: "h-0-a", outcome: uncertain() },
        { hash: "h-1-b", outcome: { kind: "uncertain", failure } },
        { hash: "h-2-c", outcome: accepted },
      ],
    });
    expect(["a", "b", "c"].map(stateOf)).toEqual(["broadcast", "review", "broadcast"]);
    expect(takeWork().burns.map(({ sequence }) => sequence)).toEqual([1]);
  });

  test("R8: a revert at the send is believed of the oldest directive alone; what it may wait for comes first", () => {
    const flight = live("approve", "spend");
    record(flight.token, entry(0, "approve"), entry(1, "spend"));
    const reverted: Outcome = {
      kind: "uncertain",
      failure: { code: "execution_reverted", message: "test" },
    };
    settleWith(flight.token, {
      outcomes: [
        { hash: "h-0-approve", outcome: accepted },
        { hash: "h-1-spend", outcome: reverted },
      ],
    });
    expect([stateOf("approve"), stateOf("spend")]).toEqual(["broadcast", "broadcast"]);
    const receipts = [{ hash: "h-0-approve", block: 9, success: true }];
    confirm(script.lane, { block: 9, sequence: 1, looked: ["h-0-approve"], receipts, foreign: [] }, moment());
    script.nowMs += 60_000;
    const again = takeWork();
    expect(again.rebroadcast.map(({ hash }) => hash)).toEqual(["h-1-spend"]);
    settleWith(again.token, { outcomes: [{ hash: "h-1-spend", outcome: reverted }] });
    expect(stateOf("spend")).toBe("review");
    expect(takeWork().burns.map(({ sequence }) => sequence)).toEqual([1]);
  });

  test("a short outage ends no directive that has merely waited its turn for long", () => {
    admitAll("a");
    script.nowMs += 7_200_000;
    settleWith(takeWork().token, { outage: { code: "network_error", message: "blip" } });
    script.nowMs += 60_000;
    expect(takeWork().directives.map(({ id }) => id)).toEqual(["a"]);
  });

  test("a whole request that is refused for good is tried one directive at a time before one is blamed", () => {
    const flight = live("a", "b");
    settleWith(flight.token, { outage: { code: "bad_request", message: "test" } });
    expect([stateOf("a"), stateOf("b")]).toEqual(["queued", "queued"]);
    script.nowMs += 60_000;
    const alone = takeWork();
    expect(alone.directives.map(({ id }) => id)).toEqual(["a"]);
    settleWith(alone.token, { outage: { code: "bad_request", message: "test" } });
    expect([stateOf("a"), stateOf("b")]).toEqual(["dead", "queued"]);
  });

  test("a degraded lane gives no number, and believes no simulation of a node that is behind", () => {
    sendAll(live("a"));
    const receipts = [{ hash: "h-0-a", block: 9, success: true }];
    confirm(script.lane, { block: 9, sequence: 1, looked: ["h-0-a"], receipts, foreign: [] }, moment());
    admitAll("b");
    const refusals = [{ id: "b", failure: { code: "execution_reverted", message: "test" } as const }];
    settleWith(takeWork().token, { reading: { sequence: 0 }, refusals });
    expect(stateOf("b")).toBe("queued");
    script.nowMs += 60_000;
    const probe = takeWork();
    expect([probe.range, probe.directives.length]).toEqual([[], 1]);
  });
});
