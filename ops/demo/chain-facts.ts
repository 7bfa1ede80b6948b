import { createPublicClient, createTestClient, http } from "viem";
import { ACCOUNTS, type Good, type Traffic } from "./traffic.ts";

/** Runtime code that reverts whatever is called: PUSH1 0, PUSH1 0, REVERT. */
const REVERT = "0x60006000fd";

export interface Mined {
  readonly hash: string;
  readonly from: string;
  readonly to: string;
  readonly success: boolean;
}

/** What the chain itself says, asked at the node: not through the Worker, nor through the endpoint in front of it. Addresses in lower case. */
export interface ChainFacts {
  /** By account: the nonce, and by how much it moved. */
  readonly nonces: ReadonlyMap<string, { readonly now: number; readonly moved: number }>;
  /** Every transaction in the blocks of the run. */
  readonly mined: readonly Mined[];
  /** By recipient of a good directive. */
  readonly balances: ReadonlyMap<string, bigint>;
}

export interface ChainReader {
  /** Everything since `startReading`. */
  read(traffic: Traffic): Promise<ChainFacts>;
}

function clientOf(chainUrl: string) {
  return createPublicClient({ transport: http(chainUrl, { batch: { batchSize: 100 } }) });
}

export async function deployReverter(chainUrl: string, address: `0x${string}`): Promise<void> {
  const client = createTestClient({ mode: "anvil", transport: http(chainUrl) });
  await client.setCode({ address, bytecode: REVERT });
}

/** Remembers where the chain stands now. */
export async function startReading(chainUrl: string): Promise<ChainReader> {
  const client = clientOf(chainUrl);
  const firstBlock = (await client.getBlockNumber()) + 1n;
  const noncesOf = async (): Promise<Map<string, number>> =>
    new Map(
      await Promise.all(
        ACCOUNTS.map(
          async ({ address }) => [address, await client.getTransactionCount({ address })] as const,
        ),
      ),
    );
  const before = await noncesOf();

  return {
    async read({ good }) {
      const lastBlock = await client.getBlockNumber();
      const numbers = Array.from(
        { length: Number(lastBlock - firstBlock) + 1 },
        (_, index) => firstBlock + BigInt(index),
      );
      const blocks = await Promise.all(
        numbers.map((blockNumber) => client.getBlock({ blockNumber, includeTransactions: true })),
      );
      const mined = await Promise.all(
        blocks
          .flatMap(({ transactions }) => transactions)
          .map(async ({ hash, from, to }) => {
            const { status } = await client.getTransactionReceipt({ hash });
            return {
              hash,
              from: from.toLowerCase(),
              to: to?.toLowerCase() ?? "",
              success: status === "success",
            };
          }),
      );
      const nonces = Array.from(await noncesOf(), ([address, now]) => {
        return [address, { now, moved: now - (before.get(address) ?? 0) }] as const;
      });
      return { nonces: new Map(nonces), mined, balances: new Map(await Promise.all(good.map(balanceOf))) };
    },
  };

  async function balanceOf({ recipient }: Good): Promise<readonly [string, bigint]> {
    return [recipient, await client.getBalance({ address: recipient })];
  }
}
