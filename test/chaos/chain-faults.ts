import type { AnvilAccount } from "../../ops/anvil-accounts.ts";
import { pause } from "../../ops/wait-until.ts";
import type { Arena } from "./arena.ts";
import { RICH } from "./chaos-chain.ts";
import type { ChainFault } from "./storm.ts";

/** Some faults last so long, in milliseconds. */
const LASTING_MS = { least: 1000, most: 4000 } as const;
const MOST_FOREIGN = 4;

/** What may happen to a chain whose newest block counts as final. Faults that last undo themselves. */
export const FAULTS_ABOVE_THE_CHAIN = {
  drop: ({ chain, random }) => chain.dropSome(random),
  foreign: async (arena) => {
    const account = oneOf(arena);
    const count = 1 + Math.floor(arena.random() * MOST_FOREIGN);
    for (let sent = 0; sent < count; sent += 1) await arena.chain.sendForeign(account, sent);
  },
  pause: async (arena) => {
    await arena.chain.setMining(false);
    await lasting(arena);
    await arena.chain.setMining(true);
  },
  poverty: async (arena) => {
    const account = oneOf(arena);
    await arena.chain.setBalance(account, 1n);
    await lasting(arena);
    await arena.chain.setBalance(account, RICH);
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

function oneOf({ accounts, random }: Arena): AnvilAccount {
  const account = accounts[Math.floor(random() * accounts.length)];
  if (account === undefined) throw new Error("no account");
  return account;
}

function lasting({ random }: Arena): Promise<void> {
  return pause(LASTING_MS.least + random() * (LASTING_MS.most - LASTING_MS.least));
}
