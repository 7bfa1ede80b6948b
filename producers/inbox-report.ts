import type { z } from "zod";
import type { EventReport, eventSummarySchema, InboxReport } from "../domain/api-webhooks.ts";
import type { InboxAddress } from "../domain/inbox-name.ts";
import type { EventView, InboxStatusView } from "../domain/webhook-event.ts";

export function eventSummary(
  { source, key, name }: InboxAddress,
  event: EventView,
): z.infer<typeof eventSummarySchema> {
  const { id, sequence, status, attempts, generation, failure } = event;
  return {
    id,
    source,
    key,
    inbox: name,
    sequence,
    status,
    attempts,
    generation,
    failure:
      failure === null ? null : { code: failure.code, message: failure.message, at: iso(failure.atMs) },
    admittedAt: iso(event.admittedAtMs),
    updatedAt: iso(event.updatedAtMs),
  };
}

export function eventReport(address: InboxAddress, event: EventView): EventReport {
  return {
    ...eventSummary(address, event),
    digest: event.digest,
    effects: event.effects.map(({ kind, target, account, state }) => ({ kind, target, account, state })),
    audit: event.audit.map(({ atMs, what, status, latencyMs }) => ({
      at: iso(atMs),
      what,
      status,
      latencyMs,
    })),
  };
}

export function inboxReport({ source, key, name }: InboxAddress, view: InboxStatusView): InboxReport {
  const { admitted, settled, dead, inFlight } = view.counts;
  return {
    inbox: name,
    source,
    key,
    status: view.status,
    reason: view.reason,
    nextSequence: view.nextSequence,
    head: view.head,
    counts: { admitted, settled, dead, inFlight },
    lettersOwed: view.lettersOwed,
    events: view.events.map(({ atMs, kind, detail }) => ({ at: iso(atMs), kind, detail })),
  };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
