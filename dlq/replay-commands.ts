// In:  a plan to run, and an operator's pause, resume and cancel.
// Out: the replay in the ledger, and a Workflow instance that drives it.
// On failure: a plan that may not be run says why; an instance that cannot be created is made up for by the cron, or by the next look at the replay.
import type { ReplayReport } from "../domain/api-letters.ts";
import type { ReplayPolicy } from "../domain/operations.ts";
import { err, ok, type Result } from "../domain/result.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { newId } from "./plan.ts";
import { readPlan } from "./plan-store.ts";
import { silentReplays, succeed, type Driver } from "./replay-driver-store.ts";
import { replayReport } from "./replay-progress.ts";
import { reasonOf } from "./replay-send.ts";
import {
  beginReplay,
  cancelReplay,
  changedSet,
  pauseReplay,
  readReplay,
  replayOfPlan,
  resumeReplay,
  type ChangedSet,
} from "./replay-store.ts";

export interface ReplayEnv {
  readonly LEDGER: LedgerDatabase;
  readonly REPLAY: { create(options: { id: string; params: ReplayParams }): Promise<unknown> };
}

/** What a Workflow instance is told. */
export interface ReplayParams {
  readonly replay: string;
  readonly driver: number;
}

export interface RunRequest {
  readonly plan: string;
  readonly digest: string;
  readonly reason: string;
  readonly ratePerSecond?: number | undefined;
  readonly perLanePerSecond?: number | undefined;
}

export type RunRefusal =
  | { readonly kind: "unknown-plan" }
  | { readonly kind: "wrong-digest" }
  /** Letters of the plan have left `open`. */
  | ({ readonly kind: "changed" } & ChangedSet);

const SHOWN_CHANGES = 20;
const REVIVALS_AT_ONCE = 20;

/** Runs a plan, once: the same request again answers the replay that it has become. */
export async function runPlan(
  env: ReplayEnv,
  request: RunRequest,
  context: { readonly policy: ReplayPolicy; readonly actor: string; readonly nowMs: number },
): Promise<Result<ReplayReport, RunRefusal>> {
  const { policy, actor, nowMs } = context;
  const plan = await readPlan(env.LEDGER, request.plan);
  if (plan === null) return err({ kind: "unknown-plan" });
  if (plan.digest !== request.digest) return err({ kind: "wrong-digest" });
  const id =
    (await replayOfPlan(env.LEDGER, plan.id)) ??
    (await beginReplay(env.LEDGER, {
      id: newId(),
      plan: plan.id,
      actor,
      reason: request.reason,
      ratePerSecond: request.ratePerSecond ?? policy.ratePerSecond,
      perLanePerSecond: request.perLanePerSecond ?? policy.perLanePerSecond,
      nowMs,
    }));
  if (id === null) return err({ kind: "changed", ...(await changedSet(env.LEDGER, plan.id, SHOWN_CHANGES)) });
  return ok(await reportOf(env, id, nowMs));
}

export type ReplayCommand = "pause" | "resume" | "cancel";

/** Null for an unknown replay. The same command again changes nothing. Error: why the replay does not take it. */
export async function commandReplay(
  env: ReplayEnv,
  command: ReplayCommand,
  by: { readonly id: string; readonly actor: string; readonly reason: string; readonly nowMs: number },
): Promise<Result<ReplayReport, string> | null> {
  const took = await { pause: pauseReplay, resume: resumeReplay, cancel: cancelReplay }[command](
    env.LEDGER,
    by,
  );
  const replay = await readReplay(env.LEDGER, by.id, by.nowMs);
  if (replay === null) return null;
  const { status } = replay;
  const wanted = {
    pause: status === "paused",
    resume: status === "running",
    cancel: status === "cancelling" || status === "cancelled",
  };
  if (!took && !wanted[command]) return err(`it is ${status}`);
  return ok(await reportOf(env, by.id, by.nowMs));
}

/** The replay as it stands; one whose driver is silent gets another. Null when there is none. */
export async function showReplay(env: ReplayEnv, id: string, nowMs: number): Promise<ReplayReport | null> {
  if ((await readReplay(env.LEDGER, id, nowMs)) === null) return null;
  return reportOf(env, id, nowMs);
}

async function reportOf(env: ReplayEnv, id: string, nowMs: number): Promise<ReplayReport> {
  await revive(env, id, nowMs);
  const replay = await readReplay(env.LEDGER, id, nowMs);
  if (replay === null) throw new Error("the ledger has lost a replay that it had");
  return replayReport(replay, nowMs);
}

/** Gives every replay whose driver is silent another. Answers how many. Throws what D1 throws. */
export async function reviveReplays(env: ReplayEnv, nowMs: number): Promise<number> {
  const silent = await silentReplays(env.LEDGER, nowMs, REVIVALS_AT_ONCE);
  for (const id of silent) await revive(env, id, nowMs);
  return silent.length;
}

async function revive(env: ReplayEnv, id: string, nowMs: number): Promise<void> {
  const number = await succeed(env.LEDGER, id, nowMs);
  if (number !== null) await startDriver(env, { replay: id, number });
}

/** Never throws: a driver that could not be started is silent, and replaced. */
export async function startDriver({ REPLAY }: ReplayEnv, { replay, number }: Driver): Promise<void> {
  try {
    await REPLAY.create({ id: `${replay}-${number}`, params: { replay, driver: number } });
  } catch (error) {
    console.warn(JSON.stringify({ at: "dlq.replay.start", replay, driver: number, error: reasonOf(error) }));
  }
}
