import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { depth } from "./cli-answers.ts";
import { run, startFakeWorker, type FakeWorker, type RunOptions } from "./cli-fixture.ts";

let worker: FakeWorker;
let home: string;
beforeEach(async () => {
  worker = await startFakeWorker();
  worker.answer("GET /v1/dlq/depth", { body: depth });
  home = mkdtempSync(join(tmpdir(), "lockstep-home-"));
});
afterEach(async () => {
  rmSync(home, { recursive: true });
  await worker[Symbol.asyncDispose]();
});

const ask = (options: RunOptions, ...flags: readonly string[]) =>
  run(["dlq", "depth", ...flags], { home, ...options });
const tokens = () => worker.requests.map(({ authorization }) => authorization);

function writeConfig(config: unknown, mode = 0o600): string {
  const path = join(home, ".config", "lockstep", "config.json");
  mkdirSync(join(home, ".config", "lockstep"), { recursive: true });
  writeFileSync(path, typeof config === "string" ? config : JSON.stringify(config));
  chmodSync(path, mode);
  return path;
}

function writeDevVars(): string {
  const project = join(home, "project");
  mkdirSync(project);
  writeFileSync(join(project, ".dev.vars"), "PRODUCER_TOKEN=no\nOPERATOR_TOKEN=of-dev-vars\n");
  return project;
}

const profiles = () => ({
  profile: "a",
  profiles: { a: { url: worker.url, token: "of-a" }, b: { url: worker.url, token: "of-b" } },
});

test("the configuration file's default profile says where, and with what token", async () => {
  writeConfig(profiles());
  expect((await ask({})).code).toBe(0);
  expect(tokens()).toEqual(["Bearer of-a"]);
});

test("--profile is before LOCKSTEP_PROFILE, which is before the file's default", async () => {
  writeConfig(profiles());
  await ask({ env: { LOCKSTEP_PROFILE: "b" } });
  await ask({ env: { LOCKSTEP_PROFILE: "b" } }, "--profile", "a");
  expect(tokens()).toEqual(["Bearer of-b", "Bearer of-a"]);
});

test("LOCKSTEP_TOKEN is before the profile's, LOCKSTEP_CONFIG names another file", async () => {
  const path = writeConfig(profiles());
  await ask({ env: { LOCKSTEP_TOKEN: "of-env" } });
  await ask({ env: { LOCKSTEP_CONFIG: path }, home: "/nonexistent" });
  expect(tokens()).toEqual(["Bearer of-env", "Bearer of-a"]);
});

test("a profile's token goes to no other origin than the profile's", async () => {
  writeConfig({ profile: "a", profiles: { a: { url: "https://lockstep.example", token: "of-a" } } });
  await ask({}, "--url", worker.url);
  await ask({ env: { LOCKSTEP_URL: worker.url } });
  expect(tokens()).toEqual([undefined, undefined]);
});

test.each([0o644, 0o640, 0o604])("a file of mode %o that holds the token is refused", async (mode) => {
  const path = writeConfig(profiles(), mode);
  const { code, stderr } = await ask({});
  expect(code).toBe(2);
  expect(stderr).toContain(`chmod 600 ${path}`);
  expect(stderr).not.toContain("of-a");
  expect(worker.requests).toEqual([]);
});

test("a file without a token may be read by others", async () => {
  writeConfig({ profile: "a", profiles: { a: { url: worker.url } } }, 0o644);
  await ask({ env: { LOCKSTEP_TOKEN: "of-env" } });
  expect(tokens()).toEqual(["Bearer of-env"]);
});

test.each([
  "{",
  "[]",
  '{"profiles":{"a":{"url":"x","tokn":"secret"}}}',
  '{"profiles":{},"profile":"constructor"}',
])("the file %s is refused with its path, and none of its values", async (text) => {
  const path = writeConfig(text);
  const { code, stderr } = await ask({});
  expect(code).toBe(2);
  expect(stderr).toContain(path);
  expect(stderr).not.toContain("secret");
});

test.each([
  ["", 1, 1],
  ["{", 1, 2],
  ['{\n  "profile": a,\n}', 2, 14],
  ['{"profiles": {"a": {"url": "x", "token": secret}}}', 1, 42],
  ['{\n  "profile": "a" "secret"\n}', 2, 18],
  ['{"profiles": ["secret",]}', 1, 24],
])(
  "the file %j that is not JSON is refused with where it is not, and none of it",
  async (text, line, column) => {
    const path = writeConfig(text);
    const { code, stderr } = await ask({});
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: `error: ${path}: is not JSON: line ${line}, column ${column}\n`,
    });
  },
);

test("OPERATOR_TOKEN of .dev.vars is for a Worker on this machine", async () => {
  const projects = [writeDevVars()];
  await ask({ projects, env: { LOCKSTEP_URL: worker.url } });
  await ask({ projects, env: { LOCKSTEP_URL: worker.url, LOCKSTEP_TOKEN: "of-env" } });
  expect(tokens()).toEqual(["Bearer of-dev-vars", "Bearer of-env"]);
});

test("OPERATOR_TOKEN of .dev.vars goes to no other machine", async () => {
  const projects = [writeDevVars()];
  const sent: (string | null)[] = [];
  const before = globalThis.fetch;
  globalThis.fetch = async (_, init) => {
    sent.push(new Headers(init?.headers).get("authorization"));
    return Response.json(depth);
  };
  try {
    const urls = ["http://192.0.2.1", "https://127.0.0.1.example.com", "http://localhost.example.com"];
    for (const url of urls) await ask({ projects }, "--url", url);
    expect(sent).toEqual([null, null, null]);
    for (const url of ["http://localhost:9", "http://127.9.9.9:9", "http://[::1]:9"]) {
      await ask({ projects }, "--url", url);
    }
    expect(sent.slice(3)).toEqual(Array(3).fill("Bearer of-dev-vars"));
  } finally {
    globalThis.fetch = before;
  }
});

test("a token over plain http to another machine is warned of", async () => {
  const env = { LOCKSTEP_TOKEN: "of-env" };
  const before = globalThis.fetch;
  globalThis.fetch = async () => Response.json(depth);
  try {
    expect((await ask({ env }, "--url", "http://192.0.2.1")).stderr).toContain("warning");
    expect((await ask({ env }, "--url", "https://192.0.2.1")).stderr).toBe("");
    expect((await ask({ env }, "--url", "http://127.0.0.1:9")).stderr).toBe("");
  } finally {
    globalThis.fetch = before;
  }
});

test.each(["with space", "line\nend", "smart“quote"])(
  "the token %j is refused, and not shown",
  async (token) => {
    const { code, stderr } = await ask({ env: { LOCKSTEP_URL: worker.url, LOCKSTEP_TOKEN: token } });
    expect(code).toBe(2);
    expect(stderr).not.toContain(token);
    expect(worker.requests).toEqual([]);
  },
);
