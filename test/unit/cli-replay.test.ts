import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { doneOf, progressLine } from "../../ops/cli/progress.ts";
import { plan, replay, replayAt } from "./cli-answers.ts";
import {
  envOf,
  problemAnswer,
  run,
  startFakeWorker,
  type FakeWorker,
  type RunOptions,
} from "./cli-fixture.ts";

const LOOK = `GET /v1/dlq/replays/${replay.id}`;
const START = "POST /v1/dlq/replays";
const REQUEST = { plan: plan.id, digest: plan.digest, reason: "funded" };

let worker: FakeWorker;
beforeEach(async () => {
  worker = await startFakeWorker();
  worker.answer("POST /v1/dlq/plans", { body: plan });
  worker.answer(`GET /v1/dlq/plans/${plan.id}`, { body: plan });
  worker.answer(START, { status: 202, body: { id: replay.id } });
  worker.answer(LOOK, { body: replayAt(128) }, { body: replayAt(256) }, { body: replayAt(512) });
});
afterEach(() => worker[Symbol.asyncDispose]());

const lockstep = (argv: readonly string[], options: RunOptions = {}) =>
  run(["dlq", ...argv], { env: envOf(worker), ...options });
const byCode = ["replay", "--code", "unauthorized", "--reason", "funded"];
const started = () => worker.requests.filter(({ line }) => line === START);

test("filters are planned, shown, asked about, run with the plan's digest and followed to the end", async () => {
  const argv = [...byCode, "--rate", "20", "--lane-rate", "2.5"];
  const { code, stdout, stderr } = await lockstep(argv, { says: "y" });
  expect(code).toBe(0);
  expect(worker.requests[0]?.body).toEqual({ filter: { code: "unauthorized" } });
  expect(started()).toMatchObject([{ body: { ...REQUEST, ratePerSecond: 20, perLanePerSecond: 2.5 } }]);
  expect(worker.lines().slice(2)).toEqual([LOOK, LOOK, LOOK]);
  expect(stderr).toContain(plan.digest);
  expect(stderr).toContain("3 expired, 1 undetermined");
  expect(stderr).toContain("Replay 512 letters? [y/N]");
  expect(stderr).toContain("[#####---------------]  25%  128/512");
  expect(stdout).toMatch(/landed\s+512/);
});

test.each(["n", "", "yesterday"])("the answer %j replays nothing", async (says) => {
  const { code, stderr } = await lockstep(byCode, { says });
  expect(code).toBe(1);
  expect(stderr).toContain("nothing was replayed");
  expect(started()).toEqual([]);
});

test("where nobody can be asked, --yes is needed before anything is planned", async () => {
  expect((await lockstep(byCode)).code).toBe(2);
  expect(worker.requests).toEqual([]);
  expect((await lockstep([...byCode, "--yes"])).code).toBe(0);
  expect(started()).toHaveLength(1);
});

test("a plan is run with the digest that was given, not with the one that it has now", async () => {
  const { code } = await lockstep(["replay", plan.id, "digest-of-then", "--reason", "funded", "--yes"]);
  expect(code).toBe(0);
  expect(started()[0]?.body).toEqual({ ...REQUEST, digest: "digest-of-then" });
});

test.each([
  ["nothing is chosen", ["replay", "--reason", "r", "--yes"]],
  ["a plan has no digest", ["replay", plan.id, "--reason", "r", "--yes"]],
  ["a plan has filters", ["replay", plan.id, plan.digest, "--code", "x", "--reason", "r", "--yes"]],
  ["a limit alone is no choice", ["replay", "--limit", "5", "--reason", "r", "--yes"]],
  ["there is no reason", ["replay", "--all", "--yes"]],
  ["the rate is none", ["replay", "--all", "--reason", "r", "--rate", "0", "--yes"]],
])("%s: nothing is asked, exit code 2", async (_, argv) => {
  const { code, stdout } = await lockstep(argv);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(worker.requests).toEqual([]);
});

test("--all is a choice", async () => {
  expect((await lockstep(["replay", "--all", "--reason", "r", "--yes"])).code).toBe(0);
  expect(worker.requests[0]?.body).toEqual({ filter: {} });
});

test("an empty plan starts nothing, is not offered to be run, and says why letters were refused", async () => {
  worker.answer("POST /v1/dlq/plans", { body: { ...plan, matched: 0 } });
  for (const argv of [
    [...byCode, "--yes"],
    ["plan", "--code", "unauthorized"],
  ]) {
    const { code, stderr } = await lockstep(argv);
    expect(code).toBe(0);
    expect(stderr).toContain("nothing to replay");
    expect(stderr).toContain("  3 expired: ");
    expect(stderr).toContain("  1 undetermined: ");
    expect(stderr).not.toContain("Run it");
  }
  expect(started()).toEqual([]);
});

test("a plan that no letter fits says so", async () => {
  worker.answer("POST /v1/dlq/plans", { body: { ...plan, matched: 0, refused: {} } });
  expect((await lockstep(["plan"])).stderr).toBe("There is nothing to replay: no open letter fits.\n");
});

test("a set that changed is a conflict, and what changed is said", async () => {
  const errors = [{ field: "letters.3f2a", message: "is resolved since" }];
  worker.answer(START, problemAnswer(409, "The set changed.", { errors }));
  const { code, stderr } = await lockstep([...byCode, "--yes"]);
  expect(code).toBe(4);
  expect(stderr).toContain("  letters.3f2a: is resolved since");
});

