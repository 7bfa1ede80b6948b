import type { InboxAddress } from "../domain/inbox-name.ts";
import type { LetterKey } from "../domain/lane.ts";
import type {
  EventAdmission,
  EventAdmissionAnswer,
  EventReadmissionAnswer,
} from "../domain/webhook-event.ts";
import {
  audited,
  entryOf,
  type EventRecord,
  type InboxMoment,
  type InboxState,
} from "./webhook-inbox-state.ts";

/** `altered`: it came again with another body than the first, which stands. Said once of an event. */
type InboxAdmission = EventAdmissionAnswer & { readonly altered: boolean };

/**
 * G4: the sequence is the event's place in the order of admission. A redelivery finds its id, and changes nothing; the log
 * says so where its body is another, for its provider may have meant another event.
 */
export function admitEvent(
  inbox: InboxState,
  address: InboxAddress,
  { body, ...event }: EventAdmission,
  { nowMs }: InboxMoment,
): InboxAdmission {
  const { header } = inbox;
  if (header.address !== null && header.address.name !== address.name)
    throw new Error("an inbox serves one ordering key");
  header.address ??= address;
  const known = inbox.sequenceOf(event.id);
  if (known !== undefined)
    return {
      kind: "duplicate",
      id: event.id,
      sequence: known,
      altered: logAltered(inbox, known, event, nowMs),
    };
  const sequence = header.nextSequence;
  header.nextSequence += 1;
  inbox.insert(newRecord({ sequence, ...event, admittedAtMs: nowMs }), body);
  return { kind: "admitted", id: event.id, sequence, altered: false };
}

/** True the first time: redeliveries without end write no rows. */
function logAltered(
  inbox: InboxState,
  sequence: number,
  { id, digest }: Pick<EventAdmission, "id" | "digest">,
  nowMs: number,
): boolean {
  const record = inbox.event(sequence);
  if (record === undefined || record.digest === digest || record.altered) return false;
  inbox.putEvent({ ...record, altered: true });
  inbox.addEvent({
    atMs: nowMs,
    kind: "altered",
    detail: `event ${id} came again with another body: the first stands`,
  });
  return true;
}

/** What is known of an event at its admission. */
export type AdmittedEvent = Pick<EventRecord, "sequence" | "id" | "digest" | "contentType" | "admittedAtMs">;

export function newRecord(event: AdmittedEvent): EventRecord {
  return {
    ...event,
    state: "queued",
    effects: null,
    attempts: 0,
    generation: 0,
    retries: 0,
    lastRetry: null,
    spentMs: 0,
    lone: false,
    altered: false,
    fatal: null,
    firstFailure: null,
    failure: null,
    audit: [],
    updatedAtMs: event.admittedAtMs,
  };
}

/**
 * Compare-and-set on (id, digest, generation), only from `dead`, so that two replays never both send one. The effects
 * that were done stay done; the others are to be done. The time budget begins anew: the cause is said to be gone.
 */
export function readmitEvent(
  inbox: InboxState,
  { id, digest, generation: from }: LetterKey,
  { nowMs }: InboxMoment,
): EventReadmissionAnswer {
  const sequence = inbox.sequenceOf(id);
  const record = sequence === undefined ? undefined : inbox.event(sequence);
  if (record === undefined || record.digest !== digest) return { kind: "unknown" };
  if (record.state === "settled") return { kind: "already-landed" };
  if (record.state !== "dead" || record.generation !== from)
    return { kind: "moved-on", status: record.state, generation: record.generation };
  const generation = record.generation + 1;
  const readmitted: EventRecord = {
    ...record,
    state: "queued",
    effects:
      record.effects?.map(({ effect, state }) => ({ effect, state: state === "done" ? state : "pending" })) ??
      null,
    generation,
    retries: 0,
    lastRetry: null,
    spentMs: 0,
    fatal: null,
    updatedAtMs: nowMs,
  };
  inbox.putEvent(audited(readmitted, entryOf(nowMs, "readmitted")));
  inbox.putWaiting({ sequence: record.sequence, dueMs: nowMs, late: true });
  inbox.letterPaid(record.sequence);
  inbox.header.counts.dead -= 1;
  inbox.header.prompt = true;
  return { kind: "readmitted", generation };
}
