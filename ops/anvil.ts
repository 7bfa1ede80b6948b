import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { endWithThisProgram } from "./leash.ts";

export interface AnvilOptions {
  /** 0 asks for a free one: read it from the `url`. */
  readonly port: number;
  /** Loaded if it exists; written every second and at a stop. The pool is not in it. */
  readonly stateFile?: string;
  /** A block every so many seconds. Without it no block comes by itself: `evm_mine`. */
  readonly blockTimeSeconds?: number;
  /** False shows the node's own log. */
  readonly quiet: boolean;
  /** Further command line arguments, as `anvil --help` lists them. */
  readonly args?: readonly string[];
}

export interface Anvil {
  readonly url: string;
  /** Of the node itself, not of a launcher. */
  readonly pid: number;
  /** Ends the node, so that it writes its state file, and resolves when it is gone. May be called again. */
  stop(): Promise<void>;
  /** Resolves with a sentence when the node is gone, wanted or not. */
  readonly ended: Promise<string>;
}

const HOST = "127.0.0.1";
const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 10_000;
const POLL_MS = 25;

/**
 * Starts a local EVM chain (chain id 31337, ten funded accounts) and resolves when it answers.
 * Throws when the port is taken, the binary is missing, or the node ends before it answers.
 */
export async function startAnvil(options: AnvilOptions): Promise<Anvil> {
  const port = await freePort(options.port);
  const url = `http://${HOST}:${port}`;
  // anvil silently ignores a state path whose folder is missing.
  if (options.stateFile !== undefined) mkdirSync(dirname(options.stateFile), { recursive: true });
  const mining =
    options.blockTimeSeconds === undefined
      ? ["--no-mining"]
      : ["--block-time", String(options.blockTimeSeconds)];
  const state =
    options.stateFile === undefined ? [] : ["--state", options.stateFile, "--state-interval", "1"];
  // The npm launcher would be a second process between this one and the node, and outlive neither cleanly.
  const child = spawn(
    nativeBinary(),
    ["--host", HOST, "--port", String(port), ...mining, ...state, ...(options.args ?? [])],
    {
      stdio: ["ignore", options.quiet ? "ignore" : "inherit", "pipe"],
    },
  );
  const release = child.pid === undefined ? undefined : endWithThisProgram(child.pid, "process");
  const errors = lastLines(child, options.quiet);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`anvil could not be started: ${error.message}`));
    child.once("exit", (code, signal) =>
      resolve(`anvil on port ${port} ended (${signal ?? `exit code ${String(code)}`})${errors()}`),
    );
  });
  let gone: string | null = null;
  void ended.then((sentence) => {
    gone = sentence;
    release?.();
  });
  const stop = async (): Promise<void> => {
    if (gone !== null) return;
    child.kill("SIGTERM");
    const forced = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
    await ended;
    clearTimeout(forced);
  };

  for (const deadline = Date.now() + READY_WITHIN_MS; ;) {
    await Promise.race([pause(POLL_MS), ended]);
    if (gone !== null) throw new Error(gone);
    if (await answers(url)) break;
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`anvil on port ${port} did not answer within ${READY_WITHIN_MS / 1000} s`);
    }
  }
  if (child.pid === undefined) throw new Error("anvil has no process id");
  return { url, pid: child.pid, stop, ended };
}

/** The native node that npm installed for this platform. */
function nativeBinary(): string {
  const require = createRequire(import.meta.url);
  const launcher = dirname(require.resolve("@foundry-rs/anvil/package.json"));
  const [platform, name] =
    process.platform === "win32" ? ["win32", "anvil.exe"] : [process.platform, "anvil"];
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const candidates = [
    join(launcher, "..", `anvil-${platform}-${architecture}`, "bin", name),
    join(launcher, "node_modules", "@foundry-rs", `anvil-${platform}-${architecture}`, "bin", name),
    join(launcher, name),
    join(launcher, "..", "dist", name),
  ];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined)
    throw new Error(
      `anvil has no binary for ${process.platform}-${process.arch}: run npm install again, or see node_modules/@foundry-rs/anvil`,
    );
  return found;
}

/** Checks before the start, since another node on the port would answer the readiness probe in this one's place. */
function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error) => {
      const taken = "code" in error && error.code === "EADDRINUSE";
      reject(
        new Error(
          taken
            ? `port ${port} is taken: stop what listens on it, or choose another`
            : `port ${port} cannot be used: ${error.message}`,
        ),
      );
    });
    probe.listen(port, HOST, () => {
      const address = probe.address();
      const chosen = typeof address === "object" && address !== null ? address.port : port;
      probe.close(() => resolve(chosen));
    });
  });
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }),
      signal: AbortSignal.timeout(1000),
    });
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null && "result" in body;
  } catch {
    return false;
  }
}

/** Keeps the end of stderr, for the sentence that says why the node ended. */
function lastLines(child: ChildProcess, quiet: boolean): () => string {
  let text = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString("utf8")).slice(-2000);
    if (!quiet) process.stderr.write(chunk);
  });
  return () => (text.trim() === "" ? "" : `: ${text.trim().replaceAll(/\s+/g, " ")}`);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
