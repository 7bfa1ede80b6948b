import type { Failure } from "../domain/failure.ts";
import type { InboxName } from "../domain/inbox-name.ts";
import type { EffectResult, EventPlan, LeasedEvent } from "../domain/webhook-event.ts";

/**
 * One wide line for each failed attempt. Not the failure's message, which may repeat what a destination or a handler
 * said of the body: the inbox keeps it, for those who may see the event.
 */
export function logFailedAttempt(inbox: InboxName, event: LeasedEvent, result: EffectResult): void {
  if (result.kind === "done") return;
  const effect = event.effects?.[result.index]?.effect;
  const target = effect?.kind === "directive" ? effect.admission.id : effect?.destination;
  log(inbox, event, result.failure, {
    end: result.kind,
    effect: effect?.kind ?? null,
    target: target ?? null,
    status: result.status,
    latencyMs: result.latencyMs,
  });
}

/** The same of an event whose handler failed. */
export function logFailedPlan(inbox: InboxName, event: LeasedEvent, { failure }: EventPlan): void {
  if (failure === null) return;
  log(inbox, event, failure, {
    end: "permanent",
    effect: "handle",
    target: null,
    status: null,
    latencyMs: null,
  });
}

function log(
  inbox: InboxName,
  { id, sequence, attempt, generation }: LeasedEvent,
  { code, retryAfterSeconds }: Failure,
  end: Readonly<Record<string, string | number | null>>,
): void {
  const at = "consumers.webhook-events.attempt";
  console.warn(
    JSON.stringify({ at, inbox, id, sequence, attempt, generation, code, retryAfterSeconds, ...end }),
  );
}
