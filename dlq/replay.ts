// In:  the id of a replay in the ledger, and the number of this instance as its driver.
// Out: turns of the driver, each a step, with rests between them; then a successor, long before an instance's steps or calls run out.
// On failure: a step is tried again; an instance that dies is replaced by `reviveReplays`, since the ledger has all that matters.
import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { z } from "zod";
import config from "../lockstep.config.ts";
import { CALL_BOUNDS } from "./call-bounds.ts";
import { startDriver, type ReplayEnv, type ReplayParams } from "./replay-commands.ts";
import { CALLS_PER_TURN, driveReplay } from "./replay-driver.ts";
import { handOver } from "./replay-driver-store.ts";
import type { ReplayTargets } from "./replay-send.ts";

const paramsSchema = z.object({ replay: z.string(), driver: z.int() });

const STEPS = 200;
const RETRIES = {
  retries: { limit: 3, delay: 1000, backoff: "exponential" },
  timeout: 60_000,
} as const;

/** A replay of dead letters. It only drives: killed at any line, it has lost nothing, and repeats nothing. */
export class ReplayWorkflow extends WorkflowEntrypoint<ReplayEnv & ReplayTargets, ReplayParams> {
  override async run(event: WorkflowEvent<ReplayParams>, step: WorkflowStep): Promise<void> {
    const { replay, driver: number } = paramsSchema.parse(event.payload);
    const driver = { replay, number };
    const tools = {
      config,
      bounds: CALL_BOUNDS,
      now: () => Date.now(),
      wait: (delayMs: number) => scheduler.wait(delayMs),
    };
    let calls = 0;
    for (let index = 0; index < STEPS && calls < CALLS_PER_TURN; index += 1) {
      const turn = await step.do(`turn ${index}`, RETRIES, () => driveReplay(this.env, driver, tools));
      if (turn.ended) return;
      calls += turn.calls;
      if (turn.delayMs > 0) await step.sleep(`rest ${index}`, turn.delayMs);
    }
    await step.do("hand over", RETRIES, async () => {
      const successor = await handOver(this.env.LEDGER, driver, Date.now());
      if (successor !== null) await startDriver(this.env, { replay, number: successor });
    });
  }
}
