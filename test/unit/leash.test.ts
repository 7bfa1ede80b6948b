import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import { afterEach, expect, test } from "vitest";
import { waitUntil } from "../../ops/wait-until.ts";

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** Listens on a port that it prints, and deafens itself to SIGTERM if it is told to. */
const SERVER = `
  if (process.argv[1] === "deaf") process.on("SIGTERM", () => {});
  const server = require("node:net").createServer().listen(0, "127.0.0.1", () => console.log(server.address().port));`;
/** Starts the server on a leash, prints its port, and goes on as it is told. */
const STARTER = `
  const { spawn } = await import("node:child_process");
  const { endWithThisProgram } = await import("./ops/leash.ts");
  const [of, hearing, then] = process.argv.slice(1);
  const child = spawn(process.execPath, ["-e", ${JSON.stringify(SERVER)}, hearing], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
  const release = endWithThisProgram(child.pid, of);
  const port = await new Promise((resolve) => child.stdout.once("data", resolve));
  if (then === "release") release();
  console.log(port.toString().trim(), child.pid);
  if (then === "wait") setInterval(() => {}, 1000);
  child.unref();
  child.stdout.destroy();`;

async function start(...argv: readonly string[]) {
  const starter = spawn(
    process.execPath,
    ["--no-warnings", "--input-type=module", "--eval", STARTER, ...argv],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  started.push(starter);
  const line = await new Promise<Buffer>((resolve) => starter.stdout.once("data", resolve));
  const [port = 0, pid = 0] = line.toString("utf8").trim().split(" ").map(Number);
  return { starter, port, pid };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" })
      .once("connect", () => resolve(true))
      .once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

test.each([
  ["a process", "process", "hearing", "SIGKILL"],
  ["a group", "group", "hearing", "SIGKILL"],
  ["a group", "group", "hearing", "SIGTERM"],
  ["a group that ignores SIGTERM", "group", "deaf", "SIGKILL"],
] as const)(
  "%s (%s, %s) ends with the program that started it when that gets %s",
  async (_, of, hearing, signal) => {
    const { starter, port } = await start(of, hearing, "wait");
    expect(await listens(port)).toBe(true);
    starter.kill(signal);
    await waitUntil(async () => ((await listens(port)) ? undefined : true), {
      what: "its end",
      withinMs: 20_000,
    });
  },
);

test("a program that ends by itself is not kept by what it holds, and takes it along", async () => {
  const { starter, port } = await start("group", "hearing", "go");
  if (starter.exitCode === null) await once(starter, "exit");
  expect(starter.exitCode).toBe(0);
  await waitUntil(async () => ((await listens(port)) ? undefined : true), {
    what: "its end",
    withinMs: 20_000,
  });
});

test("what was let go of stays", async () => {
  const { starter, port, pid } = await start("group", "hearing", "release");
  // The holder has the starter's stderr too, so that it is closed when both have ended.
  await once(starter, "close");
  try {
    expect(await listens(port)).toBe(true);
  } finally {
    process.kill(pid, "SIGKILL");
  }
});
