import { beforeEach, describe, expect, test } from "vitest";
import { confirm } from "../../durable-objects/sequencer-evidence.ts";
import { begin, live, moment, script, sendAll, stateOf } from "../model/lane-script.ts";

beforeEach(begin);

describe("R10 memory", () => {
  test("a lane whose directives all reverted is pruned too", () => {
    sendAll(live("a"));
    const receipts = [{ hash: "h-0-a", block: 9, success: false }];
    confirm(script.lane, { block: 9, sequence: 1, looked: ["h-0-a"], receipts, foreign: [] }, moment());
    expect(stateOf("a")).toBe("reverted");
    expect(script.lane.header.pruneAtMs).not.toBeNull();
  });
});
