import type { Config } from "../../domain/config.ts";
import type { Account } from "../../domain/ids.ts";
import { localKeySigner } from "../signers/local-key.ts";
import type { Broadcaster } from "./broadcaster.ts";
import { SharedBlocks } from "./evm-blocks.ts";
import type { EvmTerms } from "./evm-context.ts";
import { evmBroadcaster } from "./evm.ts";

/**
 * The broadcaster of an account as lockstep.config.ts has it, with URL and key from the Worker's variables.
 * Throws when chain or signer are not configured: `workable` is asked first. A variable that is not set is an
 * outage of the chain, not an end of anything: the lane waits for it.
 */
export function configuredBroadcaster(
  config: Config,
  env: object,
  account: Account,
  blocks = new SharedBlocks(1),
): Broadcaster<EvmTerms> {
  const chain = config.chains.get(account.chain);
  const signer = config.signers.get(account.id);
  if (chain === undefined || signer === undefined) throw new Error(`${account.id} is not configured`);
  const rpcUrl: unknown = Reflect.get(env, chain.rpcUrl.env);
  if (typeof rpcUrl !== "string" || rpcUrl === "") {
    const failure = {
      code: "network_error",
      message: `the variable ${chain.rpcUrl.env} is not set`,
    } as const;
    return {
      preflight: async () => ({ kind: "outage", failure }),
      sign: async () => ({ ok: false, error: failure }),
      send: async (transactions) =>
        new Map(transactions.map(({ hash }) => [hash, { kind: "unavailable", failure }])),
      usersOf: async () => ({ ok: false, error: failure }),
      lookUp: async () => ({ ok: false, error: failure }),
    };
  }
  return evmBroadcaster({
    account,
    chain: { rpcUrl, policy: chain.policy },
    signer: localKeySigner({ account, key: signer.key, env }),
    blocks,
  });
}

/** The broadcasters of accounts that are looked up together: those of one chain read a block once for all. */
export function sharingBroadcasters(
  config: Config,
  env: object,
  accounts: readonly Account[],
): (account: Account) => Broadcaster<EvmTerms> {
  const shared = new Map(
    Array.from(
      Map.groupBy(accounts, ({ chain }) => chain),
      ([chain, lanes]) => [chain, new SharedBlocks(lanes.length)],
    ),
  );
  return (account) => configuredBroadcaster(config, env, account, shared.get(account.chain));
}
