import { workable, type Config } from "../domain/config.ts";
import type { Failure } from "../domain/failure.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import type { InboxAddress } from "../domain/inbox-name.ts";
import type { Admission, AdmissionAnswer, SequencerProtocol } from "../domain/lane.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import type { Effect, EffectResult, LeasedEvent } from "../domain/webhook-event.ts";
import type { Delivery } from "./broadcasters/http.ts";
import type { Deliver } from "./broadcasters/configured-destination.ts";
import type { Connections } from "./connections.ts";
import type { Subrequests } from "./subrequests.ts";

export interface EffectsEnv {
  readonly SEQUENCER: { getByName(name: string): Pick<SequencerProtocol, "admit"> };
  readonly DIRECTIVES: { send(body: Body): Promise<unknown> };
}

/** What carries effects out: one for each inbox of an invocation. */
export interface Effects {
  readonly env: EffectsEnv;
  readonly config: Config;
  readonly address: InboxAddress;
  readonly deliver: Deliver;
  readonly connections: Connections;
  readonly subrequests: Subrequests;
  readonly now: () => number;
}

/** One effect that is not yet carried out. `index` is its place in its event. */
export interface PendingEffect<Kind extends Effect["kind"] = Effect["kind"]> {
  readonly event: LeasedEvent;
  readonly index: number;
  readonly effect: Extract<Effect, { readonly kind: Kind }>;
}

/** The lease of a flight, by this invocation's clock: it began no earlier than `askedMs`. */
export interface Term {
  readonly askedMs: number;
  readonly leaseMs: number;
}

/** So long before the lease's end everything must have ended, so that it can still be settled. */
const MAX_SETTLING_MS = 2000;

/** What is left of a lease for effects. */
export function leftMs({ askedMs, leaseMs }: Term, nowMs: number): number {
  return askedMs + leaseMs - Math.min(MAX_SETTLING_MS, leaseMs / 10) - nowMs;
}

/**
 * Admits directives of one account, in order, in one call: durable and idempotent, so that a repetition is a duplicate.
 * One result for each. A lane that cannot be reached may have admitted them, and says so the next time.
 */
export async function admitDirectives(
  { env, config, now }: Effects,
  account: AccountId,
  pending: readonly PendingEffect<"directive">[],
): Promise<readonly EffectResult[]> {
  const startMs = now();
  const parsed = parseAccount(account);
  const answer = parsed.ok ? workable(config, parsed.value) : "unsupported_chain";
  if (answer !== "yes") {
    const failure: Failure = { code: answer, message: `${account} cannot be worked here any more` };
    return pending.map(({ index }) => ({ kind: "permanent", index, failure, status: null, latencyMs: 0 }));
  }
  const admissions: Admission[] = pending.map(({ effect }) => effect.admission);
  let answers: readonly AdmissionAnswer[] = [];
  try {
    answers = await env.SEQUENCER.getByName(account).admit(account, admissions);
  } catch (error) {
    warn("consumers.webhook-events.admit", account, error);
  }
  const latencyMs = now() - startMs;
  return pending.map(({ index }, place): EffectResult => {
    switch (answers[place]?.kind) {
      case "admitted":
      case "duplicate":
        return { kind: "done", index, status: null, latencyMs };
      case "conflict": {
        const message = "the lane has another payload under this id";
        const failure: Failure = { code: "conflicting_payload", message };
        return { kind: "permanent", index, failure, status: null, latencyMs };
      }
      case undefined: {
        const failure: Failure = { code: "lane_unavailable", message: "the lane could not be reached" };
        return { kind: "transient", index, failure, status: null, latencyMs };
      }
    }
  });
}

/**
 * Hands an event to a destination. Null when it did not begin: too little of the lease is left, or no subrequest. A
 * delivery never outlives the lease, so that the next holder cannot overtake it; a destination that is given more time than half a
 * lease gets what is left, if that is half a lease at least.
 */
export async function deliverEvent(
  { config, address, deliver, connections, subrequests, now }: Effects,
  { event, index, effect: { destination: name } }: PendingEffect<"delivery">,
  term: Term,
): Promise<EffectResult | null> {
  const destination = config.destinations.get(name);
  if (destination === undefined) {
    const failure: Failure = { code: "handler_failed", message: `there is no destination ${name} any more` };
    return { kind: "permanent", index, failure, status: null, latencyMs: 0 };
  }
  return connections.run(name, async () => {
    const timeoutMs = destination.timeoutSeconds * 1000;
    const left = leftMs(term, now());
    if (left < Math.min(timeoutMs, term.leaseMs / 2) || !subrequests.take(1)) return null;
    try {
      const outcome = await deliver(
        destination,
        Math.min(timeoutMs, left) / 1000,
        deliveryOf(event, address),
      );
      const { status, latencyMs } = outcome;
      return outcome.kind === "delivered"
        ? { kind: "done", index, status, latencyMs }
        : { kind: outcome.kind, index, failure: outcome.failure, status, latencyMs };
    } catch (error) {
      // Not its text, which may name the URL.
      warn("consumers.webhook-events.deliver", address.name, error instanceof Error ? error.name : error);
      const failure: Failure = { code: "network_error", message: "the delivery could not be made" };
      return { kind: "transient", index, failure, status: null, latencyMs: 0 };
    }
  });
}

/** Its `webhook-id` tells the source, since a receiver knows events by it, and two sources may give one id. */
function deliveryOf(event: LeasedEvent, { source, key }: InboxAddress): Delivery {
  const { id, sequence, attempt, generation, body, contentType, admittedAtMs } = event;
  const replayed = generation > 0;
  const webhookId = `${source}:${id}`;
  return { webhookId, sequence, source, key, attempt, replayed, body, contentType, admittedAtMs };
}

/** Tells lanes that they have work. One that does not hear it rings by its own alarm. */
export async function ringLanes(env: EffectsEnv, accounts: Iterable<AccountId>): Promise<void> {
  await Promise.all(
    Array.from(accounts, async (account) => {
      try {
        await env.DIRECTIVES.send(encodeMessage({ kind: "doorbell", account }));
      } catch (error) {
        warn("consumers.webhook-events.ring", account, error);
      }
    }),
  );
}

/** One line; never a body, a URL or a secret. */
export function warn(at: string, lane: string | null, error: unknown): void {
  console.warn(JSON.stringify({ at, lane, error: error instanceof Error ? error.message : String(error) }));
}
