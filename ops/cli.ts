// The command line `lockstep`, which talks to the HTTP API alone. `ops/lockstep.mjs` starts it; docs/cli.md describes it.
import { homedir } from "node:os";
import { dirname } from "node:path";
import { createInterface } from "node:readline/promises";
import { text } from "node:stream/consumers";
import { setTimeout as timer } from "node:timers/promises";
import { EXIT, Interrupted } from "./cli/exit.ts";
import { runCommandLine } from "./cli/program.ts";
import type { Sink, Terminal } from "./cli/terminal.ts";

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** One ctrl-C may come twice: from the terminal, and passed on by the program that started this one. */
const SAME_PRESS_MS = 500;

const controller = new AbortController();
const { signal } = controller;
let interruption = new Interrupted();
let interruptedAtMs: number | null = null;
for (const name of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (interruptedAtMs !== null && Date.now() - interruptedAtMs > SAME_PRESS_MS) process.exit(SIGNALS[name]);
    if (interruptedAtMs !== null) return;
    interruptedAtMs = Date.now();
    interruption = new Interrupted(SIGNALS[name]);
    controller.abort(interruption);
  });
}
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: Error) => {
    if ("code" in error && error.code === "EPIPE") process.exit(EXIT.brokenPipe);
    throw error;
  });
}

const terminal: Terminal = {
  stdout: sinkOf(process.stdout),
  stderr: sinkOf(process.stderr),
  readInput: () => orInterrupted(text(process.stdin)),
  interactive: process.stdin.isTTY,
  async ask(question) {
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    // In raw mode ctrl-C is a key, and no signal; ctrl-D closes without an answer.
    const left = new Promise<never>((_, reject) => {
      lines.once("SIGINT", () => reject(new Interrupted()));
      lines.once("close", () => reject(new Interrupted()));
    });
    try {
      return await orInterrupted(Promise.race([left, lines.question(question)]));
    } finally {
      lines.close();
    }
  },
  env: process.env,
  projects: [process.cwd(), dirname(import.meta.dirname)],
  home: homedir(),
  now: Date.now,
  async pause(milliseconds) {
    const over = new AbortController();
    const waited = timer(milliseconds, undefined, { signal: over.signal });
    try {
      await orInterrupted(waited);
    } finally {
      waited.catch(() => undefined);
      over.abort();
    }
  },
  signal,
};

process.exitCode = await runCommandLine(process.argv.slice(2), terminal);
// It may still be open after an interruption.
process.stdin.destroy();

function sinkOf(stream: NodeJS.WriteStream): Sink {
  return {
    write: (written) => void stream.write(written),
    isTTY: stream.isTTY,
    get columns() {
      return stream.isTTY ? stream.columns : undefined;
    },
  };
}

/** Rejects when a signal is first, with its reason. */
async function orInterrupted<Value>(work: Promise<Value>): Promise<Value> {
  const first = Promise.withResolvers<never>();
  const stop = (): void => first.reject(interruption);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  try {
    return await Promise.race([first.promise, work]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
