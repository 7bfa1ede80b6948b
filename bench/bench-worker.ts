import { join } from "node:path";
import type { z } from "zod";
import { ensureDevVars } from "../ops/dev-vars.ts";
import { startDevWorker } from "./dev-worker.ts";
import {
  callersRunSchema,
  filledSchema,
  laneRunSchema,
  tallySchema,
  type CallersRun,
  type LaneRun,
  type Naming,
  type Question,
  type Tally,
} from "./reports.ts";
import type { Target } from "./submissions.ts";

/** The bench's own Worker, which is the product with its costs counted, and has lanes worked from inside. */
export interface BenchWorker extends Target {
  lane(account: string, batch: number, sequences: number, ids?: Naming): Promise<LaneRun>;
  callers(account: string, callers: number, rounds: number): Promise<CallersRun>;
  stagger(callers: number, staggerMs: number): Promise<CallersRun>;
  fill(account: string, rows: number): Promise<void>;
  /** Has so many directives of a lane die, as a preflight that refuses them would. Resolves before their letters are written. */
  kill(account: string, directives: number, chainSequence: number): Promise<void>;
  /** Sends so many bodies that nobody can read to the queue `directives-dlq`. */
  deadLetters(count: number): Promise<void>;
  /** Writes so many letters into the ledger, made after one that is there. */
  fillLedger(rows: number): Promise<void>;
  /** What the product has cost since the last call of this. */
  tally(): Promise<Tally>;
  stop(): Promise<void>;
}

const ANSWER_WITHIN_MS = 300_000;

/** Starts it on the lanes of `stateDir`, where no other Worker may be running. */
export async function startBenchWorker(options: {
  readonly port: number;
  readonly stateDir: string;
  readonly chainUrl: string;
}): Promise<BenchWorker> {
  const { port, stateDir, chainUrl } = options;
  const devVars = join(stateDir, "dev.vars");
  const tokens = ensureDevVars(devVars);
  const worker = await startDevWorker({
    config: "wrangler.jsonc",
    port,
    stateDir,
    devVars,
    env: { CHAIN_URL: chainUrl },
  });
  const { url } = worker;

  async function ask<Schema extends z.ZodType>(question: Question, schema: Schema): Promise<z.infer<Schema>> {
    const response = await fetch(`${url}/bench`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(question),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${question.run}: ${text.slice(0, 500)}${worker.tail()}`);
    return schema.parse(JSON.parse(text));
  }

  return {
    url,
    chainUrl,
    operatorToken: tokens.operator,
    lane: (account, batch, sequences, ids = "random") =>
      ask({ run: "lane", account, batch, sequences, ids }, laneRunSchema),
    callers: (account, callers, rounds) =>
      ask({ run: "callers", account, callers, rounds }, callersRunSchema),
    stagger: (callers, staggerMs) => ask({ run: "stagger", callers, staggerMs }, callersRunSchema),
    async fill(account, rows) {
      await ask({ run: "fill", account, rows }, filledSchema);
    },
    async kill(account, directives, chainSequence) {
      await ask({ run: "kill", account, directives, chainSequence }, filledSchema);
    },
    async deadLetters(count) {
      await ask({ run: "dead-letters", count }, filledSchema);
    },
    async fillLedger(rows) {
      for (let from = 0; from < rows; from += LETTERS_AT_ONCE) {
        const count = Math.min(LETTERS_AT_ONCE, rows - from);
        await ask({ run: "fill-ledger", from, count, rows }, filledSchema);
      }
    },
    tally: () => ask({ run: "tally" }, tallySchema),
    stop: () => worker.stop(),
  };
}

/** Of one question, whose answer must come within minutes. */
const LETTERS_AT_ONCE = 100_000;
