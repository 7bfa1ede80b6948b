import { createPublicClient, createWalletClient, defineChain, http, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { z } from "zod";
import { startAnvil } from "../../ops/anvil.ts";
import type { AnvilAccount } from "../../ops/anvil-accounts.ts";

/** A local chain, and what can go wrong with it. Every fault throws while the node is away. */
export interface ChaosChain {
  readonly url: string;
  readonly port: number;
  /** Asks the node itself, past the faulty endpoint. */
  readonly client: PublicClient;
  rpc(method: string, ...params: readonly unknown[]): Promise<unknown>;
  /** Takes some of the pool's transactions out of it. Gives how many. */
  dropSome(random: () => number): Promise<number>;
  /** No block comes from now on, or one each second again. */
  setMining(on: boolean): Promise<void>;
  /** Somebody else with the same key sends at the chain's next nonce, at a fee that replaces what is in the pool. */
  sendForeign(account: AnvilAccount): Promise<void>;
  /** Ends the node and starts it again with its blocks. What was in the pool is gone. */
  restart(): Promise<void>;
  /** Replaces the newest blocks by empty ones. Their transactions do not come back by themselves. */
  reorg(depth: number): Promise<void>;
  /** The next block's base fee is so many gwei; empty blocks bring it down again. */
  raiseFee(gwei: number): Promise<void>;
  stop(): Promise<void>;
}

/** No reorg reaches the first block. */
const FIRST_BLOCKS = 8;
const SINK = "0x00000000000000000000000000000000000f0e16";
const GWEI = 1_000_000_000n;

const poolSchema = z.object({
  pending: z.record(z.string(), z.record(z.string(), z.object({ hash: z.string() }))),
  queued: z.record(z.string(), z.record(z.string(), z.object({ hash: z.string() }))),
});

export async function startChaosChain(port: number, stateFile: string): Promise<ChaosChain> {
  const start = () =>
    startAnvil({
      port,
      stateFile,
      blockTimeSeconds: 1,
      quiet: true,
      // Without it, a node that starts again knows no account's nonce at an older block.
      args: ["--preserve-historical-states"],
    });
  let anvil = await start();
  const transport = http(anvil.url, { retryCount: 0 });
  const client = createPublicClient({ transport, cacheTime: 0 });
  const chain = defineChain({
    id: 31_337,
    name: "anvil",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [anvil.url] } },
  });

  async function rpc(method: string, ...params: readonly unknown[]): Promise<unknown> {
    const answer = await fetch(anvil.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = z
      .object({ result: z.unknown().optional(), error: z.unknown().optional() })
      .parse(await answer.json());
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result;
  }

  await rpc("anvil_mine", FIRST_BLOCKS);
  return {
    url: anvil.url,
    port,
    client,
    rpc,
    async dropSome(random) {
      const { pending, queued } = poolSchema.parse(await rpc("txpool_content"));
      const hashes = [pending, queued]
        .flatMap((pool) => Object.values(pool))
        .flatMap((byNonce) => Object.values(byNonce))
        .map(({ hash }) => hash);
      const share = random();
      const dropped = hashes.filter(() => random() < share);
      for (const hash of dropped) await rpc("anvil_dropTransaction", hash);
      return dropped.length;
    },
    async setMining(on) {
      await rpc("evm_setIntervalMining", on ? 1 : 0);
    },
    async sendForeign({ address, privateKey }) {
      const nonce = await client.getTransactionCount({ address, blockTag: "latest" });
      const { baseFeePerGas } = await client.getBlock({ blockTag: "latest" });
      const fee = 4n * (baseFeePerGas ?? 0n) + 10n * GWEI;
      const wallet = createWalletClient({ account: privateKeyToAccount(privateKey), chain, transport });
      await wallet.sendTransaction({
        to: SINK,
        value: 1n,
        nonce,
        gas: 21_000n,
        maxFeePerGas: fee,
        maxPriorityFeePerGas: 10n * GWEI,
      });
    },
    async restart() {
      await anvil.stop();
      anvil = await start();
    },
    async reorg(depth) {
      await rpc("anvil_reorg", depth, []);
    },
    async raiseFee(gwei) {
      await rpc("anvil_setNextBlockBaseFeePerGas", `0x${BigInt(Math.round(gwei * 1e9)).toString(16)}`);
    },
    stop: () => anvil.stop(),
  };
}
