import { beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_CHAIN_POLICY } from "../../domain/config.ts";
import type { Failure } from "../../domain/failure.ts";
import { admit } from "../../durable-objects/sequencer-admission.ts";
import { alarmDueMs, ring, schedule } from "../../durable-objects/sequencer-alarm.ts";
import { confirm } from "../../durable-objects/sequencer-evidence.ts";
import { take } from "../../durable-objects/sequencer-lease.ts";
import { holesOf } from "../../durable-objects/sequencer-state.ts";
import {
  ACCOUNT,
  LEASE_MS,
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
  work,
} from "../model/lane-script.ts";

beforeEach(begin);

const severalFlights = () => ({ ...moment(), policy: { ...moment().policy, maxFlights: 2 } });

describe("R6 the alarm drives", () => {
  const alarm = () => {
    schedule(script.lane, moment(), false);
    const dueMs = alarmDueMs(script.lane);
    if (dueMs === null) throw new Error("no alarm");
    script.nowMs = Math.max(script.nowMs, dueMs);
    return ring(script.lane, moment());
  };

  test("a lost doorbell is rung again", () => {
    admitAll("a");
    expect(alarm().doorbell).toBe(true);
    expect(alarm().doorbell).toBe(true);
  });

  test("a consumer that vanished is followed by a doorbell when its lease is over", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    const before = script.nowMs;
    expect(alarm().doorbell).toBe(true);
    expect(script.nowMs - before).toBe(LEASE_MS);
    expect(takeWork().rebroadcast).toHaveLength(1);
  });

  test("an accepted transaction that stays away is looked up again and again, and sent again", () => {
    sendAll(live("a"));
    expect(alarm().confirmation).toBe(true);
    script.nowMs += 120_000;
    expect(alarm()).toMatchObject({ doorbell: true, confirmation: true });
    expect(takeWork().rebroadcast).toHaveLength(1);
  });

  test("a hole below an open slot is work, even with an empty backlog", () => {
    const flight = live("a", "b");
    record(flight.token, entry(0, "a"), entry(1, "b"));
    settleWith(flight.token, {
      outcomes: [
        { hash: "h-0-a", outcome: refused("intrinsic_gas_too_low") },
        { hash: "h-1-b", outcome: accepted },
      ],
    });
    script.lane.letterPaid("a");
    expect(holesOf(script.lane)).toEqual([0]);
    expect(alarm().doorbell).toBe(true);
    expect(takeWork()).toMatchObject({ range: [0], holes: 1, directives: [] });
  });

  test("a lane with nothing open and nothing due has no alarm but that of its retention", () => {
    sendAll(live("a"));
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 1,
        looked: ["h-0-a"],
        receipts: [{ hash: "h-0-a", block: 9, success: true }],
        foreign: [],
      },
      moment(),
    );
    schedule(script.lane, moment(), false);
    expect(alarmDueMs(script.lane)).toBe(script.nowMs + DEFAULT_CHAIN_POLICY.retentionSeconds * 1000);
  });
});

describe("R5 fee bump", () => {
  test("a transaction that stays away is replaced at its own sequence, and whichever lands is the one", () => {
    sendAll(live("a"));
    script.nowMs += 86_400_000;
    const again = takeWork();
    expect(again.bumps).toEqual([
      {
        sequence: 0,
        replaces: ["0x"],
        stored: { sequence: 0, hash: "h-0-a", raw: "0x" },
        directive: { id: "a", payload: "{}" },
      },
    ]);
    expect(record(again.token, entry(0, "a", "bumped"))).toEqual({ kind: "recorded" });
    settleWith(again.token, { outcomes: [{ hash: "bumped", outcome: refused("nonce_occupied") }] });
    expect(stateOf("a")).toBe("broadcast");
    const receipts = [{ hash: "h-0-a", block: 9, success: true }];
    confirm(
      script.lane,
      { block: 9, sequence: 1, looked: ["h-0-a", "bumped"], receipts, foreign: [] },
      moment(),
    );
    expect(script.lane.directive("a")?.log.map(({ hash, status }) => [hash, status])).toEqual([
      ["h-0-a", "included"],
      ["bumped", "superseded"],
    ]);
  });

  test("a bump that the node refuses for good starts no burn: the bytes that are out may still land", () => {
    sendAll(live("a"));
    script.nowMs += 86_400_000;
    const again = takeWork();
    record(again.token, entry(0, "a", "bumped"));
    settleWith(again.token, { outcomes: [{ hash: "bumped", outcome: refused("gas_limit_exceeded") }] });
    expect(stateOf("a")).toBe("broadcast");
    expect(script.lane.slots.get(0)?.burning).toBe(false);
  });

  test("another directive cannot be recorded at a sequence that is to be bumped", () => {
    sendAll(live("a"));
    script.nowMs += 86_400_000;
    admitAll("b");
    const again = takeWork();
    expect(record(again.token, entry(0, "b")).kind).toBe("refused");
  });
});

