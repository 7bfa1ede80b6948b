import type { ChainPolicy } from "../../domain/config.ts";
import type { Failure } from "../../domain/failure.ts";
import type { Account } from "../../domain/ids.ts";
import { err, type Result } from "../../domain/result.ts";
import { feesOf, type EvmTransaction } from "../signers/evm-transaction.ts";
import type { EvmSigner } from "../signers/signer.ts";
import type { Broadcaster, Signed, SignRequest } from "./broadcaster.ts";
import { SharedBlocks } from "./evm-blocks.ts";
import type { EvmContext, EvmFees, EvmTerms } from "./evm-context.ts";
import { lookUp } from "./evm-look-up.ts";
import { usersOf } from "./evm-users.ts";
import { preflight } from "./evm-preflight.ts";
import { send } from "./evm-send.ts";
import { jsonRpc } from "./json-rpc.ts";

export interface EvmBroadcasterOptions {
  /** An eip155 account. */
  readonly account: Account;
  readonly chain: { readonly rpcUrl: string; readonly policy: Pick<ChainPolicy, "rpcTimeoutSeconds"> };
  readonly signer: EvmSigner;
  /** Shared by the lanes of a chain that are looked up together. */
  readonly blocks?: SharedBlocks;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

/** One account on one EVM chain, over one JSON-RPC endpoint. Throws only when the account is not an eip155 one. */
export function evmBroadcaster({
  account,
  chain,
  signer,
  blocks = new SharedBlocks(1),
  now = Date.now,
}: EvmBroadcasterOptions): Broadcaster<EvmTerms> {
  const reference = account.chain.split(":")[1];
  const { address } = account;
  if (account.namespace !== "eip155" || reference === undefined || !isHex(address))
    throw new Error(`not an eip155 account: ${account.id}`);
  const context: EvmContext = {
    address,
    chainId: BigInt(reference),
    rpc: jsonRpc(chain.rpcUrl, now),
    timeoutMs: chain.policy.rpcTimeoutSeconds * 1000,
    blocks,
    now,
  };
  return {
    preflight: (candidates) => preflight(context, candidates),
    sign: (terms, requests) => sign(context, signer, terms, requests),
    send: (transactions) => send(context, transactions),
    usersOf: (sequences, block) => usersOf(context, sequences, block),
    lookUp: (hashes, confirmations, sinceBlock = null) => lookUp(context, hashes, confirmations, sinceBlock),
  };
}

async function sign(
  context: EvmContext,
  signer: EvmSigner,
  terms: EvmTerms,
  requests: readonly SignRequest[],
): Promise<Result<readonly Signed[], Failure>> {
  const transactions: EvmTransaction[] = [];
  for (const { sequence, action, replaces } of requests) {
    const common = { chainId: context.chainId, nonce: BigInt(sequence), ...outbidding(terms, replaces) };
    if (action === null)
      transactions.push({ ...common, gas: terms.noOpGas, to: context.address, value: 0n, data: "0x" });
    else if (action.action.type === "evm.transaction") {
      const { to, value, data } = action.action;
      transactions.push({ ...common, gas: action.gas, to, value, data });
    } else
      return err({
        code: "unsupported_action",
        message: `an eip155 account takes evm.transaction, not ${action.action.type}`,
      });
  }
  return signer.sign(transactions);
}

/** The fees of the moment, or an eighth above the highest that is to be replaced: pools ask a tenth more of both. */
function outbidding(terms: EvmFees, replaces: readonly string[]): EvmFees {
  let { maxFeePerGas, maxPriorityFeePerGas } = terms;
  for (const raw of replaces) {
    const old = feesOf(raw);
    if (old === null) continue;
    maxFeePerGas = larger(maxFeePerGas, raised(old.maxFeePerGas));
    maxPriorityFeePerGas = larger(maxPriorityFeePerGas, raised(old.maxPriorityFeePerGas));
  }
  return { maxFeePerGas, maxPriorityFeePerGas };
}

function raised(fee: bigint): bigint {
  return fee + fee / 8n + 1n;
}

function larger(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}

function isHex(text: string): text is `0x${string}` {
  return text.startsWith("0x");
}
