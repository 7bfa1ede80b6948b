import { beforeEach, describe, expect, test } from "vitest";
import { confirm, lookUpFailed } from "../../durable-objects/sequencer-evidence.ts";
import { take } from "../../durable-objects/sequencer-lease.ts";
import { readmit } from "../../durable-objects/sequencer-readmission.ts";
import { countsOf } from "../../durable-objects/sequencer-state.ts";
import {
  admitAll,
  begin,
  entry,
  live,
  moment,
  record,
  script,
  sendAll,
  settleWith,
  stateOf,
  takeWork,
  uncertain,
} from "../model/lane-script.ts";

beforeEach(begin);

const key = (id: string, generation = 0) => ({ id, digest: id, generation });
const again = (id: string, generation = 0) => readmit(script.lane, key(id, generation), null, moment());
const edit = (id: string) => ({ id, digest: id, payload: "{}", expiresAtMs: null });

function kill(...ids: string[]): void {
  const flight = live(...ids);
  const refusals = ids.map((id) => ({ id, failure: { code: "out_of_gas", message: "test" } as const }));
  settleWith(flight.token, { refusals });
}

describe("R9 readmission", () => {
  test("a dead directive goes back to work once, under the next generation", () => {
    kill("a");
    expect(again("a")).toEqual({ kind: "readmitted", generation: 1 });
    expect(stateOf("a")).toBe("queued");
    expect(again("a")).toEqual({ kind: "moved-on", status: "queued", generation: 1 });
    expect(countsOf(script.lane.header)).toEqual({ admitted: 1, settled: 0, dead: 0, inFlight: 1 });
    expect(takeWork().directives.map(({ id }) => id)).toEqual(["a"]);
  });

  test("an old letter's replay changes nothing after the directive died again", () => {
    kill("a");
    again("a");
    settleWith(takeWork().token, {
      refusals: [{ id: "a", failure: { code: "out_of_gas", message: "test" } }],
    });
    expect(again("a", 0)).toEqual({ kind: "moved-on", status: "dead", generation: 1 });
    expect(again("a", 1)).toEqual({ kind: "readmitted", generation: 2 });
  });

  test("a directive that landed is never sent again", () => {
    sendAll(live("a"));
    const receipts = [{ hash: "h-0-a", block: 9, success: true }];
    confirm(script.lane, { block: 9, sequence: 1, looked: ["h-0-a"], receipts, foreign: [] }, moment());
    expect(again("a")).toEqual({ kind: "already-landed" });
  });

  test("a directive under review waits for evidence", () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain("unauthorized") }] });
    expect(again("a")).toEqual({ kind: "undetermined" });
  });

  test("a reverted directive goes on only as an edit, which replaces it in the same transaction", () => {
    sendAll(live("a"));
    const receipts = [{ hash: "h-0-a", block: 9, success: false }];
    confirm(script.lane, { block: 9, sequence: 1, looked: ["h-0-a"], receipts, foreign: [] }, moment());
    expect(again("a")).toEqual({ kind: "reverted" });
    expect(readmit(script.lane, key("a"), edit("b"), moment())).toEqual({
      kind: "readmitted",
      generation: 0,
    });
    expect([stateOf("a"), stateOf("b")]).toEqual(["replaced", "queued"]);
    expect(countsOf(script.lane.header)).toEqual({ admitted: 2, settled: 1, dead: 0, inFlight: 1 });
    expect(readmit(script.lane, key("a"), edit("c"), moment()).kind).toBe("moved-on");
  });

  test("an edit cannot take an id that is taken", () => {
    kill("a", "b");
    expect(readmit(script.lane, key("a"), edit("b"), moment())).toEqual({ kind: "conflict" });
    expect(stateOf("a")).toBe("dead");
  });

  test("a directive or a payload that the lane never had is unknown", () => {
    kill("a");
    expect(again("x")).toEqual({ kind: "unknown" });
    expect(readmit(script.lane, { id: "a", digest: "other", generation: 0 }, null, moment())).toEqual({
      kind: "unknown",
    });
  });
});

describe("degraded", () => {
  test("three failed look-ups in a row stop new work until one succeeds", () => {
    sendAll(live("a"));
    admitAll("b");
    for (let failures = 0; failures < 3; failures += 1) {
      lookUpFailed(script.lane, { code: "network_error", message: "test" }, moment());
    }
    expect(take(script.lane, "test", moment()).kind).toBe("degraded");
    script.lane.header.confirmAtMs = script.nowMs + 86_400_000;
    confirm(script.lane, { block: 9, sequence: 0, looked: [], receipts: [], foreign: [] }, moment());
    expect(script.lane.header.confirmAtMs).toBe(script.nowMs + moment().policy.confirmEverySeconds * 1000);
    expect(takeWork().directives.map(({ id }) => id)).toEqual(["b"]);
  });
});
