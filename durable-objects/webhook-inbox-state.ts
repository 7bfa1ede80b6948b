import type { TimedFailure } from "../domain/failure.ts";
import type { LaneEvent, LetterKey } from "../domain/lane.ts";
import { retryDelaySeconds } from "../domain/retry.ts";
import type {
  AuditEntry,
  Effect,
  EffectResult,
  EffectState,
  EventAdmission,
  EventAdmissionAnswer,
  EventPlan,
  EventStatus,
  InboxAddress,
  InboxSettleAnswer,
  InboxSettlement,
  InboxTakeAnswer,
  LeasedEvent,
} from "../domain/webhook-event.ts";

/**
 * The inbox of one source and ordering key: events in admission order, each with what is to be done for it. The
 * functions here know no clock, no network and no storage.
 *
 * Invariants: an event's sequence is its place in the order of admission (G4); a provider's redelivery finds its id
 * or digest and is no second event; effects are stored before any begins; a stale token changes nothing; of an
 * ordered key only the oldest unsettled events are lent, and none after one that is not due.
 */
export interface InboxState {
  readonly header: InboxHeader;
  event(sequence: number): EventRecord | undefined;
  putEvent(record: EventRecord): void;
  /** The sequence that was given to an id. */
  sequenceOf(id: string): number | undefined;
  remember(id: string, sequence: number, nowMs: number): void;
  bodyOf(sequence: number): string;
  putBody(sequence: number, body: string): void;
  /** The unsettled, lowest sequence first. */
  pending(limit: number): readonly EventRecord[];
  setPending(sequence: number, dueMs: number): void;
  clearPending(sequence: number): void;
  pendingDue(nowMs: number, limit: number): readonly EventRecord[];
  pendingNextDueMs(): number | null;
  /** When the oldest unsettled event is due. */
  pendingHeadDueMs(): number | null;
  oweLetter(sequence: number, dueMs: number): void;
  lettersOwedDue(nowMs: number, limit: number): readonly EventRecord[];
  lettersOwedNextMs(): number | null;
  addEvent(event: LaneEvent): void;
  /** Drops bodies, and ids of redeliveries, of what ended before a time. True when there is more. */
  prune(endedBeforeMs: number, limit: number): boolean;
}

export interface InboxHeader {
  address: InboxAddress | null;
  nextSequence: number;
  token: number;
  lease: { token: number; holder: string; deadlineMs: number; sequences: readonly number[] } | null;
  counts: { admitted: number; settled: number; dead: number };
  paused: { reason: string; actor: string; sinceMs: number } | null;
  ringAtMs: number | null;
  pruneAtMs: number | null;
}

export interface EventRecord {
  readonly sequence: number;
  readonly id: string;
  readonly digest: string;
  readonly contentType: string;
  readonly state: EventStatus;
  readonly effects: readonly { readonly effect: Effect; readonly state: EffectState }[] | null;
  readonly attempts: number;
  readonly generation: number;
  readonly firstFailure: TimedFailure | null;
  readonly failure: TimedFailure | null;
  readonly audit: readonly AuditEntry[];
  readonly admittedAtMs: number;
  readonly updatedAtMs: number;
}

export interface InboxPolicy {
  readonly leaseSeconds: number;
  readonly giveUpAfterSeconds: number;
  readonly afterPermanentFailure: "continue" | "pause";
  readonly retentionSeconds: number;
}

export interface InboxMoment {
  readonly nowMs: number;
  readonly random: () => number;
  readonly policy: InboxPolicy;
}

const MAX_FLIGHT = 50;
const MAX_AUDIT = 40;
const GRACE_MS = 3000;
const LETTER_AGAIN_MS = 30_000;

export function newInboxHeader(): InboxHeader {
  return {
    address: null,
    nextSequence: 0,
    token: 0,
    lease: null,
    counts: { admitted: 0, settled: 0, dead: 0 },
    paused: null,
    ringAtMs: null,
    pruneAtMs: null,
  };
}

export function admitEvent(inbox: InboxState, address: InboxAddress, event: EventAdmission, { nowMs }: InboxMoment): EventAdmissionAnswer {
  const { header } = inbox;
  header.address ??= address;
  const known = inbox.sequenceOf(event.id);
  if (known !== undefined) return { kind: "duplicate", id: event.id, sequence: known };
  const sequence = header.nextSequence;
  header.nextSequence += 1;
  header.counts.admitted += 1;
  inbox.putEvent({
    sequence,
    id: event.id,
    digest: event.digest,
    contentType: event.contentType,
    state: "queued",
    effects: null,
    attempts: 0,
    generation: 0,
    firstFailure: null,
    failure: null,
    audit: [{ atMs: nowMs, what: "admitted", status: null, latencyMs: null }],
    admittedAtMs: nowMs,
    updatedAtMs: nowMs,
  });
  inbox.putBody(sequence, event.body);
  inbox.remember(event.id, sequence, nowMs);
  inbox.setPending(sequence, nowMs);
  return { kind: "admitted", id: event.id, sequence };
}

