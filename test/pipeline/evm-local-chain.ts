import { afterAll, beforeAll, beforeEach } from "vitest";
import { z } from "zod";
import type {
  Broadcaster,
  Candidate,
  Signed,
  SignRequest,
} from "../../consumers/broadcasters/broadcaster.ts";
import type { EvmTerms } from "../../consumers/broadcasters/evm-context.ts";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import { localKeySigner } from "../../consumers/signers/local-key.ts";
import type { EvmTransactionAction } from "../../domain/directive.ts";
import type { Outcome } from "../../domain/outcome.ts";
import { parseAccount } from "../../domain/ids.ts";
import { startAnvil, type Anvil } from "../../ops/anvil.ts";

export const ALICE = {
  address: "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
  key: "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
};
/** Has nothing. */
export const PAUPER = {
  address: "0xc06d73162e9bffbcfbf1da59c511002a8f9155e5",
  key: `0x${"11".repeat(31)}12`,
};
export const BOB = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
/** Reverts with Error("nope!"). */
export const REVERTS = "0x00000000000000000000000000000000000000a1";
/** Runs until the gas is gone. */
export const LOOPS = "0x00000000000000000000000000000000000000a2";
/** Stores its caller: 22,100 gas beside the transaction's own. */
export const STORES = "0x00000000000000000000000000000000000000a3";

export interface LocalChain {
  readonly url: string;
  readonly alice: Broadcaster<EvmTerms>;
  rpc(method: string, ...params: unknown[]): Promise<unknown>;
  broadcasterOf(
    account: typeof ALICE,
    at?: { readonly url?: string; readonly chain?: number },
  ): Broadcaster<EvmTerms>;
  /** Signs one transaction with the fees of the moment, or with `fees`, and sends it. */
  outcomeOf(
    request: SignRequest,
    broadcaster?: Broadcaster<EvmTerms>,
    fees?: Partial<EvmTerms>,
  ): Promise<{ signed: Signed; outcome: Outcome | undefined }>;
}

/** A chain for the tests of a file, as new for each of them. Blocks come only by `evm_mine`. */
export function localChain(): LocalChain {
  let anvil: Anvil | undefined;
  let snapshot: unknown;
  const started = (): Anvil => {
    if (anvil === undefined) throw new Error("the chain is started by beforeAll");
    return anvil;
  };
  const chain: LocalChain = {
    get url() {
      return started().url;
    },
    get alice() {
      return chain.broadcasterOf(ALICE);
    },
    async rpc(method, ...params) {
      const response = await fetch(chain.url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
      });
      return z.object({ result: z.unknown() }).parse(await response.json()).result;
    },
    broadcasterOf({ address, key }, at = {}) {
      const account = parseAccount(`eip155:${at.chain ?? 31337}:${address}`);
      if (!account.ok) throw new Error(account.error);
      const signer = localKeySigner({ account: account.value, key: { env: "KEY" }, env: { KEY: key } });
      return evmBroadcaster({
        account: account.value,
        chain: { rpcUrl: at.url ?? chain.url, policy: { rpcTimeoutSeconds: 20 } },
        signer,
      });
    },
    async outcomeOf(request, broadcaster = chain.alice, fees = {}) {
      const { terms } = await ready(broadcaster);
      const [signed] = await signedBy(broadcaster, { ...terms, ...fees }, [request]);
      if (signed === undefined) throw new Error("nothing was signed");
      return { signed, outcome: (await broadcaster.send([signed])).get(signed.hash) };
    },
  };

  beforeAll(async () => {
    anvil = await startAnvil({ port: 0, quiet: true });
    const error = `08c379a0${"20".padStart(64, "0")}${"05".padStart(64, "0")}${Buffer.from("nope!").toString("hex").padEnd(64, "0")}`;
    await chain.rpc("anvil_setCode", REVERTS, `0x6064600c60003960646000fd${error}`);
    await chain.rpc("anvil_setCode", LOOPS, "0x5b600056");
    await chain.rpc("anvil_setCode", STORES, "0x3360005500");
  });

  afterAll(() => anvil?.stop());

  beforeEach(async () => {
    // A snapshot serves once, and does not hold the pool.
    if (snapshot !== undefined) await chain.rpc("evm_revert", snapshot);
    await chain.rpc("anvil_dropAllTransactions");
    snapshot = await chain.rpc("evm_snapshot");
  });
  return chain;
}

export function evm(action: Partial<EvmTransactionAction> = {}): EvmTransactionAction {
  return { type: "evm.transaction", to: BOB, value: 1n, data: "0x", gas: null, ...action };
}

export function transfer(
  sequence: number,
  action: Partial<EvmTransactionAction> = {},
  gas = 21_000n,
): SignRequest {
  return { sequence, action: { action: evm(action), gas }, replaces: [] };
}

export async function ready(broadcaster: Broadcaster<EvmTerms>, candidates: readonly Candidate[] = []) {
  const answer = await broadcaster.preflight(candidates);
  if (answer.kind !== "ready") throw new Error(`${answer.failure.code}: ${answer.failure.message}`);
  return answer;
}

export async function signedBy(
  broadcaster: Broadcaster<EvmTerms>,
  terms: EvmTerms,
  requests: readonly SignRequest[],
): Promise<readonly Signed[]> {
  const answer = await broadcaster.sign(terms, requests);
  if (!answer.ok) throw new Error(answer.error.message);
  return answer.value;
}
