import type { TimedFailure } from "../domain/failure.ts";
import type { InboxAddress } from "../domain/inbox-name.ts";
import type { LaneEvent } from "../domain/lane.ts";
import type {
  AuditEntry,
  Effect,
  EffectState,
  EventStatus,
  InboxStatusView,
} from "../domain/webhook-event.ts";
import type { InboxPolicy } from "../domain/webhook-source.ts";

/**
 * What an inbox knows: the events of one source and ordering key (or shard), each with what is to be done for it.
 *
 * The machine is the functions over `InboxState` in `webhook-inbox-admission`, `-lease`, `-settlement`, `-alarm` and
 * `-operations`. They know no clock, no network and no storage: time and chance come in with `InboxMoment`, rows go
 * in and out through `InboxState`. The Durable Object loads, calls one of them and writes, in one synchronous
 * transaction.
 *
 * Where a queued event is: lent (in `header.lease`), waiting (a row with its due time), or fresh. Fresh are all from
 * `freshFrom` on: due since their admission, and of no attempt. So an event that succeeds at once never has a row but
 * its own. One that was waiting when it was lent keeps its row, which counts for nothing while the lease stands.
 */
export interface InboxState {
  readonly header: InboxHeader;
  event(sequence: number): EventRecord | undefined;
  /** Many of them are about to be asked for. */
  prefetch(sequences: readonly number[]): void;
  /** Changes one that was inserted. */
  putEvent(record: EventRecord): void;
  insert(record: EventRecord, body: string): void;
  /** The sequence that was given to an id. */
  sequenceOf(id: string): number | undefined;
  bodyOf(sequence: number): string;

  putWaiting(waiting: Waiting): void;
  clearWaiting(waiting: Pick<Waiting, "sequence" | "late">): void;
  /** Lowest sequence first. */
  waiting(late: boolean, limit: number): readonly Waiting[];
  /** Those that are due, earliest first. */
  waitingDue(late: boolean, nowMs: number, limit: number): readonly Waiting[];
  /** Of the late ones that are due, that of the lowest sequence. */
  firstLateDue(nowMs: number): number | undefined;
  waitingNextMs(late: boolean): number | null;

  /** G3: letters that the ledger has not acknowledged. */
  oweLetter(sequence: number, dueMs: number): void;
  letterPaid(sequence: number): void;
  letterOwed(sequence: number): boolean;
  /** Earliest due first. */
  lettersOwedDue(nowMs: number, limit: number): readonly number[];
  lettersOwedNextMs(): number | null;

  addEvent(event: LaneEvent): void;
  /**
   * Forgets what was settled before a time: body, audit trail and id. Dead ones are kept for good: they may be
   * replayed. Looks at `limit` events from `from` on. `next`: where to go on, null when no later one can be old enough.
   */
  prune(
    settledBeforeMs: number,
    from: number,
    limit: number,
  ): { readonly next: number | null; readonly dropped: number };
}

export interface Waiting {
  readonly sequence: number;
  readonly dueMs: number;
  /** It was readmitted: it comes after what it once came before. */
  readonly late: boolean;
}

export interface InboxHeader {
  address: InboxAddress | null;
  /** The sequence of the next admission, and so the number of events ever admitted. */
  nextSequence: number;
  freshFrom: number;
  /** The last fencing token given. */
  token: number;
  lease: InboxLease | null;
  counts: { settled: number; dead: number; pruned: number };
  /** Attempts ever made, by what they came to. */
  attempts: Record<string, number>;
  paused: { reason: string; actor: string; sinceMs: number } | null;
  /** Closed pauses, summed: an event's time budget does not run in them. */
  pausedMs: number;
  /** The last flight was of late events: the next is of the others, so that neither starves. */
  lateTurn: boolean;
  /** Work is due that nobody but the alarm rings for. */
  prompt: boolean;
  /** The alarm does not ring for due work before this: a consumer was here, or a doorbell is on its way. */
  quietUntilMs: number;
  /** Doorbells that the alarm sent since a consumer came. */
  rings: number;
  pruneAtMs: number | null;
  pruneFrom: number;
}

export interface InboxLease {
  readonly token: number;
  readonly holder: string;
  readonly deadlineMs: number;
  /** Those of the flight that are still lent. */
  readonly sequences: readonly number[];
  /** `freshFrom` when it was given: those of lower sequence have a waiting row. */
  readonly freshBase: number;
  /** It was given for one event alone. */
  readonly alone: boolean;
}

export interface EventRecord {
  readonly sequence: number;
  readonly id: string;
  readonly digest: string;
  readonly contentType: string;
  readonly admittedAtMs: number;
  readonly state: EventStatus;
  /** Null until the handler's output is stored. Then its effects never change: only their states do. */
  readonly effects: readonly PlannedEffect[] | null;
  /** Ever. */
  readonly attempts: number;
  /** Grows with each readmission: part of a letter's key. */
  readonly generation: number;
  /** Failed attempts of this generation. */
  readonly retries: number;
  /** The last of them, and the delay that it was given. */
  readonly lastRetry: { readonly atMs: number; readonly delayMs: number; readonly pausedMs: number } | null;
  /** The time budget used so far. */
  readonly spentMs: number;
  /**
   * Its last lease ended unsettled. It is lent alone, so that one event that kills its consumers does not keep others
   * from being settled, and is found out.
   */
  readonly lone: boolean;
  /** It came again with another body, and the log has said so. */
  readonly altered: boolean;
  /** A permanent failure of one of its effects: the event is dead as soon as the others have ended. */
  readonly fatal: TimedFailure | null;
  readonly firstFailure: TimedFailure | null;
  readonly failure: TimedFailure | null;
  /** What happened after its admission, oldest first. */
  readonly audit: readonly AuditEntry[];
  readonly updatedAtMs: number;
}

