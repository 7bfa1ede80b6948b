import { expect, test } from "vitest";
import { DEFAULT_CHAIN_POLICY } from "../../domain/config.ts";
import { admit } from "../../durable-objects/sequencer-admission.ts";
import { take } from "../../durable-objects/sequencer-lease.ts";
import { settle } from "../../durable-objects/sequencer-settlement.ts";
import { LaneStorage } from "../../durable-objects/sequencer-storage.ts";
import { repairLane } from "../../durable-objects/sequencer-view.ts";
import { ACCOUNT } from "../model/lane-script.ts";
import { nodeSql } from "../model/node-sql.ts";

test("repair forgets the delay of a directive too: its next attempt is due at once", () => {
  const lane = new LaneStorage(nodeSql());
  let nowMs = 1_000_000;
  const moment = () => ({ nowMs, random: () => 0.99, policy: DEFAULT_CHAIN_POLICY });
  admit(lane, ACCOUNT, [{ id: "a", digest: "a", payload: "{}", expiresAtMs: null }], moment());
  // The account is empty for some hours.
  for (let attempt = 0; attempt < 15; attempt += 1) {
    const answer = take(lane, "test", moment());
    if (answer.kind !== "work") throw new Error(answer.kind);
    const failure = { code: "insufficient_funds", message: "empty" } as const;
    const nothing = { outcomes: [], outage: null, renew: false };
    settle(
      lane,
      { token: answer.token, ...nothing, reading: { sequence: 0 }, refusals: [{ id: "a", failure }] },
      moment(),
    );
    lane.flush(nowMs);
    if (attempt < 14) nowMs += 3_600_000;
  }
  // Somebody funds it, and says so.
  repairLane(lane, ACCOUNT, "funded", "ann", moment());
  lane.flush(nowMs);
  nowMs += 1000;
  expect(take(lane, "test", moment()).kind).toBe("work");
});
