import { beforeEach, describe, expect, test } from "vitest";
import type { Outcome } from "../../domain/outcome.ts";
import {
  accepted,
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

const HOUR_MS = 3_600_000;

/** Sends it again, and gets the same answer each hour. A bump gets it too, in the place of the stored bytes. */
function answerForHours(hours: number, outcome: Outcome, bumped: Outcome = outcome): void {
  for (let hour = 0; hour < hours; hour += 1) {
    script.nowMs += HOUR_MS;
    const { token, rebroadcast, bumps } = takeWork();
    const raised = bumps.map(({ sequence, directive }) =>
      entry(sequence, directive.id, `bump-${script.nowMs}`),
    );
    if (raised.length > 0) record(token, ...raised);
    settleWith(token, {
      outcomes: [
        ...rebroadcast.map(({ hash }) => ({ hash, outcome })),
        ...raised.map(({ hash }) => ({ hash, outcome: bumped })),
      ],
    });
  }
}

describe("a transaction that the node took", () => {
  test("is given up at the end of its budget when the pool dropped it and the node takes it no more", () => {
    sendAll(live("a"));
    // Two days of an account without the funds for it: each try gets the same refusal.
    answerForHours(48, refused("insufficient_funds"));
    expect(stateOf("a")).toBe("review");
    expect(script.lane.slots.get(0)?.burning).toBe(true);
    expect(script.lane.directive("a")?.failure?.code).toBe("gave_up");
    expect([...script.lane.owed.keys()]).toEqual(["a"]);
  });

  test("is not given up before the end of its budget", () => {
    sendAll(live("a"));
    script.nowMs += HOUR_MS / 2;
    const { token, rebroadcast } = takeWork();
    expect(rebroadcast).toHaveLength(1);
    settleWith(token, { outcomes: [{ hash: "h-0-a", outcome: refused("insufficient_funds") }] });
    expect(stateOf("a")).toBe("broadcast");
  });

  test("has a whole budget of its own, however long its directive had waited before", () => {
    const flight = live("a");
    settleWith(flight.token, {});
    script.nowMs += 30 * HOUR_MS;
    sendAll(takeWork());
    script.nowMs += HOUR_MS / 2;
    const { token } = takeWork();
    settleWith(token, { outcomes: [{ hash: "h-0-a", outcome: refused("pool_full") }] });
    expect(stateOf("a")).toBe("broadcast");
    answerForHours(1, refused("pool_full"));
    expect(stateOf("a")).toBe("review");
  });

  test("is not given up while the node has it: it waits in the pool, and its fee is raised as often as the policy says", () => {
    sendAll(live("a"));
    answerForHours(240, accepted);
    expect(stateOf("a")).toBe("broadcast");
    expect(script.lane.slots.get(0)?.transactions).toHaveLength(moment().policy.maxBumps + 1);
  });

  test("is not given up since a bump of it is refused: the bytes in the pool may still land", () => {
    sendAll(live("a"));
    answerForHours(240, accepted, refused("insufficient_funds"));
    expect(stateOf("a")).toBe("broadcast");
    expect(script.lane.slots.get(0)?.burning).toBe(false);
  });

  test("is not given up on the word of an endpoint that is away", () => {
    sendAll(live("a"));
    answerForHours(48, uncertain());
    expect(stateOf("a")).toBe("broadcast");
  });
});

test("a transaction that no node ever took is given up at the end of its directive's budget", () => {
  const flight = live("a");
  record(flight.token, entry(0, "a"));
  settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
  answerForHours(1, uncertain());
  expect(stateOf("a")).toBe("review");
});
