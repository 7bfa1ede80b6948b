import { beforeEach, expect, test } from "vitest";
import { take } from "../../durable-objects/sequencer-lease.ts";
import {
  accepted,
  admitAll,
  begin,
  entry,
  live,
  moment,
  record,
  script,
  settleWith,
  stateOf,
  takeWork,
} from "../model/lane-script.ts";

beforeEach(begin);

test("a request that is refused for good blames no directive while it asks for a fee bump of another too", () => {
  const flight = live("stuck");
  record(flight.token, entry(0, "stuck"));
  settleWith(flight.token, { outcomes: [{ hash: "h-0-stuck", outcome: accepted }] });
  script.nowMs += 86_400_000;
  admitAll("new");
  const both = takeWork();
  expect([both.directives.length, both.bumps.length]).toEqual([1, 1]);
  settleWith(both.token, { outage: { code: "bad_request", message: "whose fault?" } });
  expect(stateOf("new")).toBe("queued");
});

test("an endpoint that answers 400 to everything costs a few letters, and then the breaker pauses the lane", () => {
  const ids = Array.from({ length: 50 }, (_, index) => `d${index}`);
  admitAll(...ids);
  // Ten minutes of an RPC URL that was set wrongly.
  for (const endMs = script.nowMs + 600_000; script.nowMs < endMs; script.nowMs += 1000) {
    const answer = take(script.lane, "test", moment());
    if (answer.kind === "work")
      settleWith(answer.token, {
        outage: { code: "bad_request", message: "the endpoint answered HTTP 400" },
      });
  }
  expect(ids.filter((id) => stateOf(id) === "dead")).toHaveLength(moment().policy.breakerAfter);
  expect(script.lane.header.paused?.reason).toContain("bad_request");
});
