import { laneCalls, type LaneCalls } from "./client-lanes.ts";
import { letterCalls, type LetterCalls } from "./client-letters.ts";
import { replayCalls, type ReplayCalls } from "./client-replays.ts";
import { transport, type TransportOptions } from "./client-transport.ts";
import { webhookCalls, type WebhookCalls } from "./client-webhooks.ts";

export type { LetterReport } from "./client-letters.ts";
export { ApiError } from "./client-transport.ts";

/**
 * Answers of the API that are no success throw `ApiError`, unless a method says otherwise; no answer throws
 * `UnreachableError`, one that does not fit `AnswerError`.
 */
export interface Client extends LaneCalls, LetterCalls, ReplayCalls, WebhookCalls {
  readonly url: string;
  /** Whether the Worker says that it runs. Throws `UnreachableError`. */
  healthy(): Promise<boolean>;
}

/** A client of Lockstep's HTTP API with one token. */
export function lockstepClient(options: TransportOptions): Client {
  const calls = transport(options);
  return {
    url: calls.url,
    healthy: async () => (await calls.call("/healthz")).status === 200,
    ...laneCalls(calls),
    ...letterCalls(calls),
    ...replayCalls(calls),
    ...webhookCalls(calls),
  };
}
