import type { Failure } from "../../domain/failure.ts";
import type { SignedEntry, Work } from "../../domain/lane.ts";
import type { Outcome } from "../../domain/outcome.ts";
import type { Tx } from "./model-chain.ts";

export const REVERTS: Failure = { code: "execution_reverted", message: "model" };
export const NO_FUNDS: Failure = { code: "insufficient_funds", message: "model" };
export const TIMEOUT: Failure = { code: "endpoint_timeout", message: "model" };
export const UNAUTHORIZED: Failure = { code: "unauthorized", message: "model" };
export const TOO_LITTLE_GAS: Failure = { code: "intrinsic_gas_too_low", message: "model" };

/** A consumer invocation, stopped between two of its steps. */
export interface Flight {
  readonly work: Work;
  readonly deadlineMs: number;
  step: "prepare" | "record" | "send" | "settle";
  reading: number;
  entries: SignedEntry[];
  refusals: { id: string; failure: Failure }[];
  toSend: Tx[];
  outcomes: { hash: string; outcome: Outcome }[];
  outage: Failure | null;
}
