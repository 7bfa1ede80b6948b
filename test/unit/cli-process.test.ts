import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { depth, replay, replayAt } from "./cli-answers.ts";
import { envOf, run, startFakeWorker, type FakeWorker } from "./cli-fixture.ts";

const BIN = fileURLToPath(new URL("../../ops/lockstep.mjs", import.meta.url));
const LOOK = `GET /v1/dlq/replays/${replay.id}`;
const START_WITHIN_MS = 30_000;

let worker: FakeWorker;
beforeEach(async () => {
  worker = await startFakeWorker();
});
afterEach(() => worker[Symbol.asyncDispose]());

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(
  argv: readonly string[],
  node = process.execPath,
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(node, [BIN, ...argv], { env: { PATH: process.env["PATH"], ...envOf(worker) } });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (part: string) => (stdout += part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

/** A Node that cannot run TypeScript as it is; undefined where the machine has none. */
const OLD_NODE = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => {
  const [major = "24"] =
    spawnSync(path, ["-p", "process.versions.node"], { encoding: "utf8" }).stdout?.split(".") ?? [];
  return Number(major) < 22;
});

const signals = { SIGINT: 130, SIGTERM: 143 } as const;
const nodes = [
  ["this Node", process.execPath],
  ...(OLD_NODE === undefined ? [] : [["an old Node", OLD_NODE]]),
];

describe.each(nodes)("started by %s", (_, node) => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s during the progress cancels nothing, and says how to follow",
    { timeout: START_WITHIN_MS },
    async (signal) => {
      const looked = Promise.withResolvers<void>();
      worker.answer(LOOK, () => {
        looked.resolve();
        return { body: replayAt(1) };
      });
      const { child, ended } = start(["dlq", "follow", replay.id, "--interval", "3600"], node);
      await looked.promise;
      child.kill(signal);
      const { code, stdout, stderr } = await ended;
      expect({ code, stdout }).toEqual({ code: signals[signal], stdout: "" });
      expect(stderr).toContain(`lockstep dlq follow ${replay.id}`);
      expect(stderr).toContain(`lockstep dlq cancel ${replay.id} --reason`);
      expect(worker.lines()).toEqual([LOOK]);
    },
  );

  test("prints JSON, and ends with the exit code", { timeout: START_WITHIN_MS }, async () => {
    worker.answer("GET /v1/dlq/depth", { body: depth });
    const { code, stdout, stderr } = await start(["dlq", "depth", "--json"], node).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual(depth);
    expect((await start(["dlq", "show", "nobody"], node).ended).code).toBe(4);
  });
});

test("SIGINT while the Worker has not answered ends it at once", { timeout: START_WITHIN_MS }, async () => {
  const asked = Promise.withResolvers<void>();
  worker.answer(LOOK, () => {
    asked.resolve();
    return "silence";
  });
  const { child, ended } = start(["dlq", "follow", replay.id]);
  await asked.promise;
  child.kill("SIGINT");
  expect((await ended).code).toBe(130);
});

test("a reader that leaves, as head does, ends it quietly", { timeout: START_WITHIN_MS }, async () => {
  const looked = Promise.withResolvers<void>();
  worker.answer("GET /v1/dlq/depth", () => {
    looked.resolve();
    return { body: depth };
  });
  const { child, ended } = start(["dlq", "depth", "--watch", "--interval", "0.001", "--json"]);
  await looked.promise;
  child.stdout?.destroy();
  expect(await ended).toMatchObject({ code: 141, stderr: "" });
});

describe("completion", () => {
  let folder: string;
  const scripts = new Map<string, string>();
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "lockstep-completion-"));
    symlinkSync(process.execPath, join(folder, "node"));
    symlinkSync(BIN, join(folder, "lockstep"));
    for (const shell of ["bash", "zsh", "fish"]) {
      const { stdout } = spawnSync(process.execPath, [BIN, "completion", shell], { encoding: "utf8" });
      writeFileSync(join(folder, shell), stdout);
      scripts.set(shell, stdout);
    }
  }, START_WITHIN_MS);
  afterAll(() => rmSync(folder, { recursive: true }));

  const installed = (shell: string) => spawnSync(shell, ["--version"]).status === 0;

  test.each(["bash", "zsh", "fish"].filter(installed))("%s takes its script", (shell) => {
    const checked = spawnSync(shell, ["-n", join(folder, shell)], { encoding: "utf8" });
    expect({ status: checked.status, stderr: checked.stderr }).toEqual({ status: 0, stderr: "" });
  });

  test.each(["bash", "zsh", "fish"])("the script of %s asks this program", (shell) => {
    expect(scripts.get(shell)).toContain("lockstep complete --");
  });

  /** What bash offers for a line whose last word is being written. */
  function offered(...words: readonly string[]): readonly string[] {
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lockstep; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync(
      "bash",
      ["--norc", "-c", script, "bash", join(folder, "bash"), "lockstep", ...words],
      {
        encoding: "utf8",
        env: { PATH: `${folder}${delimiter}/usr/bin${delimiter}/bin` },
      },
    );
    expect(stderr).toBe("");
    return stdout.split("\n").filter((line) => line !== "");
  }

  test("offers commands, flags, and the values that a flag takes", { timeout: START_WITHIN_MS }, () => {
    expect(offered("dlq", "re")).toEqual(["resolve", "resubmit", "reconcile", "replay", "replays", "resume"]);
    expect(offered("dlq", "list", "--state", "")).toEqual(["open", "replaying", "resolved", "discarded"]);
    expect(offered("dlq", "list", "--code", "unauth")).toEqual(["unauthorized"]);
    expect(offered("dlq", "list", "--wi")).toEqual(["--wide"]);
    expect(offered("lane", "pause", "eip155", ":", "31337", "--re")).toEqual(["--reason"]);
    expect(offered("completion", "")).toEqual(["bash", "zsh", "fish"]);
    expect(offered("")).toContain("status");
    expect(offered("")).not.toContain("complete");
  });

  test("words are never run", { timeout: START_WITHIN_MS }, () => {
    const made = join(folder, "made-by-a-word");
    offered("dlq", "list", `$(touch ${made})`, "--st");
    offered("dlq", "list", `\`touch ${made}\``, "");
    expect(spawnSync("ls", [made]).status).not.toBe(0);
  });
});

test("every command has help of 80 columns with an example, and is in docs/cli.md", async () => {
  const docs = readFileSync("docs/cli.md", "utf8");
  const seen: string[] = [];
  async function visit(path: readonly string[]): Promise<void> {
    const { code, stdout } = await run([...path, "--help"]);
    expect({ path, code }).toEqual({ path, code: 0 });
    // The two that need no name of their own are shown without it.
    const written = ["lockstep", ...path]
      .join(" ")
      .replace(/(lane|inbox) show/, "$1")
      .replace("events list", "events");
    expect(stdout).toContain(`Examples:\n  $ ${written}`);
    expect(docs).toContain(written);
    const [usage = ""] = stdout.split("\nExamples:");
    expect(usage.split("\n").filter((line) => line.length > 80)).toEqual([]);
    seen.push(path.join(" "));
    const commands = stdout.split("\nCommands:\n")[1]?.split("\n\n")[0] ?? "";
    for (const [, name = ""] of commands.matchAll(/^ {2}([a-z]+)/gm)) {
      if (name !== "help" && !seen.includes([...path, name].join(" "))) await visit([...path, name]);
    }
  }
  await visit([]);
  expect(seen.length).toBeGreaterThan(30);
});
