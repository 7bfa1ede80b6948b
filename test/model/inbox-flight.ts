import type { Failure } from "../../domain/failure.ts";
import type { Effect, EffectResult, InboxWork } from "../../domain/webhook-event.ts";
import type { Delivery } from "./model-receiver.ts";

export const PERMANENT: Failure = { code: "forbidden", message: "model" };
export const TRANSIENT: Failure = { code: "endpoint_error", message: "model" };
export const HANDLER: Failure = { code: "handler_failed", message: "model" };

/** A consumer invocation, stopped between two of its steps. */
export interface Flight {
  readonly work: InboxWork;
  readonly deadlineMs: number;
  step: "plan" | "deliver" | "settle";
  readonly effects: Map<number, readonly Effect[]>;
  readonly results: Map<number, EffectResult[]>;
  sending: Delivery | null;
  /** Given up by an operator while this flight had them: what it says of them counts for nothing. */
  readonly skipped: Set<number>;
  /** No further delivery begins. */
  stopped: boolean;
}

export interface InboxKind {
  readonly ordered: boolean;
  readonly afterPermanentFailure: "continue" | "pause";
}