export function takeEvents(inbox: InboxState, holder: string, { nowMs, policy }: InboxMoment): InboxTakeAnswer {
  const { header } = inbox;
  if (header.lease !== null && header.lease.deadlineMs <= nowMs) header.lease = null;
  if (header.address === null) return { kind: "empty" };
  if (header.paused !== null) return { kind: "paused", reason: header.paused.reason };
  if (header.lease !== null) return { kind: "occupied", dueInMs: header.lease.deadlineMs - nowMs };
  const due = header.address.key === null ? inbox.pendingDue(nowMs, MAX_FLIGHT) : dueInOrder(inbox, nowMs);
  if (due.length === 0) {
    const dueMs = nextDueMs(inbox);
    return dueMs === null ? { kind: "empty" } : { kind: "waiting", dueInMs: Math.max(0, dueMs - nowMs) };
  }
  header.token += 1;
  const leaseMs = policy.leaseSeconds * 1000;
  header.lease = { token: header.token, holder, deadlineMs: nowMs + leaseMs, sequences: due.map(({ sequence }) => sequence) };
  return { kind: "work", token: header.token, leaseMs, address: header.address, events: due.map((record) => leased(inbox, record)) };
}

function leased(inbox: InboxState, { sequence, id, contentType, admittedAtMs, attempts, effects }: EventRecord): LeasedEvent {
  return { sequence, id, body: inbox.bodyOf(sequence), contentType, admittedAtMs, attempt: attempts + 1, effects };
}

/** G4: the oldest unsettled events, up to the first that is not due. */
function dueInOrder(inbox: InboxState, nowMs: number): readonly EventRecord[] {
  const due = new Set(inbox.pendingDue(nowMs, MAX_FLIGHT).map(({ sequence }) => sequence));
  const oldest = inbox.pending(MAX_FLIGHT);
  const blocked = oldest.findIndex(({ sequence }) => !due.has(sequence));
  return blocked === -1 ? oldest : oldest.slice(0, blocked);
}

/** Of an ordered key the oldest event's time counts: what waits behind it is not due. */
function nextDueMs(inbox: InboxState): number | null {
  return inbox.header.address?.key === null ? inbox.pendingNextDueMs() : inbox.pendingHeadDueMs();
}

export function planEvents(inbox: InboxState, token: number, plans: readonly EventPlan[], moment: InboxMoment): "planned" | "stale" {
  if (!holds(inbox, token, moment.nowMs)) return "stale";
  for (const { sequence, effects, failure } of plans) {
    const record = inbox.event(sequence);
    // What is stored stays: a second run of the handler may differ, its output may not.
    if (record?.state !== "queued" || record.effects !== null || !isLent(inbox, sequence)) continue;
    if (failure !== null) {
      die(inbox, { ...record, attempts: record.attempts + 1 }, { ...failure, atMs: moment.nowMs }, moment);
      continue;
    }
    const planned = { ...record, effects: effects.map((effect) => ({ effect, state: "pending" as const })) };
    inbox.putEvent(audited(planned, { atMs: moment.nowMs, what: "planned", status: null, latencyMs: null }));
  }
  return "planned";
}

export function settleEvents(inbox: InboxState, settlement: InboxSettlement, moment: InboxMoment): InboxSettleAnswer {
  const { header } = inbox;
  if (!holds(inbox, settlement.token, moment.nowMs) || header.lease === null) return { kind: "stale" };
  const { holder } = header.lease;
  for (const { sequence, effects } of settlement.results) {
    const record = inbox.event(sequence);
    if (record?.state === "queued" && record.effects !== null && isLent(inbox, sequence)) settleEvent(inbox, record, effects, moment);
  }
  header.lease = null;
  return { kind: "settled", next: settlement.renew ? takeEvents(inbox, holder, moment) : { kind: "empty" } };
}

function settleEvent(inbox: InboxState, before: EventRecord, results: readonly EffectResult[], moment: InboxMoment): void {
  const { nowMs, random, policy } = moment;
  const effects = [...(before.effects ?? [])];
  let record: EventRecord = { ...before, attempts: before.attempts + 1 };
  let failure: TimedFailure | null = null;
  for (const result of results) {
    const entry = effects[result.index];
    if (entry?.state !== "pending") continue;
    const { status, latencyMs } = result;
    const what = result.kind === "done" ? "done" : `${result.kind}: ${result.failure.code}`;
    record = audited(record, { atMs: nowMs, what: `${targetOf(entry.effect)} ${what}`, status, latencyMs });
    if (result.kind === "done") effects[result.index] = { ...entry, state: "done" };
    if (result.kind === "permanent") effects[result.index] = { ...entry, state: "failed" };
    if (result.kind !== "done") failure = { ...result.failure, atMs: nowMs };
  }
  record = { ...record, effects, updatedAtMs: nowMs };
  if (failure !== null) record = { ...record, failure, firstFailure: record.firstFailure ?? failure };
  const pending = effects.some(({ state }) => state === "pending");
  const last = record.failure;
  if (!pending && effects.every(({ state }) => state === "done")) {
    inbox.putEvent(audited({ ...record, state: "settled" }, { atMs: nowMs, what: "settled", status: null, latencyMs: null }));
    inbox.clearPending(record.sequence);
    inbox.header.counts.settled += 1;
    inbox.header.pruneAtMs ??= nowMs + policy.retentionSeconds * 1000;
  } else if (!pending && last !== null) {
    die(inbox, record, last, moment);
  } else if (last !== null && nowMs - record.admittedAtMs >= policy.giveUpAfterSeconds * 1000) {
    die(inbox, record, { code: "gave_up", message: `last failure: ${last.code}: ${last.message}`, atMs: nowMs }, moment);
  } else {
    inbox.putEvent(record);
    const delaySeconds = retryDelaySeconds(record.attempts, random(), failure?.retryAfterSeconds);
    inbox.setPending(record.sequence, nowMs + delaySeconds * 1000);
  }
}

