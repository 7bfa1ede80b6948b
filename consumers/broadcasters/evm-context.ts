import type { Failure } from "../../domain/failure.ts";
import type { SharedBlocks } from "./evm-blocks.ts";
import type { JsonRpc } from "./json-rpc.ts";

/** In wei per gas. */
export interface EvmFees {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** The fees of the moment, and what a transaction of the account to itself costs. */
export interface EvmTerms extends EvmFees {
  readonly noOpGas: bigint;
}

/** What every operation on one account of one chain needs. */
export interface EvmContext {
  readonly address: `0x${string}`;
  readonly chainId: bigint;
  readonly rpc: JsonRpc;
  /** For one request; `preflight` and `send` keep within it with all of theirs. */
  readonly timeoutMs: number;
  /** What look-ups of other lanes of the chain have read already. */
  readonly blocks: SharedBlocks;
  readonly now: () => number;
}

export function wrongChain({ chainId }: EvmContext, served: bigint): Failure {
  return {
    code: "wrong_chain",
    message: `the endpoint serves chain ${served}, the account is on chain ${chainId}`,
  };
}
