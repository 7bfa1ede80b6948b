import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { endWithThisProgram } from "./leash.ts";
import { groupLives, killGroup } from "./process-table.ts";
import { waitUntil } from "./wait-until.ts";

/** The folder of wrangler.jsonc. */
export const PROJECT = dirname(import.meta.dirname);

export interface WranglerOptions {
  /** Wrangler's own files go here: log, cache, and the registry by which local Workers find one another. */
  readonly stateDir: string;
  /** Variables beside the environment of this program. */
  readonly env?: Readonly<Record<string, string>>;
  /** Receives each line that wrangler and the Worker write. */
  readonly line?: (line: string) => void;
}

export interface Wrangler {
  /** Also the id of the process group that holds everything wrangler starts. */
  readonly pid: number;
  /** The exit code once wrangler is gone; null before. A signal counts as 1. */
  exitCode(): number | null;
  /** The last lines that it wrote, for an error's end. */
  readonly tail: () => string;
  /** Ends wrangler and all that it started; resolves when none is left. May be called again. */
  stop(): Promise<void>;
}

const STOP_WITHIN_MS = 5000;
const REAP_WITHIN_MS = 300;
const TAIL_LINES = 20;

/** Starts wrangler in a process group of its own, so that a terminal's ctrl-C reaches this program alone. */
export function startWrangler(args: readonly string[], options: WranglerOptions): Wrangler {
  const logFile = join(options.stateDir, "logs", "wrangler.log");
  mkdirSync(dirname(logFile), { recursive: true });
  const script = createRequire(import.meta.url).resolve("wrangler");
  const child = spawn(process.execPath, ["--no-warnings", script, ...args], {
    cwd: PROJECT,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment(options.stateDir), ...options.env },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error("wrangler could not be started: run npm install");
  const release = endWithThisProgram(pid, "group");
  let exitCode: number | null = null;
  child.once("exit", (code) => (exitCode = code ?? 1));
  const tail = keepTail(child, logFile, options.line);

  const stop = async (): Promise<void> => {
    if (exitCode === null) child.kill("SIGTERM");
    const ended = { what: "wrangler's end", withinMs: STOP_WITHIN_MS, everyMs: 20 };
    await waitUntil(() => exitCode ?? undefined, ended).catch(() => undefined);
    killGroup(pid);
    // Ended ones count as members until init has reaped them, which may take it a while.
    const gone = { what: "the end of wrangler's processes", withinMs: REAP_WITHIN_MS, everyMs: 20 };
    await waitUntil(() => (groupLives(pid) ? undefined : true), gone).catch(() => undefined);
    release();
  };
  return { pid, exitCode: () => exitCode, tail, stop };
}

/** Runs wrangler to its end. Throws with its last lines when it fails. */
export async function runWrangler(
  args: readonly string[],
  options: WranglerOptions & { readonly withinMs: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const wrangler = startWrangler(args, options);
  const what = `wrangler ${args.slice(0, 3).join(" ")}`;
  try {
    const { withinMs, signal } = options;
    const code = await waitUntil(() => wrangler.exitCode() ?? undefined, {
      what,
      withinMs,
      signal,
      everyMs: 20,
      tail: wrangler.tail,
    });
    if (code !== 0) throw new Error(`${what} failed (exit code ${code})${wrangler.tail()}`);
  } finally {
    await wrangler.stop();
  }
}

/** No network but the loopback, no question asked, and nothing shared with another wrangler of this machine. */
function environment(stateDir: string): Record<string, string> {
  return {
    CI: "1",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    // The banner looks for a newer version.
    WRANGLER_HIDE_BANNER: "true",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    // Makes each call of a Durable Object about ten times slower.
    X_LOCAL_OBSERVABILITY: "false",
    WRANGLER_REGISTRY_PATH: join(stateDir, "registry"),
    WRANGLER_CACHE_DIR: join(stateDir, "cache"),
    WRANGLER_LOG_PATH: join(stateDir, "logs"),
  };
}

function keepTail(child: ChildProcess, file: string, line?: (line: string) => void): () => string {
  const log = createWriteStream(file, { flags: "a" });
  // A state folder may be removed while the last line is on its way.
  log.on("error", () => undefined);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      log.write(chunk);
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        line?.(part);
        if (part.trim() !== "") lines.push(part);
      }
      lines.splice(0, lines.length - TAIL_LINES);
    });
  }
  child.once("close", () => log.end());
  return () => (lines.length === 0 ? "" : `\n${lines.map((text) => `  | ${text}`).join("\n")}`);
}
