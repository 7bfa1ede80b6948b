import { createWalletClient, http, type HttpTransportConfig } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { anvil } from "viem/chains";
import { createNonceManager, jsonRpc } from "viem/nonce";
import type { AnvilAccount } from "../ops/anvil-accounts.ts";
import { afterNextBlock, generousFees, mined, nonces, RECIPIENT, type ChainRun } from "./chain.ts";

export interface ViemMode {
  readonly name: string;
  readonly inFlight: number;
  readonly transport: HttpTransportConfig;
  /** Gives gas and fees by hand, which saves viem its questions to the node, and the caller the simulation. */
  readonly prepared: boolean;
}

const BATCHED = { batch: { batchSize: 100 } };

export const VIEM_MODES: readonly ViemMode[] = [
  { name: "sequential", inFlight: 1, transport: {}, prepared: false },
  { name: "100 at once", inFlight: 100, transport: {}, prepared: false },
  { name: "100 at once, batch transport", inFlight: 100, transport: BATCHED, prepared: false },
  { name: "sequential, gas and fees given", inFlight: 1, transport: {}, prepared: true },
  { name: "100 at once, gas and fees given", inFlight: 100, transport: {}, prepared: true },
  {
    name: "100 at once, batch transport, gas and fees given",
    inFlight: 100,
    transport: BATCHED,
    prepared: true,
  },
];

/** Transfers from a viem wallet client with its nonce manager, until the chain's nonce says that all are mined. */
export async function viemRun(
  url: string,
  account: AnvilAccount,
  count: number,
  { inFlight, transport, prepared }: ViemMode,
): Promise<ChainRun> {
  const nonceManager = createNonceManager({ source: jsonRpc() });
  const client = createWalletClient({
    account: privateKeyToAccount(account.privateKey, { nonceManager }),
    chain: anvil,
    transport: http(url, transport),
  });
  const given = prepared ? { gas: 21_000n, ...(await generousFees(url)) } : {};
  const before = await nonces(url, [account]);
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await client.sendTransaction({ to: RECIPIENT, value: 1n, ...given });
    }
  };
  await afterNextBlock(url);
  const begunMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, worker));
  await mined(url, [account], before, count);
  const seconds = (performance.now() - begunMs) / 1000;
  return { perSecond: count / seconds, seconds };
}
