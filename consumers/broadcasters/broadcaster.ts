import type { Action } from "../../domain/directive.ts";
import type { Failure } from "../../domain/failure.ts";
import type { ChainReading, Evidence } from "../../domain/lane.ts";
import type { Outcome } from "../../domain/outcome.ts";
import type { Result } from "../../domain/result.ts";

/** One account on one chain, as a consumer works with it. Never throws for what a chain or an endpoint may answer. */
export interface Broadcaster<Terms> {
  /**
   * In one round trip: the account's next sequence in the latest block, the terms (fees) of the moment, and a
   * simulation of each candidate. `outage`: nothing can be said of any candidate; nothing was sent.
   */
  preflight(candidates: readonly Candidate[]): Promise<Preflight<Terms>>;
  /** Signs without any network. Error: the signer is not to be had. */
  sign(terms: Terms, requests: readonly SignRequest[]): Promise<Result<readonly Signed[], Failure>>;
  /**
   * Sends stored bytes in the given order and says what became of each, by hash: every hash has its outcome.
   * `unavailable` only where no send began; whatever is not the node's own known answer is `uncertain`.
   */
  send(transactions: readonly Signed[]): Promise<ReadonlyMap<string, Outcome>>;
  /**
   * The transactions that used sequences of the account up, as of a final block: whoever signed them. Those that cannot
   * be found are left out.
   */
  usersOf(
    sequences: readonly number[],
    block: number,
  ): Promise<Result<readonly { readonly sequence: number; readonly hash: string }[], Failure>>;
  /**
   * Evidence from one node at one block, `confirmations` deep (1 is the latest block). `sinceBlock`: what is asked for
   * was probably included after it, so that many hashes may be cheaper to find block by block.
   */
  lookUp(
    hashes: readonly string[],
    confirmations: number,
    sinceBlock?: number | null,
  ): Promise<Result<Evidence, Failure>>;
}

export interface Candidate {
  readonly id: string;
  readonly action: Action;
}

export type Preflight<Terms> =
  | {
      readonly kind: "ready";
      readonly reading: ChainReading;
      readonly terms: Terms;
      readonly verdicts: ReadonlyMap<string, Verdict>;
    }
  | { readonly kind: "outage"; readonly failure: Failure };

/** `gas` is the limit to sign with. */
export type Verdict =
  | { readonly kind: "pass"; readonly gas: bigint }
  | { readonly kind: "refused"; readonly failure: Failure };

export interface SignRequest {
  readonly sequence: number;
  /** Null asks for a no-op that only uses the sequence up. */
  readonly action: { readonly action: Action; readonly gas: bigint } | null;
  /** Raw transactions at the same sequence that this one must outbid. */
  readonly replaces: readonly string[];
}

export interface Signed {
  readonly hash: string;
  readonly raw: string;
  /** The last height at which it may be included, where the chain has such a limit. */
  readonly validUntil?: number;
}
