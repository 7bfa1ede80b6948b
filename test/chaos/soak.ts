// In:  CHAOS_KILLS (1,000), CHAOS_SEED, MODEL_RUNS (1,000,000), MODEL_SEED and REPLAY_LETTERS (10,000), all optional: a
//      seed is random without.
// Out: the models of both machines over that many histories, a replay of that many letters over SIGKILLs, then that many kills of
//      a real stack. Prints the seeds first.
// On failure: exit code 1 after all have run.
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { createRequire } from "node:module";

const MAX_SEED = 2 ** 31 - 1;
const { env } = process;
const settings = {
  MODEL_RUNS: env["MODEL_RUNS"] ?? "1000000",
  MODEL_SEED: env["MODEL_SEED"] ?? String(randomInt(MAX_SEED)),
  CHAOS_KILLS: env["CHAOS_KILLS"] ?? "1000",
  CHAOS_SEED: env["CHAOS_SEED"] ?? String(randomInt(MAX_SEED)),
  REPLAY_LETTERS: env["REPLAY_LETTERS"] ?? "10000",
};
console.log(settings);

const vitest = createRequire(import.meta.url).resolve("vitest/vitest.mjs");
function run(...args: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, [vitest, "run", ...args], {
    env: { ...env, ...settings },
    stdio: "inherit",
  });
  return new Promise((resolve) => child.once("exit", (code) => resolve(code === 0)));
}

const model = await run("--project", "unit", "sequencer-model", "webhook-inbox-model");
const replay = await run("--project", "pipeline", "replay");
const chaos = await run("--project", "chaos");
process.exitCode = model && replay && chaos ? 0 : 1;
