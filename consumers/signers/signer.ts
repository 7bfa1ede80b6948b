import type { Failure } from "../../domain/failure.ts";
import type { Result } from "../../domain/result.ts";
import type { EvmTransaction } from "./evm-transaction.ts";

/** Holds the key of one account, or the way to it. */
export interface EvmSigner {
  /** One signed transaction for each, in order. Error: the key is not to be had; nothing was signed. */
  sign(transactions: readonly EvmTransaction[]): Promise<Result<readonly SignedTransaction[], Failure>>;
}

/** Both in lower-case hex with 0x. */
export interface SignedTransaction {
  readonly hash: string;
  readonly raw: string;
}
