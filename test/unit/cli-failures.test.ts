import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ACCOUNT, depth } from "./cli-answers.ts";
import {
  envOf,
  problemAnswer,
  run,
  startFakeWorker,
  type FakeWorker,
  type RunOptions,
} from "./cli-fixture.ts";

let worker: FakeWorker;
let folder: string;
beforeEach(async () => {
  worker = await startFakeWorker();
  folder = mkdtempSync(join(tmpdir(), "lockstep-cli-"));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await worker[Symbol.asyncDispose]();
});

const lockstep = (argv: readonly string[], options: RunOptions = {}) =>
  run(argv, { env: envOf(worker), ...options });

describe("what the Worker refuses", () => {
  test.each([
    [400, 1],
    [401, 3],
    [403, 3],
    [404, 4],
    [409, 4],
    [413, 1],
    [422, 1],
    [429, 1],
    [500, 1],
    [503, 3],
  ])("%i is exit code %i, with the reason on standard error alone", async (status, exitCode) => {
    worker.answer("GET /v1/dlq/depth", problemAnswer(status, "because of this"));
    const { code, stdout, stderr } = await lockstep(["dlq", "depth"]);
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: "" });
    expect(stderr).toBe(`error: ${status} Title: because of this\n`);
  });

  const errors = [
    { field: "filter.code", message: "is not a failure code" },
    { field: "limit", message: "must be\u001B[2J at least 1" },
  ];

  test("each wrong field is a line, in which nothing moves the cursor", async () => {
    worker.answer("POST /v1/dlq/plans", problemAnswer(400, "Some fields are wrong.", { errors }));
    const { stderr } = await lockstep(["dlq", "plan", "--code", "x"]);
    expect(stderr).toBe(
      "error: 400 Title: Some fields are wrong.\n  filter.code: is not a failure code\n  limit: must be at least 1\n",
    );
  });

  test("with --json the problem is one line of JSON on standard error", async () => {
    worker.answer("POST /v1/dlq/plans", problemAnswer(400, "Some fields are wrong.", { errors }));
    const { code, stdout, stderr } = await lockstep(["dlq", "plan", "--code", "x", "--json"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { message: "Some fields are wrong.", exitCode: 1, problem: { status: 400, errors } },
    });
  });

  test.each([400, 404, 409, 500])(
    "a %i that is not Lockstep's is exit code 3 with the URL, without the page: what was asked for is not known",
    async (status) => {
      const page = { status, body: "<html>nginx</html>" };
      worker.answer("GET /v1/dlq/depth", page);
      worker.answer(`GET /v1/accounts/${encodeURIComponent(ACCOUNT)}/directives/a`, page);
      const ended = {
        code: 3,
        stdout: "",
        stderr: `error: ${worker.url} answered ${status}, and not as Lockstep does: check the URL\n`,
      };
      expect(await lockstep(["dlq", "depth"])).toMatchObject(ended);
      expect(await lockstep(["directive", ACCOUNT, "a"])).toMatchObject(ended);
    },
  );

  test("an answer of another version names the field that is not known", async () => {
    worker.answer("GET /v1/dlq/depth", { body: { ...depth, letters: undefined } });
    const { code, stderr } = await lockstep(["dlq", "depth"]);
    expect(code).toBe(1);
    expect(stderr).toContain(`${worker.url} answered what this client does not know (letters:`);
  });

  test("a redirect is not followed: the token would go along", async () => {
    worker.answer("GET /v1/dlq/depth", { status: 302, body: "" });
    expect((await lockstep(["dlq", "depth"])).code).toBe(3);
    expect(worker.requests).toHaveLength(1);
  });
});

test.each([
  ["hangs up", async () => worker.answer("GET /v1/dlq/depth", "hang-up")],
  ["is not there", () => worker[Symbol.asyncDispose]()],
])("a Worker that %s is exit code 3, with its URL", async (_, arrange) => {
  await arrange();
  const { code, stdout, stderr } = await lockstep(["dlq", "depth"]);
  expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
  expect(stderr).toContain(worker.url);
});

test("a directive that the account does not have is exit code 4", async () => {
  const { code } = await lockstep(["directive", ACCOUNT, "nobody"]);
  expect(code).toBe(4);
});

describe("a wrong command line asks nothing: exit code 2", () => {
  test.each([
    [["nonsense"]],
    [["dlq"]],
    [["dlq", "nonsense"]],
    [["dlq", "show"]],
    [["dlq", "list", "--state", "nonsense"]],
    [["dlq", "list", "--kind", "nonsense"]],
    [["dlq", "list", "--limit", "0"]],
    [["dlq", "list", "--limit", "101"]],
    [["dlq", "list", "--limit", "ten"]],
    [["dlq", "list", "--from", "yesterday"]],
    [["dlq", "list", "--from", "2030-01-31"]],
    [["dlq", "discard", "a"]],
    [["dlq", "resolve", "a", "--outcome", "landed", "--reason", "r"]],
    [["dlq", "resolve", "a", "--outcome", "perhaps", "--reason", "r"]],
    [["dlq", "resubmit", "a", "--id", "b", "--reason", "r"]],
    [["dlq", "resubmit", "a", "--id", "b", "--action", "{", "--reason", "r"]],
    [["dlq", "plan", "a", "--code", "b"]],
    [["dlq", "depth", "--watch", "--interval", "0"]],
    [["lane", "pause", ACCOUNT]],
    [["inbox", "skip", "polar", "--reason", "r"]],
    [["inbox", "skip", "polar", "--key", "a", "--shard", "1", "--reason", "r"]],
    [["events", "polar", "--key", "a", "--shard", "1"]],
    [["send"]],
    [["send", "a.json", "--id", "b"]],
    [["send", "--id", "b"]],
    [["send", "/nonexistent/file.json"]],
    [["completion", "tcsh"]],
    [["dlq", "depth", "--token", "secret"]],
    [["dlq", "depth", "--url", "ftp://example.com"]],
    [["dlq", "depth", "--url", "https://user:secret@example.com"]],
    [["dlq", "depth", "--profile", "nobody"]],
  ])("%j", async (argv) => {
    const { code, stdout, stderr } = await lockstep(argv, { says: "" });
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).not.toBe("");
    expect(worker.requests).toEqual([]);
  });
});

