import { beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_CHAIN_POLICY } from "../../domain/config.ts";
import { admit } from "../../durable-objects/sequencer-admission.ts";
import { confirm } from "../../durable-objects/sequencer-evidence.ts";
import { recordSigned, take } from "../../durable-objects/sequencer-lease.ts";
import { settle } from "../../durable-objects/sequencer-settlement.ts";
import { LaneStorage } from "../../durable-objects/sequencer-storage.ts";
import { repairLane } from "../../durable-objects/sequencer-view.ts";
import { ACCOUNT } from "../model/lane-script.ts";
import { nodeSql } from "../model/node-sql.ts";

const DAY_MS = 86_400_000;
/** SQLite in a Durable Object takes no longer row. */
const MAX_ROW = 2_000_000;

let sql = nodeSql();
let lane = new LaneStorage(sql);
let nowMs = 1_000_000;
const moment = () => ({ nowMs, random: () => 0.5, policy: DEFAULT_CHAIN_POLICY });

beforeEach(() => {
  sql = nodeSql();
  lane = new LaneStorage(sql);
  nowMs = 1_000_000;
});

function admitOne(id: string): void {
  admit(lane, ACCOUNT, [{ id, digest: id, payload: "{}", expiresAtMs: null }], moment());
}

/** One flight of all that is due, which reads this sequence of the chain: what it signs is taken. */
function fly(sequence: number): void {
  const answer = take(lane, "test", moment());
  if (answer.kind !== "work") throw new Error(answer.kind);
  const { token, range, directives } = answer;

  const entries = directives.flatMap(({ id }, index) => {
    const at = range[index];
    return at === undefined ? [] : [{ sequence: at, id, hash: `h-${id}`, raw: "0x", validUntil: null }];
  });
  recordSigned(lane, token, entries, moment());
  const outcomes = entries.map(({ hash }) => ({ hash, outcome: { kind: "accepted" } as const }));
  settle(
    lane,
    { token, outcomes, refusals: [], outage: null, renew: false, reading: { sequence } },
    moment(),
  );
  lane.flush(nowMs);
}

/** A flight that only reads. */
function look(sequence: number): void {
  const answer = take(lane, "test", moment());
  if (answer.kind !== "work") throw new Error(answer.kind);
  const { token } = answer;
  settle(
    lane,
    { token, outcomes: [], refusals: [], outage: null, renew: false, reading: { sequence } },
    moment(),
  );
  lane.flush(nowMs);
}

const repair = () =>
  void repairLane(lane, ACCOUNT, "the account was used elsewhere, the sequence is right", "ann", moment());
const longestRow = () =>
  Number(sql.exec("SELECT coalesce(max(length(slots)), 0) AS chars FROM flights").one()["chars"]);
function used(by: string, below: number, hash: string): void {
  const receipts = [{ hash, block: 9, success: true }];
  confirm(lane, { block: 9, sequence: below, looked: [by], receipts, foreign: [] }, moment());
  lane.flush(nowMs);
}

/** Number 0 is final, and another directive waits. */
function begun(): void {
  admitOne("a");
  look(0);
  fly(0);
  used("h-a", 1, "h-a");
  admitOne("b");
}

describe("an account that was used elsewhere for more than 10,000 transactions", () => {
  test("degrades the lane, and a repair makes it work again while a transaction of its own is open", () => {
    begun();
    for (let day = 0; day < 7; day += 1) {
      nowMs += DAY_MS;
      repair();
      fly(10_500);
    }
    expect(lane.header).toMatchObject({ degraded: null, next: 10_500, believed: false });
    expect(lane.slots.get(1)).toMatchObject({ state: "open", id: "b" });
  });

  test("is not believed before an operator says so, and a repair of a lane that is well says nothing", () => {
    begun();
    repair();
    for (let day = 0; day < 3; day += 1) {
      look(1_000_000);
      expect(lane.header.degraded).not.toBeNull();
      nowMs += DAY_MS;
    }
    expect(lane.header.next).toBe(1);
  });

  test("is believed after one repair however far ahead it is, in rows that the database takes", () => {
    begun();
    look(5_000_000);
    repair();
    repair();
    look(5_000_000);
    expect(lane.header).toMatchObject({ degraded: null, next: 5_000_000, believed: false });
    expect(longestRow()).toBeLessThan(MAX_ROW);
    lane = new LaneStorage(sql);
    fly(5_000_000);
    expect(lane.slots.get(5_000_000)?.id).toBe("b");
  });

  test("may fall back a little after it was believed: those numbers are given out again", () => {
    begun();
    look(5_000_000);
    repair();
    look(5_000_000);
    look(4_999_999);
    fly(4_999_999);
    expect(lane.slots.get(4_999_999)?.id).toBe("b");
  });

  test("is believed step by step while a transaction of the lane's own is open, and at once when that is final", () => {
    begun();
    fly(1);
    admitOne("c");
    look(5_000_000);
    repair();
    look(5_000_000);
    expect(lane.header).toMatchObject({ degraded: null, next: 10_002, believed: true });
    expect(longestRow()).toBeLessThan(MAX_ROW);
    look(5_000_000);
    expect(lane.header).toMatchObject({ next: 10_002, believed: true });
    expect(lane.header.degraded).not.toBeNull();
    used("h-b", 5_000_000, "h-b");
    nowMs += DAY_MS;
    look(5_000_000);
    expect(lane.header).toMatchObject({ degraded: null, next: 5_000_000, believed: false });
  });

  test("the operator's word holds for one reading: a later jump is not believed", () => {
    begun();
    look(20_000);
    repair();
    look(20_000);
    look(90_000);
    expect(lane.header.degraded).not.toBeNull();
    expect(lane.header.next).toBe(20_000);
  });
});
