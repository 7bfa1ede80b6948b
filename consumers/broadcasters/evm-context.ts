import type { Failure } from "../../domain/failure.ts";
import type { JsonRpc } from "./json-rpc.ts";

/** The fees of the moment, in wei per gas. */
export interface EvmTerms {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** What every operation on one account of one chain needs. */
export interface EvmContext {
  readonly address: `0x${string}`;
  readonly chainId: bigint;
  readonly rpc: JsonRpc;
  /** For one request; `preflight` and `send` keep within it with all of theirs. */
  readonly timeoutMs: number;
  readonly now: () => number;
}

export function wrongChain({ chainId }: EvmContext, served: bigint): Failure {
  return {
    code: "wrong_chain",
    message: `the endpoint serves chain ${served}, the account is on chain ${chainId}`,
  };
}
