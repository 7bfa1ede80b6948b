import { beforeEach, expect, test } from "vitest";
import { directiveFacts } from "../../durable-objects/sequencer-view.ts";
import { begin, live, script, sendAll, settleWith, takeWork } from "../model/lane-script.ts";

beforeEach(begin);

test("a directive's time of change moves with its status: queued, signed", () => {
  const admittedAtMs = script.nowMs;
  const flight = live("a");
  expect(directiveFacts(script.lane, "a")).toMatchObject({ status: "queued", updatedAtMs: admittedAtMs });
  script.nowMs += 1000;
  sendAll(flight);
  expect(directiveFacts(script.lane, "a")).toMatchObject({ admittedAtMs, updatedAtMs: script.nowMs });
});

test("an outage that lasts is in the lane's log, and so is its end; one that passes is not", () => {
  let { token } = live("a");
  const fail = () => {
    settleWith(token, { outage: { code: "network_error", message: "away" } });
    script.nowMs += 60_000;
    ({ token } = takeWork());
  };
  const begun = script.lane.events.length;
  const logged = () => script.lane.events.slice(begun).map(({ kind, detail }) => `${kind}: ${detail}`);
  fail();
  settleWith(token, { reading: { sequence: 0 } });
  ({ token } = takeWork());
  for (let times = 0; times < 5; times += 1) fail();
  expect(logged()).toEqual(["degraded: network_error: away"]);
  settleWith(token, { reading: { sequence: 0 } });
  expect(logged()).toEqual(["degraded: network_error: away", "recovered: the chain answers again"]);
});
