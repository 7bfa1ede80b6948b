import { pause } from "../../ops/wait-until.ts";
import type { Arena } from "./arena.ts";
import type { RpcWeather } from "./faulty-rpc.ts";
import type { RoundReport } from "./round.ts";

/** One thing that happens to the chain, now and then. May throw: the node is away for a moment, or refuses. */
export type ChainFault = (arena: Arena) => Promise<unknown>;

export interface StormOptions {
  /** The storm is over after so many. */
  readonly kills: number;
  readonly weather: RpcWeather;
  readonly chainFaults: Readonly<Record<string, ChainFault>>;
}

/** Moments are drawn from these, in milliseconds: they are the chaos, nothing waits for anything by them. */
const BETWEEN_KILLS_MS = { least: 100, most: 2500 } as const;
const BETWEEN_CHAIN_FAULTS_MS = { least: 200, most: 2000 } as const;
const BETWEEN_STEPS_MS = { least: 50, most: 500 } as const;

/**
 * Directives flow, requests fail, the chain misbehaves, and the Workers are killed at random moments. At its end all
 * faults are off and blocks come again; what was under way is not waited for. Gives how often each fault of the chain
 * happened.
 */
export async function rage(
  arena: Arena,
  { kills, weather, chainFaults }: StormOptions,
): Promise<RoundReport["chainFaults"]> {
  const { accounts, chain, endpoint, random, stack, workload } = arena;
  const happened: Record<string, number> = {};
  const storm = new AbortController();
  const moment = ({ least, most }: { readonly least: number; readonly most: number }) =>
    pause(least + random() * (most - least));

  async function flow(): Promise<void> {
    while (!storm.signal.aborted) {
      await workload.step();
      await moment(BETWEEN_STEPS_MS);
    }
  }

  async function shakeChain(): Promise<void> {
    const names = Object.keys(chainFaults);
    while (!storm.signal.aborted && names.length > 0) {
      await moment(BETWEEN_CHAIN_FAULTS_MS);
      const name = names[Math.floor(random() * names.length)] ?? "";
      try {
        await chainFaults[name]?.(arena);
        happened[name] = (happened[name] ?? 0) + 1;
      } catch {
        // A fault that found nothing to break.
      }
    }
  }

  endpoint.setWeather(weather);
  const others = Promise.all([flow(), shakeChain()]);
  // Whatever ends the kills ends the rest too, and is told first.
  others.catch(() => undefined);
  try {
    for (let killed = 0; killed < kills; killed += 1) {
      await moment(BETWEEN_KILLS_MS);
      await stack.killWorker();
      await resumePaused(arena);
    }
  } finally {
    storm.abort();
  }
  await others;
  endpoint.setWeather(null);
  await chain.calm(accounts);
  return happened;
}

/** The breaker pauses a lane after some 401 in a row, as it should: an operator continues it. */
export async function resumePaused(arena: Arena): Promise<void> {
  for (const account of arena.accounts) {
    try {
      const lane = await arena.client.lane(account.id);
      if (lane.status === "paused") await arena.resume(account);
    } catch {
      // The Worker is away: the next look sees it again.
    }
  }
}