describe("sending", () => {
  const receipt = (id: string, status = "queued", more = {}) => ({ id, account: ACCOUNT, status, ...more });
  const action = { type: "evm.transaction", to: "0x1", value: "5" };
  const item = (id: string) => ({ id, account: ACCOUNT, action });
  const POST = "POST /v1/directives";
  const many = Array.from({ length: 150 }, (_, index) => item(`d${index}`));
  const receipts = (items: readonly { id: string }[]) => ({ directives: items.map(({ id }) => receipt(id)) });

  test("flags are one directive", async () => {
    worker.answer(POST, { status: 202, body: { directives: [receipt("a")] } });
    const flags = ["--id", "a", "--account", ACCOUNT, "--to", "0x1", "--value", "5", "--metadata", '{"n":1}'];
    const { code, stdout } = await lockstep(["send", ...flags, "--json"]);
    expect(code).toBe(0);
    expect(worker.requests[0]?.body).toEqual({ directives: [{ ...item("a"), metadata: { n: 1 } }] });
    expect(JSON.parse(stdout)).toEqual({ directives: [receipt("a")] });
  });

  test.each([
    ["one directive", JSON.stringify(item("a")), [item("a")]],
    ["a list", JSON.stringify([item("a"), item("b")], null, 2), [item("a"), item("b")]],
    ["a body", JSON.stringify({ directives: [item("a")] }), [item("a")]],
    ["lines", `${JSON.stringify(item("a"))}\r\n\n${JSON.stringify(item("b"))}\n`, [item("a"), item("b")]],
  ])("%s of a file or of standard input is sent as it is", async (_, input, directives) => {
    worker.answer(POST, { status: 202, body: receipts(directives) });
    expect((await lockstep(["send", "-"], { input })).code).toBe(0);
    const file = join(folder, "directives.json");
    writeFileSync(file, input);
    expect((await lockstep(["send", file])).code).toBe(0);
    expect((await lockstep(["send"], { input })).code).toBe(0);
    expect(worker.requests.map(({ body }) => body)).toEqual([1, 2, 3].map(() => ({ directives })));
  });

  test.each(["", "\n", "[]", '{"directives":[]}', "{", `${JSON.stringify(item("a"))}\nnot json`])(
    "the input %j sends nothing",
    async (input) => {
      expect((await lockstep(["send"], { input })).code).toBe(2);
      expect(worker.requests).toEqual([]);
    },
  );

  test("more than a hundred go in order, as many at once as the API takes", async () => {
    worker.answer(
      POST,
      { status: 202, body: receipts(many.slice(0, 100)) },
      { status: 202, body: receipts(many.slice(100)) },
    );
    const { code, stdout } = await lockstep(["send", "--json"], { input: JSON.stringify(many) });
    expect(code).toBe(0);
    expect(worker.requests.map(({ body }) => body)).toEqual([
      { directives: many.slice(0, 100) },
      { directives: many.slice(100) },
    ]);
    expect(JSON.parse(stdout)).toEqual(receipts(many));
  });

  test("what was taken before a failure is said, and that the same again is safe", async () => {
    worker.answer(POST, { status: 202, body: receipts(many.slice(0, 100)) }, problemAnswer(503, "later"));
    const { code, stdout, stderr } = await lockstep(["send"], { input: JSON.stringify(many) });
    expect(code).toBe(3);
    expect(stdout.trimEnd().split("\n")).toHaveLength(101);
    expect(stderr).toContain("The same command again is safe");
  });

  test("an id that is taken is exit code 4, a lane that did not answer 3; the receipts are printed", async () => {
    const taken = receipt("a", "conflict", { error: "has another payload" });
    worker.answer(POST, problemAnswer(409, "no", { directives: [taken as never] }));
    const conflict = await lockstep(["send"], { input: JSON.stringify(item("a")) });
    expect(conflict.code).toBe(4);
    expect(conflict.stdout).toContain("conflict");
    const silent = receipt("b", "unavailable", { error: "send it again" });
    worker.answer(POST, { status: 202, body: { directives: [receipt("a"), silent] } });
    const partial = await lockstep(["send"], { input: JSON.stringify([item("a"), item("b")]) });
    expect(partial.code).toBe(3);
    expect(partial.stdout).toContain("unavailable");
  });
});