describe("R7 letters", () => {
  test("a dead directive owes a letter until the ledger has it", () => {
    const flight = live("a");
    settleWith(flight.token, { refusals: [{ id: "a", failure: { code: "out_of_gas", message: "test" } }] });
    expect(stateOf("a")).toBe("dead");
    for (let again = 0; again < 3; again += 1) {
      schedule(script.lane, moment(), false);
      script.nowMs = alarmDueMs(script.lane) ?? script.nowMs;
      expect(ring(script.lane, moment()).letters).toEqual([{ id: "a", digest: "a", generation: 0 }]);
    }
    script.lane.letterPaid("a");
    schedule(script.lane, moment(), false);
    expect(alarmDueMs(script.lane)).toBeNull();
  });

  test("is sent ever more rarely while the ledger does not take it, and never given up", () => {
    const flight = live("a");
    settleWith(flight.token, { refusals: [{ id: "a", failure: { code: "out_of_gas", message: "test" } }] });
    const endMs = script.nowMs + 24 * 3_600_000;
    let sent = 0;
    while (script.nowMs < endMs) {
      sent += ring(script.lane, moment()).letters.length;
      script.nowMs = alarmDueMs(script.lane) ?? endMs;
    }
    expect(sent).toBeGreaterThan(100);
    expect(sent).toBeLessThan(200);
  });

  test("a transaction that was mined and reverted owes a letter too", () => {
    sendAll(live("a"));
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 1,
        looked: ["h-0-a"],
        receipts: [{ hash: "h-0-a", block: 9, success: false }],
        foreign: [],
      },
      moment(),
    );
    expect(stateOf("a")).toBe("reverted");
    expect([...script.lane.owed.keys()]).toEqual(["a"]);
  });

  test("an endpoint that answers 401 to a send puts the oldest under review, and leaves the rest uncertain", () => {
    const flight = live("a", "b");
    record(flight.token, entry(0, "a"), entry(1, "b"));
    settleWith(flight.token, {
      outcomes: [
        { hash: "h-0-a", outcome: uncertain("unauthorized") },
        { hash: "h-1-b", outcome: uncertain("unauthorized") },
      ],
    });
    expect([stateOf("a"), stateOf("b")]).toEqual(["review", "broadcast"]);
    expect([...script.lane.owed.keys()]).toEqual(["a"]);
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 1,
        looked: ["h-0-a", "h-1-b"],
        receipts: [{ hash: "h-0-a", block: 9, success: true }],
        foreign: [],
      },
      moment(),
    );
    expect(stateOf("a")).toBe("confirmed");
  });
});

describe("R8 preflight", () => {
  const REVERT: Failure = { code: "execution_reverted", message: "test" };

  test("a simulated revert kills the oldest directive only: the others wait until they are the oldest", () => {
    const flight = live("a", "b");
    settleWith(flight.token, {
      refusals: [
        { id: "a", failure: REVERT },
        { id: "b", failure: REVERT },
      ],
    });
    expect([stateOf("a"), stateOf("b")]).toEqual(["dead", "queued"]);
    const second = takeWork();
    settleWith(second.token, { refusals: [{ id: "b", failure: REVERT }] });
    expect(stateOf("b")).toBe("dead");
  });

  test("insufficient funds are waited for", () => {
    const flight = live("a");
    settleWith(flight.token, {
      refusals: [{ id: "a", failure: { code: "insufficient_funds", message: "test" } }],
    });
    expect(stateOf("a")).toBe("queued");
    expect(take(script.lane, "test", moment()).kind).toBe("waiting");
  });

  test("a refusal of a directive that owns a slot counts for nothing", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, {
      outcomes: [{ hash: "h-0-a", outcome: accepted }],
      refusals: [{ id: "a", failure: REVERT }],
    });
    expect(stateOf("a")).toBe("broadcast");
  });
});