test("--json prints the plan, and then each look, one line each", async () => {
  const { code, stdout, stderr } = await lockstep([...byCode, "--yes", "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const lines = stdout.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { type: "plan", plan },
    ...[128, 256, 512].map((landed) => ({ type: "replay", replay: replayAt(landed) })),
  ]);
});

test("--detach starts it and looks once", async () => {
  const { code, stdout } = await lockstep([...byCode, "--yes", "--detach"]);
  expect(code).toBe(0);
  expect(worker.lines().slice(2)).toEqual([LOOK]);
  expect(stdout).toContain(`lockstep dlq follow ${replay.id}`);
});

test("ctrl-C leaves the replay running, and says how to follow and how to cancel it", async () => {
  const { code, stderr } = await lockstep([...byCode, "--yes"], { onPause: (interrupt) => interrupt() });
  expect(code).toBe(130);
  expect(stderr).toContain(`lockstep dlq follow ${replay.id}`);
  expect(stderr).toContain(`lockstep dlq cancel ${replay.id} --reason`);
  expect(worker.lines()).toEqual(["POST /v1/dlq/plans", START, LOOK]);
});

describe("following", () => {
  test("goes on through a Worker that restarts", async () => {
    worker.answer(LOOK, { body: replayAt(1) }, "hang-up", problemAnswer(503, "restarting"), {
      body: replayAt(512),
    });
    const { code, stderr } = await lockstep(["follow", replay.id]);
    expect(code).toBe(0);
    expect(stderr).toContain("the Worker does not answer; asking again");
  });

  test("gives a Worker up that does not come back", async () => {
    worker.answer(LOOK, { body: replayAt(1) }, "hang-up");
    const { code, pauses } = await lockstep(["follow", replay.id, "--interval", "10"]);
    expect(code).toBe(3);
    expect(pauses.length).toBeGreaterThan(10);
    expect(pauses.length).toBeLessThan(20);
  });

  test.each([401, 403, 404, 500])("ends at once when the answer is %i", async (status) => {
    worker.answer(LOOK, problemAnswer(status, "no"));
    expect((await lockstep(["follow", replay.id])).pauses).toEqual([]);
    expect(worker.requests).toHaveLength(1);
  });

  test.each([
    ["letters failed again", replayAt(510, { status: "done", failedAgain: 2, waiting: 0 }), 1],
    ["letters were refused", replayAt(510, { status: "done", refused: 2, waiting: 0 }), 1],
    ["it was cancelled", replayAt(10, { status: "cancelled", returned: 502, waiting: 0 }), 1],
    ["all landed", replayAt(512, { alreadyLanded: 500 }), 0],
  ])("%s: the exit code says so", async (_, body, exitCode) => {
    worker.answer(LOOK, { body });
    expect((await lockstep(["follow", replay.id])).code).toBe(exitCode);
  });

  test("waits for one that is paused or being cancelled, and has not ended", async () => {
    const paused = replayAt(1, { status: "paused" });
    const cancelling = replayAt(1, { status: "cancelling" });
    worker.answer(LOOK, { body: paused }, { body: cancelling }, { body: replayAt(512) });
    expect((await lockstep(["follow", replay.id])).pauses).toEqual([5000, 5000]);
  });

  test.each([
    ["at full speed", {}, 15],
    ["told to send a letter each 20 s", { ratePerSecond: 0.05 }, 40],
  ])("one %s stands still: that is said instead of an ETA that grows", async (_, pace, afterSeconds) => {
    let looks = 0;
    const look = () => ({ body: replayAt(128, { ...pace, etaSeconds: 10 + looks++ }) });
    worker.answer(LOOK, ...Array.from({ length: afterSeconds / 5 + 1 }, () => look), {
      body: replayAt(512, pace),
    });
    const { code, stderr } = await lockstep(["follow", replay.id]);
    expect(code).toBe(0);
    const lines = stderr.trimEnd().split("\n");
    const stalled = lines.filter((line) => line.includes("stalled"));
    expect(stalled).toHaveLength(1);
    expect(stalled[0]).not.toContain("ETA");
    expect(lines.filter((line) => line.includes("ETA"))).toHaveLength(afterSeconds / 5);
  });

  test("on a terminal the progress is one line, which is gone at the end", async () => {
    const { stderr, pauses } = await lockstep(["follow", replay.id], { terminal: { columns: 60 } });
    expect(pauses).toEqual([1000, 1000]);
    const [, ...drawn] = stderr.split("\r\u001B[2K");
    expect(drawn).toHaveLength(4);
    expect(drawn.at(-1)).toBe("");
    expect(drawn.filter((line) => line.length >= 60 || line.includes("\n"))).toEqual([]);
    expect(drawn[1]).toContain("128/s  ETA 2s");
  });
});

test("progress of any numbers that add up is one line whose bar is full only when all is done", () => {
  const part = fc.nat({ max: 20_000 });
  fc.assert(
    fc.property(
      part,
      part,
      part,
      part,
      part,
      fc.option(fc.nat()),
      (landed, failedAgain, refused, waiting, inFlight, eta) => {
        const total = landed + failedAgain + refused + waiting + inFlight;
        const report = { ...replay, total, landed, failedAgain, refused, waiting, inFlight, etaSeconds: eta };
        const line = progressLine(report, null, false);
        expect(line).not.toContain("\n");
        expect(line.includes("100%")).toBe(doneOf(report) === total);
        expect(line.slice(0, 22)).toMatch(/^\[#*-*\]$/);
      },
    ),
  );
});