/** G3: a dead event owes a letter until the ledger has it. The key goes on, or waits for an operator, as its source says. */
export function die(inbox: InboxState, record: EventRecord, failure: TimedFailure, { nowMs, policy }: InboxMoment): void {
  const { header } = inbox;
  const dead: EventRecord = { ...record, state: "dead", failure, firstFailure: record.firstFailure ?? failure, updatedAtMs: nowMs };
  inbox.putEvent(audited(dead, { atMs: nowMs, what: `dead: ${failure.code}`, status: null, latencyMs: null }));
  inbox.clearPending(record.sequence);
  inbox.oweLetter(record.sequence, nowMs);
  header.counts.dead += 1;
  if (policy.afterPermanentFailure !== "pause" || header.paused !== null || header.address?.key === null) return;
  header.paused = { reason: `event ${record.id} is dead: ${failure.code}`, actor: "policy", sinceMs: nowMs };
  inbox.addEvent({ atMs: nowMs, kind: "paused", detail: header.paused.reason });
}

function holds({ header }: InboxState, token: number, nowMs: number): boolean {
  return header.lease !== null && header.lease.token === token && header.lease.deadlineMs > nowMs;
}

function isLent({ header }: InboxState, sequence: number): boolean {
  return header.lease?.sequences.includes(sequence) ?? false;
}

function audited(record: EventRecord, entry: AuditEntry): EventRecord {
  return { ...record, audit: [...record.audit.slice(0, 1), ...record.audit.slice(1).slice(-(MAX_AUDIT - 2)), entry] };
}

export function targetOf(effect: Effect): string {
  return effect.kind === "directive" ? effect.admission.id : effect.destination;
}

/** Sets the due times anew, after every event. `prompt`: nobody else rings for what is due now. */
export function scheduleInbox(inbox: InboxState, { nowMs }: InboxMoment, prompt: boolean): void {
  const { header } = inbox;
  const workMs = header.lease !== null ? header.lease.deadlineMs : header.paused !== null ? null : nextDueMs(inbox);
  if (workMs === null) {
    header.ringAtMs = null;
    return;
  }
  const ringMs = Math.max(nowMs, workMs) + (prompt || header.lease !== null ? 0 : GRACE_MS);
  const standing = header.ringAtMs !== null && header.ringAtMs >= workMs ? header.ringAtMs : ringMs;
  header.ringAtMs = Math.min(standing, ringMs);
}

export function inboxAlarmMs(inbox: InboxState): number | null {
  const due = [inbox.header.ringAtMs, inbox.header.pruneAtMs, inbox.lettersOwedNextMs()].filter((atMs) => atMs !== null);
  return due.length === 0 ? null : Math.min(...due);
}

/** The alarm rang: what to send, after the next alarm is set. */
export function ringInbox(inbox: InboxState, moment: InboxMoment): { readonly doorbell: boolean; readonly letters: readonly LetterKey[] } {
  const { header } = inbox;
  const { nowMs, policy } = moment;
  const doorbell = header.ringAtMs !== null && header.ringAtMs <= nowMs && header.paused === null;
  if (header.ringAtMs !== null && header.ringAtMs <= nowMs) header.ringAtMs = null;
  if (header.lease !== null && header.lease.deadlineMs <= nowMs) header.lease = null;
  if (header.pruneAtMs !== null && header.pruneAtMs <= nowMs) {
    const retentionMs = policy.retentionSeconds * 1000;
    header.pruneAtMs = inbox.prune(nowMs - retentionMs, 500) ? nowMs + 1000 : nowMs + retentionMs / 10;
  }
  const letters = inbox.lettersOwedDue(nowMs, 100).map(({ sequence, id, digest, generation }) => {
    inbox.oweLetter(sequence, nowMs + LETTER_AGAIN_MS);
    return { id, digest, generation };
  });
  scheduleInbox(inbox, moment, false);
  return { doorbell, letters };
}
