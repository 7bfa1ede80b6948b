import { openArena } from "./arena.ts";
import { FAULTS_ABOVE_THE_CHAIN, reorgsAbove } from "./chain-faults.ts";
import type { RpcWeather } from "./faulty-rpc.ts";
import { REORG_POLICY, type Round, type RoundReport, type Scenario } from "./round.ts";
import { rage, type ChainFault } from "./storm.ts";
import { judge } from "./verdict.ts";

const CHAIN_FAULTS = {
  requests: {},
  chain: FAULTS_ABOVE_THE_CHAIN,
  reorgs: reorgsAbove(REORG_POLICY.confirmations),
} as const satisfies Record<Scenario, Readonly<Record<string, ChainFault>>>;

const WEATHER: RpcWeather = {
  "drop-before": 0.03,
  "status-401-before": 0.01,
  "status-429-before": 0.03,
  "status-500-before": 0.03,
  delay: 0.08,
  late: 0.02,
  "stall-after": 0.02,
  "hang-up-after": 0.03,
  "status-401-after": 0.01,
  "status-500-after": 0.03,
  "truncate-after": 0.02,
  "garble-after": 0.02,
  "omit-after": 0.03,
  twice: 0.03,
};

/** One round on a stack of its own. What broke is in the report's `faults`; throws when the stack or a lane stands still. */
export async function play(round: Round): Promise<RoundReport> {
  const arena = await openArena(round.seed);
  let kept = true;
  try {
    const chainFaults = await rage(arena, {
      kills: round.kills,
      weather: WEATHER,
      chainFaults: CHAIN_FAULTS[round.scenario],
    });
    const verdict = await judge(arena);
    kept = verdict.faults.length > 0;
    return { ...round, ...verdict, chainFaults, requests: Object.fromEntries(arena.endpoint.dealt) };
  } finally {
    if (kept) console.error(`the state and the logs of this round stay in ${arena.stateDir}`);
    await arena.close(kept);
  }
}
