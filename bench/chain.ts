import { hexToBytes, toHex } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { z } from "zod";
import { signTransaction } from "../consumers/signers/local-key.ts";
import type { AnvilAccount } from "../ops/anvil-accounts.ts";
import { pause, waitUntil } from "../ops/wait-until.ts";

export interface RpcCall {
  readonly method: string;
  readonly params: readonly unknown[];
}

const CHAIN_ID = 31337n;
/** A JSON-RPC batch of so many calls, as Lockstep sends them. */
export const BATCH = 100;
const MINED_WITHIN_MS = 120_000;
const POLL_MS = 50;
const replySchema = z.array(
  z.object({ id: z.number(), result: z.unknown().optional(), error: z.unknown().optional() }),
);
const quantity = z.string().transform((hex) => BigInt(hex));

/** One JSON-RPC batch. The results are in the order of the calls. Throws when the node refuses one of them. */
export async function rpc(url: string, calls: readonly RpcCall[]): Promise<readonly unknown[]> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(calls.map((call, id) => ({ jsonrpc: "2.0", id, ...call }))),
  });
  const replies = new Map(replySchema.parse(await response.json()).map((reply) => [reply.id, reply]));
  return calls.map(({ method }, id) => {
    const reply = replies.get(id);
    if (reply?.result === undefined)
      throw new Error(`${method}: ${JSON.stringify(reply?.error ?? "no answer")}`);
    return reply.result;
  });
}

/** The next nonces of accounts in the latest block. */
export async function nonces(url: string, accounts: readonly AnvilAccount[]): Promise<readonly number[]> {
  const results = await rpc(
    url,
    accounts.map(({ address }) => ({ method: "eth_getTransactionCount", params: [address, "latest"] })),
  );
  return results.map((result) => Number(quantity.parse(result)));
}

export interface Fees {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** Fees that stay enough for as long as a run takes. */
export async function generousFees(url: string): Promise<Fees> {
  const [latest] = await rpc(url, [{ method: "eth_getBlockByNumber", params: ["latest", false] }]);
  const { baseFeePerGas } = z.object({ baseFeePerGas: quantity }).parse(latest);
  return { maxFeePerGas: 10n * baseFeePerGas + 2_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n };
}

/** Resolves right after a block: every case begins there, so that none is lucky. */
export async function afterNextBlock(url: string): Promise<void> {
  const height = async () => quantity.parse((await rpc(url, [{ method: "eth_blockNumber", params: [] }]))[0]);
  const before = await height();
  await waitUntil(async () => ((await height()) > before ? true : undefined), {
    what: "the next block",
    withinMs: 30_000,
    everyMs: 10,
  });
}

/** Resolves when the chain has mined so many more transactions of each account than `before`. */
export async function mined(
  url: string,
  accounts: readonly AnvilAccount[],
  before: readonly number[],
  each: number,
): Promise<void> {
  await waitUntil(
    async () => {
      const now = await nonces(url, accounts);
      return now.every((nonce, index) => nonce >= (before[index] ?? 0) + each) ? true : undefined;
    },
    { what: `${each} transactions of each account`, withinMs: MINED_WITHIN_MS, everyMs: POLL_MS },
  );
}

/** Mined transactions per second. */
export interface ChainRun {
  readonly perSecond: number;
  readonly seconds: number;
}

/**
 * The ceiling of everything that sends to this node: transfers that were signed before, in batches of 100, one batch
 * in flight, until the chain's nonces say that all are mined. Batches of several accounts take turns.
 */
export async function presigned(
  url: string,
  accounts: readonly AnvilAccount[],
  each: number,
): Promise<ChainRun> {
  const before = await nonces(url, accounts);
  const fees = await generousFees(url);
  const batches: RpcCall[][] = [];
  for (let start = 0; start < each; start += BATCH) {
    for (const [index, account] of accounts.entries()) {
      const first = (before[index] ?? 0) + start;
      batches.push(signedBatch(account, first, Math.min(BATCH, each - start), fees));
    }
  }
  await afterNextBlock(url);
  const begunMs = performance.now();
  for (const batch of batches) await rpc(url, batch);
  await mined(url, accounts, before, each);
  const seconds = (performance.now() - begunMs) / 1000;
  // The node still has the blocks to write down.
  await pause(500);
  return { perSecond: (each * accounts.length) / seconds, seconds };
}

function signedBatch({ privateKey }: AnvilAccount, first: number, count: number, fees: Fees): RpcCall[] {
  const secret = hexToBytes(privateKey);
  return Array.from({ length: count }, (_, index) => {
    const transaction = {
      ...fees,
      chainId: CHAIN_ID,
      nonce: BigInt(first + index),
      gas: 21_000n,
      to: RECIPIENT,
      value: 1n,
      data: "0x" as const,
    };
    return { method: "eth_sendRawTransaction", params: [signTransaction(transaction, secret).raw] };
  });
}

/** Receives one wei of each transaction. */
export const RECIPIENT: `0x${string}` = "0x00000000000000000000000000000000000be9c4";

/** Accounts with new keys and more than enough wei. */
export async function fundedStrangers(url: string, count: number): Promise<readonly AnvilAccount[]> {
  const strangers = Array.from({ length: count }, (): AnvilAccount => {
    const privateKey = generatePrivateKey();
    const { address } = privateKeyToAccount(privateKey);
    return { id: `eip155:31337:${address.toLowerCase()}`, address, privateKey };
  });
  await rpc(
    url,
    strangers.map(({ address }) => ({ method: "anvil_setBalance", params: [address, toHex(10n ** 24n)] })),
  );
  return strangers;
}

/** Gives the limit that held before. */
export async function setBlockGasLimit(url: string, gasLimit: bigint): Promise<bigint> {
  const [latest] = await rpc(url, [{ method: "eth_getBlockByNumber", params: ["latest", false] }]);
  await rpc(url, [{ method: "evm_setBlockGasLimit", params: [toHex(gasLimit)] }]);
  return z.object({ gasLimit: quantity }).parse(latest).gasLimit;
}
