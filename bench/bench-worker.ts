import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { ensureDevVars } from "../ops/dev-vars.ts";
import { LOOPBACK } from "../ops/ports.ts";
import { waitUntil } from "../ops/wait-until.ts";
import { startWrangler } from "../ops/wrangler.ts";
import {
  callersRunSchema,
  filledSchema,
  laneRunSchema,
  tallySchema,
  type CallersRun,
  type LaneRun,
  type Question,
  type Tally,
} from "./reports.ts";
import type { Target } from "./submissions.ts";

/** The bench's own Worker, which is the product with its costs counted, and has lanes worked from inside. */
export interface BenchWorker extends Target {
  lane(account: string, batch: number, sequences: number): Promise<LaneRun>;
  callers(account: string, callers: number, rounds: number): Promise<CallersRun>;
  stagger(callers: number, staggerMs: number): Promise<CallersRun>;
  fill(account: string, rows: number): Promise<void>;
  /** What the product has cost since the last call of this. */
  tally(): Promise<Tally>;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;
const ANSWER_WITHIN_MS = 300_000;

/** Starts it on the lanes of `stateDir`, where no other Worker may be running. */
export async function startBenchWorker(options: {
  readonly port: number;
  readonly stateDir: string;
  readonly chainUrl: string;
}): Promise<BenchWorker> {
  const { port, stateDir, chainUrl } = options;
  mkdirSync(stateDir, { recursive: true });
  const devVars = join(stateDir, "dev.vars");
  const tokens = ensureDevVars(devVars);
  const where = ["--local", "--ip", LOOPBACK, "--port", String(port), "--persist-to", stateDir];
  const quiet = ["--show-interactive-dev-session", "false", "--inspector-port", "0"];
  const wrangler = startWrangler(
    ["dev", "-c", join("bench", "wrangler.jsonc"), ...where, "--env-file", devVars, ...quiet],
    { stateDir, env: { CHAIN_URL: chainUrl } },
  );
  const url = `http://${LOOPBACK}:${port}`;

  async function ask<Schema extends z.ZodType>(question: Question, schema: Schema): Promise<z.infer<Schema>> {
    const response = await fetch(`${url}/bench`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(question),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${question.run}: ${text.slice(0, 500)}${wrangler.tail()}`);
    return schema.parse(JSON.parse(text));
  }

  try {
    await waitUntil(async () => ((await isHealthy(url)) ? true : undefined), {
      what: `an answer of ${url}/healthz`,
      withinMs: READY_WITHIN_MS,
      failed: () => (wrangler.exitCode() === null ? null : `wrangler dev ended${wrangler.tail()}`),
      tail: wrangler.tail,
    });
  } catch (error) {
    await wrangler.stop();
    throw error;
  }
  return {
    url,
    chainUrl,
    operatorToken: tokens.operator,
    lane: (account, batch, sequences) => ask({ run: "lane", account, batch, sequences }, laneRunSchema),
    callers: (account, callers, rounds) =>
      ask({ run: "callers", account, callers, rounds }, callersRunSchema),
    stagger: (callers, staggerMs) => ask({ run: "stagger", callers, staggerMs }, callersRunSchema),
    async fill(account, rows) {
      await ask({ run: "fill", account, rows }, filledSchema);
    },
    tally: () => ask({ run: "tally" }, tallySchema),
    stop: () => wrangler.stop(),
  };
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
