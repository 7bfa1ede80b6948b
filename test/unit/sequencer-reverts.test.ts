import { beforeEach, expect, test } from "vitest";
import { begin, entry, accepted, live, record, refused, settleWith, stateOf } from "../model/lane-script.ts";

beforeEach(begin);

test("R8: a revert that the node simulates when it is sent is not believed while an earlier directive is under way", () => {
  const flight = live("approve", "spend");
  record(flight.token, entry(0, "approve"), entry(1, "spend"));
  settleWith(flight.token, {
    reading: { sequence: 0 },
    outcomes: [
      { hash: "h-0-approve", outcome: accepted },
      { hash: "h-1-spend", outcome: refused("execution_reverted") },
    ],
  });
  expect([stateOf("approve"), stateOf("spend")]).toEqual(["broadcast", "queued"]);
});
