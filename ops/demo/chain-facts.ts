import { createPublicClient, createTestClient, http } from "viem";
import { ALL_ACCOUNTS } from "./plan.ts";
import type { Good } from "./traffic.ts";
import { waitUntil } from "../wait-until.ts";

/** Runtime code that reverts whatever is called: PUSH1 0, PUSH1 0, REVERT. */
const REVERT = "0x60006000fd";
/**
 * Runtime code that pays from its own funds: the second word of the call's data, in wei, to the address in the first.
 * Reverts when it cannot. CALL(gas, address, amount, no data), JUMPI over REVERT to STOP.
 */
const VAULT = "0x5f5f5f5f6020355f355af16011575f5ffd5b00";
const VAULT_FUNDS = 10n ** 18n;

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
  read(good: readonly Good[]): Promise<ChainFacts>;
}

function clientOf(chainUrl: string) {
  return createPublicClient({ transport: http(chainUrl, { batch: { batchSize: 100 } }) });
}

/** The contracts of the demo: one that reverts every call, and a vault without funds. */
export async function deployContracts(
  chainUrl: string,
  { reverter, vault }: Readonly<Record<"reverter" | "vault", `0x${string}`>>,
): Promise<void> {
  const client = createTestClient({ mode: "anvil", transport: http(chainUrl) });
  await client.setCode({ address: reverter, bytecode: REVERT });
  await client.setCode({ address: vault, bytecode: VAULT });
}

/**
 * Gives the vault so much, and resolves when that holds over a block: one that was being mined meanwhile was begun with the
 * old balance, and brings it back.
 */
export async function fundVault(
  chainUrl: string,
  address: `0x${string}`,
  value = VAULT_FUNDS,
): Promise<void> {
  const test = createTestClient({ mode: "anvil", transport: http(chainUrl) });
  const chain = clientOf(chainUrl);
  const holds = async () => {
    const balance = await chain.getBalance({ address });
    // What it pays meanwhile is little.
    return value === 0n ? balance === 0n : balance > value / 2n;
  };
  do {
    await test.setBalance({ address, value });
    const set = await chain.getBlockNumber({ cacheTime: 0 });
    await waitUntil(async () => ((await chain.getBlockNumber({ cacheTime: 0 })) > set ? true : undefined), {
      what: "a block after the vault's balance was set",
      withinMs: 30_000,
      everyMs: 100,
    });
  } while (!(await holds()));
}

/** Remembers where the chain stands now. */
export async function startReading(chainUrl: string): Promise<ChainReader> {
  const client = clientOf(chainUrl);
  const firstBlock = (await client.getBlockNumber()) + 1n;
  const noncesOf = async (): Promise<Map<string, number>> =>
    new Map(
      await Promise.all(
        ALL_ACCOUNTS.map(
          async ({ address }) => [address, await client.getTransactionCount({ address })] as const,
        ),
      ),
    );
  const before = await noncesOf();

  return {
    async read(good) {
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
