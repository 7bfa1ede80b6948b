import { pause } from "../../ops/wait-until.ts";
import type { ChainFault } from "./storm.ts";

/** Blocks stay away for so long, in milliseconds. */
const PAUSE_MS = { least: 1000, most: 5000 } as const;

/** What may happen to a chain whose newest block counts as final. */
export const FAULTS_ABOVE_THE_CHAIN = {
  drop: ({ chain, random }) => chain.dropSome(random),
  foreign: ({ chain, accounts, random }) => {
    const account = accounts[Math.floor(random() * accounts.length)];
    if (account === undefined) throw new Error("no account");
    return chain.sendForeign(account);
  },
  pause: async ({ chain, random }) => {
    await chain.setMining(false);
    await pause(PAUSE_MS.least + random() * (PAUSE_MS.most - PAUSE_MS.least));
    await chain.setMining(true);
  },
  fee: ({ chain, random }) => chain.raiseFee(1 + random() * 3),
  restart: ({ chain }) => chain.restart(),
} as const satisfies Readonly<Record<string, ChainFault>>;

/**
 * The deepest reorg that a lane with that many confirmations must bear: a transaction is final when its block has so
 * many blocks on it, itself included.
 */
export function reorgsAbove(confirmations: number): Readonly<Record<string, ChainFault>> {
  return {
    ...FAULTS_ABOVE_THE_CHAIN,
    reorg: ({ chain, random }) => chain.reorg(1 + Math.floor(random() * (confirmations - 1))),
  };
}
