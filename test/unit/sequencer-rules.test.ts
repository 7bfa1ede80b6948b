import { beforeEach, describe, expect, test } from "vitest";
import { confirm } from "../../durable-objects/sequencer-evidence.ts";
import { take } from "../../durable-objects/sequencer-lease.ts";
import {
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

describe("R1 release", () => {
  test("a definitely refused transaction gives its sequence to the next directive", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: refused("insufficient_funds") }] });
    expect(stateOf("a")).toBe("queued");
    admitAll("b");
    expect(takeWork().range).toEqual([0]);
  });

  test("an uncertain transaction keeps its sequence, whatever a later send of it is refused with", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    script.nowMs += 60_000;
    for (const code of ["nonce_too_low", "nonce_occupied", "insufficient_funds"] as const) {
      const again = takeWork();
      expect(again.rebroadcast.map(({ hash }) => hash)).toEqual(["h-0-a"]);
      settleWith(again.token, { outcomes: [{ hash: "h-0-a", outcome: refused(code) }] });
      expect(stateOf("a")).toBe("broadcast");
      script.nowMs += 60_000;
    }
    admitAll("b");
    expect(takeWork().range).toEqual([1]);
  });
});

describe("R2 tokens", () => {
  test("what a settlement does not name is exposed", () => {
    const flight = live("a", "b");
    record(flight.token, entry(0, "a"), entry(1, "b"));
    settleWith(flight.token, { outcomes: [{ hash: "h-1-b", outcome: refused("insufficient_funds") }] });
    expect(stateOf("a")).toBe("broadcast");
    expect(stateOf("b")).toBe("queued");
  });

  test("a zombie whose lease is over can neither record nor settle", () => {
    const flight = live("a");
    script.nowMs += LEASE_MS;
    expect(record(flight.token, entry(0, "a"))).toEqual({ kind: "stale" });
    expect(
      settleWith(flight.token, { refusals: [{ id: "a", failure: { code: "out_of_gas", message: "late" } }] }),
    ).toEqual({ kind: "stale" });
    expect(stateOf("a")).toBe("queued");
  });

  test("a lease that ends exposes what was recorded under it, and a late refusal releases nothing", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    script.nowMs += LEASE_MS;
    expect(
      settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: refused("insufficient_funds") }] }),
    ).toEqual({ kind: "stale" });
    expect(stateOf("a")).toBe("broadcast");
  });

  test("a renewed lease has a new token, and the old one is stale", () => {
    const flight = live("a");
    const answer = settleWith(flight.token, { renew: true });
    expect(answer.kind === "settled" && work(answer.next).token).toBe(flight.token + 1);
    expect(record(flight.token, entry(0, "a"))).toEqual({ kind: "stale" });
  });

  test.each([
    ["a directive that is not lent", entry(0, "b"), "directive b is not lent"],
    ["a sequence that is not granted", entry(7, "a"), "sequence 7 is not granted"],
  ])("recording %s is refused and changes nothing", (_, wrong, reason) => {
    const flight = live("a");
    admitAll("b");
    const answer = record(flight.token, wrong);
    expect(answer.kind === "refused" && answer.reason).toContain(reason);
    expect(script.lane.slots.size).toBe(0);
  });

  test("recording one directive at two sequences is refused", () => {
    const flight = live("a", "b");
    expect(record(flight.token, entry(0, "a"), entry(1, "a")).kind).toBe("refused");
    expect(script.lane.slots.size).toBe(0);
  });
});

describe("R3 one worker per slot", () => {
  test("a second consumer is told that the lane is occupied until the deadline", () => {
    live("a");
    script.nowMs += 4000;
    expect(take(script.lane, "other", moment())).toEqual({ kind: "occupied", dueInMs: LEASE_MS - 4000 });
  });

  test("an overdue slot is handed to one live lease only", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    script.nowMs += 60_000;
    const flights = { ...moment(), policy: { ...moment().policy, maxFlights: 2 } };
    expect(work(take(script.lane, "one", flights)).rebroadcast).toHaveLength(1);
    expect(take(script.lane, "two", flights).kind).toBe("empty");
  });
});

describe("R4 evidence", () => {
  test("a slot whose log has grown since the look-up is skipped", () => {
    sendAll(live("a"));
    expect(
      confirm(script.lane, { block: 9, sequence: 1, looked: [], receipts: [], foreign: [] }, moment()),
    ).toEqual({
      finalized: 0,
      open: 1,
    });
  });

  test("a missing receipt alone frees nothing: the transaction may have landed all the same", () => {
    sendAll(live("a"));
    confirm(script.lane, { block: 9, sequence: 1, looked: ["h-0-a"], receipts: [], foreign: [] }, moment());
    expect(stateOf("a")).toBe("broadcast");
  });

  test("a foreign transaction frees the directive for another sequence", () => {
    sendAll(live("a"));
    confirm(
      script.lane,
      { block: 9, sequence: 1, looked: ["h-0-a"], receipts: [], foreign: [{ sequence: 0, hash: "theirs" }] },
      moment(),
    );
    expect(stateOf("a")).toBe("queued");
    expect(takeWork().range).toEqual([1]);
  });

  test("a receipt in a block younger than the evidence counts for nothing", () => {
    sendAll(live("a"));
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 0,
        looked: ["h-0-a"],
        receipts: [{ hash: "h-0-a", block: 10, success: true }],
        foreign: [],
      },
      moment(),
    );
    expect(stateOf("a")).toBe("broadcast");
  });
});

describe("R5 burn", () => {
  test("exposed bytes that the node refuses for good are outbid by a no-op, and the directive dies by evidence", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    script.nowMs += 60_000;
    settleWith(takeWork().token, { outcomes: [{ hash: "h-0-a", outcome: refused("invalid_transaction") }] });
    expect(stateOf("a")).toBe("review");
    const burn = takeWork();
    expect(burn.burns).toEqual([{ sequence: 0, replaces: ["0x"] }]);
    expect(record(burn.token, entry(0, null, "noop"))).toEqual({ kind: "recorded" });
    settleWith(burn.token, { outcomes: [{ hash: "noop", outcome: accepted }] });
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 1,
        looked: ["h-0-a", "noop"],
        receipts: [{ hash: "noop", block: 9, success: true }],
        foreign: [],
      },
      moment(),
    );
    expect(stateOf("a")).toBe("dead");
  });

  test("the directive's own transaction may still land before the no-op, and then it is confirmed", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    script.nowMs += 60_000;
    settleWith(takeWork().token, { outcomes: [{ hash: "h-0-a", outcome: refused("invalid_transaction") }] });
    const burn = takeWork();
    record(burn.token, entry(0, null, "noop"));
    confirm(
      script.lane,
      {
        block: 9,
        sequence: 1,
        looked: ["h-0-a", "noop"],
        receipts: [{ hash: "h-0-a", block: 9, success: true }],
        foreign: [],
      },
      moment(),
    );
    expect(stateOf("a")).toBe("confirmed");
  });
});
