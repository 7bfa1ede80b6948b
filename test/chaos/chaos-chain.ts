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
  /** Somebody else with the same key sends so far above the chain's next nonce, at a fee that replaces what is in the pool. */
  sendForeign(account: AnvilAccount, above: number): Promise<void>;
  /** Ends the node and starts it again with its blocks. What was in the pool is gone. */
  restart(): Promise<void>;
  /** Replaces the newest blocks by empty ones. Their transactions do not come back by themselves. */
  reorg(depth: number): Promise<void>;
  /** Gives the account that much and takes the rest, without a transaction. Wei. */
  setBalance(account: AnvilAccount, wei: bigint): Promise<void>;
  /** The next block's base fee is so many gwei; empty blocks bring it down again. */
  raiseFee(gwei: number): Promise<void>;
  /** Ends what would last: blocks come, every account of these is rich, and no foreign transaction waits above a gap. */
  calm(accounts: readonly AnvilAccount[]): Promise<void>;
  stop(): Promise<void>;
}

/** No reorg reaches the first block. */
const FIRST_BLOCKS = 8;
const SINK = "0x00000000000000000000000000000000000f0e16";
const GWEI = 1_000_000_000n;
/** The balance of an account that lacks nothing, in wei. */
export const RICH = 10n ** 22n;

const poolPart = z
  .record(z.string(), z.record(z.string(), z.object({ hash: z.string(), to: z.string().nullable() })))
  .transform((bySender) => Object.values(bySender).flatMap((byNonce) => Object.values(byNonce)));
const poolSchema = z.object({ pending: poolPart, queued: poolPart });

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

  /** `queued`: above a gap, so that no block takes them yet. */
  async function readPool(): Promise<z.infer<typeof poolSchema>> {
    return poolSchema.parse(await rpc("txpool_content"));
  }

  async function setMining(on: boolean): Promise<void> {
    await rpc("evm_setIntervalMining", on ? 1 : 0);
  }

  async function setBalance({ address }: AnvilAccount, wei: bigint): Promise<void> {
    await rpc("anvil_setBalance", address, `0x${wei.toString(16)}`);
  }

  await rpc("anvil_mine", FIRST_BLOCKS);
  return {
    url: anvil.url,
    port,
    client,
    rpc,
    async dropSome(random) {
      const { pending, queued } = await readPool();
      const share = random();
      const dropped = [...pending, ...queued].filter(() => random() < share);
      for (const { hash } of dropped) await rpc("anvil_dropTransaction", hash);
      return dropped.length;
    },
    setMining,
    setBalance,
    async sendForeign({ address, privateKey }, above) {
      const next = await client.getTransactionCount({ address, blockTag: "latest" });
      const { baseFeePerGas } = await client.getBlock({ blockTag: "latest" });
      const fee = 4n * (baseFeePerGas ?? 0n) + 10n * GWEI;
      const wallet = createWalletClient({ account: privateKeyToAccount(privateKey), chain, transport });
      await wallet.sendTransaction({
        to: SINK,
        value: 1n,
        nonce: next + above,
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
    async calm(accounts) {
      await setMining(true);
      // A reorg may have brought a poor account's past back.
      for (const account of accounts) await setBalance(account, RICH);
      const { queued } = await readPool();
      for (const { hash, to } of queued) if (to === SINK) await rpc("anvil_dropTransaction", hash);
    },
    stop: () => anvil.stop(),
  };
}
