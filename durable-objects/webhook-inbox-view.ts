import type { EventView, InboxStatusView } from "../domain/webhook-event.ts";
import { nextDueMs } from "./webhook-inbox-lease.ts";
import { headOf } from "./webhook-inbox-operations.ts";
import {
  entryOf,
  inboxCounts,
  newInboxHeader,
  targetOf,
  type EventRecord,
  type InboxMoment,
} from "./webhook-inbox-state.ts";
import type { InboxStorage } from "./webhook-inbox-storage.ts";

const SHOWN_EVENTS = 50;

export function eventView(record: EventRecord): EventView {
  const { sequence, id, digest, state, generation, attempts, failure, admittedAtMs, updatedAtMs } = record;
  const effects = (record.effects ?? []).map(({ effect, state: effectState }) => ({
    kind: effect.kind,
    target: targetOf(effect),
    account: effect.kind === "directive" ? effect.account : null,
    state: effectState,
  }));
  const audit = [entryOf(admittedAtMs, "admitted"), ...record.audit];
  return {
    id,
    sequence,
    digest,
    status: state,
    generation,
    attempts,
    failure,
    effects,
    audit,
    admittedAtMs,
    updatedAtMs,
  };
}

export function inboxStatus(inbox: InboxStorage, moment: InboxMoment): InboxStatusView {
  const { header } = inbox;
  const { nowMs } = moment;
  const { paused, lease } = header;
  const waits = (lease === null || lease.deadlineMs <= nowMs) && (nextDueMs(inbox, moment) ?? nowMs) > nowMs;
  return {
    status: paused !== null ? "paused" : waits ? "waiting" : "live",
    reason: paused === null ? null : `${paused.actor}: ${paused.reason}`,
    nextSequence: header.nextSequence,
    head: headOf(inbox, moment),
    counts: inboxCounts(header),
    lettersOwed: inbox.lettersOwedCount(),
    attempts: header.attempts,
    events: inbox.log(SHOWN_EVENTS),
  };
}

/** Of an inbox that nothing was ever admitted to. */
export function emptyStatus(): InboxStatusView {
  return {
    status: "live",
    reason: null,
    nextSequence: 0,
    head: null,
    counts: inboxCounts(newInboxHeader()),
    lettersOwed: 0,
    attempts: {},
    events: [],
  };
}