export interface PlannedEffect {
  readonly effect: Effect;
  readonly state: EffectState;
}

export interface InboxMoment {
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly policy: InboxPolicy;
}

/** The planning, and as many of the newest entries: an event that fails for a day has hundreds. */
const MAX_AUDIT = 40;

export function newInboxHeader(): InboxHeader {
  return {
    address: null,
    nextSequence: 0,
    freshFrom: 0,
    token: 0,
    lease: null,
    counts: { settled: 0, dead: 0, pruned: 0 },
    attempts: {},
    paused: null,
    pausedMs: 0,
    lateTurn: false,
    prompt: false,
    quietUntilMs: 0,
    rings: 0,
    pruneAtMs: null,
    pruneFrom: 0,
  };
}

/** G3: what was admitted and is neither settled nor dead is in flight. Nothing else is counted, so nothing can drift. */
export function inboxCounts({ nextSequence, counts }: InboxHeader): InboxStatusView["counts"] {
  const { settled, dead } = counts;
  return { admitted: nextSequence, settled, dead, inFlight: nextSequence - settled - dead };
}

/** An event of an ordering key, as opposed to one of a shard. */
export function isOrdered({ address }: InboxHeader): boolean {
  return address !== null && address.key !== null;
}

export function isLate({ generation }: EventRecord): boolean {
  return generation > 0;
}

export function isLent({ lease }: InboxHeader, sequence: number): boolean {
  return lease?.sequences.includes(sequence) ?? false;
}

/** The lease of a token: a stale one has none, and changes nothing. */
export function liveLease({ header }: InboxState, token: number, nowMs: number): InboxLease | undefined {
  const { lease } = header;
  return lease !== null && lease.token === token && lease.deadlineMs > nowMs ? lease : undefined;
}

/** Closed and open pauses, summed. */
export function pausedSoFarMs({ paused, pausedMs }: InboxHeader, nowMs: number): number {
  return pausedMs + (paused === null ? 0 : nowMs - paused.sinceMs);
}

/** Takes the event from where it is queued: it has ended, or is put elsewhere. */
export function unqueue(inbox: InboxState, record: EventRecord): void {
  const { header } = inbox;
  const { sequence } = record;
  const { lease } = header;
  if (lease !== null && isLent(header, sequence)) {
    header.lease = { ...lease, sequences: lease.sequences.filter((lent) => lent !== sequence) };
    if (sequence >= lease.freshBase) return;
  } else if (sequence >= header.freshFrom) {
    if (sequence > header.freshFrom) throw new Error("of the fresh events only the oldest can be taken out");
    header.freshFrom += 1;
    return;
  }
  inbox.clearWaiting({ sequence, late: isLate(record) });
}

/** G3: a dead event owes a letter until the ledger has it. Its key goes on, or waits for an operator, as its source says. */
export function die(
  inbox: InboxState,
  record: EventRecord,
  failure: TimedFailure,
  { nowMs, policy }: InboxMoment,
): void {
  const { header } = inbox;
  unqueue(inbox, record);
  const dead: EventRecord = {
    ...failed(record, failure),
    state: "dead",
    effects:
      record.effects?.map(({ effect, state }) => ({ effect, state: state === "done" ? state : "failed" })) ??
      null,
    lone: false,
  };
  inbox.putEvent(
    audited(dead, entryOf(nowMs, failure.code === "skipped" ? "skipped" : `dead: ${failure.code}`)),
  );
  inbox.oweLetter(record.sequence, nowMs);
  header.counts.dead += 1;
  if (policy.afterPermanentFailure !== "pause" || header.paused !== null || !isOrdered(header)) return;
  // Who skips an event wants the others to go on.
  if (failure.code !== "skipped")
    pause(inbox, `event ${record.id} is dead: ${failure.code}`, "policy", nowMs);
}

export function pause(inbox: InboxState, reason: string, actor: string, nowMs: number): void {
  if (inbox.header.paused !== null) return;
  inbox.header.paused = { reason, actor, sinceMs: nowMs };
  inbox.addEvent({ atMs: nowMs, kind: "paused", detail: `${actor}: ${reason}` });
}

/** The record after one more failure. */
export function failed(record: EventRecord, failure: TimedFailure): EventRecord {
  return { ...record, failure, firstFailure: record.firstFailure ?? failure, updatedAtMs: failure.atMs };
}

export function tally({ attempts }: InboxHeader, outcome: string): void {
  attempts[outcome] = (attempts[outcome] ?? 0) + 1;
}

export function entryOf(
  atMs: number,
  what: string,
  status: number | null = null,
  latencyMs: number | null = null,
): AuditEntry {
  return { atMs, what, status, latencyMs };
}

export function audited(record: EventRecord, entry: AuditEntry): EventRecord {
  const [first, ...rest] = record.audit;
  return { ...record, audit: first === undefined ? [entry] : [first, ...rest.slice(2 - MAX_AUDIT), entry] };
}

export function targetOf(effect: Effect): string {
  return effect.kind === "directive" ? effect.admission.id : effect.destination;
}