describe("R11 ranges", () => {
  test("what a lease did not record is released, and next goes back over the tail", () => {
    const flight = live("a", "b");
    expect(flight.range).toEqual([0, 1]);
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: accepted }] });
    expect(script.lane.header.next).toBe(1);
  });

  test("a record that would leave a hole below a taken number is refused whole, and names the hole", () => {
    const flight = live("a", "b");
    expect(record(flight.token, entry(1, "b"))).toEqual({ kind: "holes", sequences: [0] });
    expect(script.lane.slots.size).toBe(0);
  });

  test("two flights have disjoint ranges, and the lower one fills what lies below the higher one's record", () => {
    const first = live("a", "b");
    admitAll("c");
    const second = work(take(script.lane, "two", severalFlights()));
    expect([first.range, second.range]).toEqual([[0, 1], [2]]);
    expect(second.directives.map(({ id }) => id)).toEqual(["c"]);
    expect(record(second.token, entry(2, "c"))).toEqual({ kind: "recorded" });
    expect(record(first.token, entry(0, "b"))).toEqual({ kind: "holes", sequences: [1] });
    expect(record(first.token, entry(0, "b"), entry(1, null))).toEqual({ kind: "recorded" });
  });

  test("backpressure withholds new numbers, but not holes", () => {
    const ids = Array.from({ length: 10 }, (_, index) => `d${index}`);
    const flight = live(...ids);
    const entries = ids.map((id, index) => entry(index, id));
    record(flight.token, ...entries);
    settleWith(flight.token, {
      outcomes: entries.map(({ hash }, index) => ({
        hash,
        outcome: index === 3 ? refused("intrinsic_gas_too_low") : accepted,
      })),
    });
    admitAll("x", "y", "z");
    expect(takeWork()).toMatchObject({ range: [3, 10], holes: 1 });
  });

  test("a full lane grants nothing until a slot is final", () => {
    const ids = Array.from({ length: 10 }, (_, index) => `d${index}`);
    sendAll(live(...ids));
    admitAll("x");
    expect(take(script.lane, "test", moment()).kind).toBe("full");
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 1,
        looked: ["h-0-d0"],
        receipts: [{ hash: "h-0-d0", block: 9, success: true }],
        foreign: [],
      },
      moment(),
    );
    expect(takeWork().range).toEqual([10]);
  });

  test("a chain that is ahead is adopted, and reopened if it falls back before it is final", () => {
    const flight = live("a");
    const answer = settleWith(flight.token, { reading: { sequence: 3 }, renew: true });
    expect(answer.kind === "settled" && work(answer.next).range).toEqual([3]);
    const second = answer.kind === "settled" ? work(answer.next) : flight;
    const back = settleWith(second.token, { reading: { sequence: 2 }, renew: true });
    expect(back.kind === "settled" && work(back.next).range).toEqual([2]);
  });

  test("a chain below what was final degrades the lane instead of resetting it", () => {
    sendAll(live("a"));
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 1,
        looked: ["h-0-a"],
        receipts: [{ hash: "h-0-a", block: 9, success: true }],
        foreign: [],
      },
      moment(),
    );
    admitAll("b");
    const answer = settleWith(takeWork().token, { reading: { sequence: 0 }, renew: true });
    expect(answer.kind === "settled" && answer.next.kind).toBe("degraded");
  });
});

describe("time and pauses", () => {
  test("expiresAt stops work that has not started", () => {
    admit(
      script.lane,
      ACCOUNT,
      [{ id: "a", digest: "a", payload: "{}", expiresAtMs: script.nowMs - 1 }],
      moment(),
    );
    expect(take(script.lane, "test", moment()).kind).toBe("empty");
    expect(script.lane.directive("a")?.failure?.code).toBe("expired");
  });

  test("giveUpAfter counts unpaused time only", () => {
    const flight = live("a");
    settleWith(flight.token, {
      refusals: [{ id: "a", failure: { code: "insufficient_funds", message: "test" } }],
    });
    script.lane.header.pausedMs += 3000 * 1000;
    script.nowMs += 3600 * 1000;
    settleWith(takeWork().token, {
      refusals: [{ id: "a", failure: { code: "insufficient_funds", message: "test" } }],
    });
    expect(stateOf("a")).toBe("queued");
    script.nowMs += 3000 * 1000;
    take(script.lane, "test", moment());
    expect(script.lane.directive("a")?.failure?.code).toBe("gave_up");
  });

  test("an outage makes the whole lane wait, with the endpoint's own Retry-After", () => {
    const flight = live("a");
    settleWith(flight.token, { outage: { code: "rate_limited", message: "test", retryAfterSeconds: 42 } });
    expect(take(script.lane, "test", moment())).toEqual({ kind: "waiting", dueInMs: 42_000 });
  });

  test("a broken credential costs one letter a flight, and then the breaker pauses the lane", () => {
    live("a", "b", "c");
    script.nowMs += LEASE_MS;
    for (let flights = 0; flights < 2; flights += 1) {
      script.nowMs += 60_000;
      settleWith(takeWork().token, { outage: { code: "unauthorized", message: "test" } });
    }
    expect([stateOf("a"), stateOf("b"), stateOf("c")]).toEqual(["dead", "dead", "queued"]);
    script.nowMs += 60_000;
    expect(take(script.lane, "test", moment()).kind).toBe("paused");
  });
});
