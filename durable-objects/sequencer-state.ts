import type { ChainPolicy } from "../domain/config.ts";
import type { TimedFailure } from "../domain/failure.ts";
import type { AccountId } from "../domain/ids.ts";
import type { DirectiveStatus, LaneCounts, LaneEvent, TransactionView } from "../domain/lane.ts";

/**
 * What a lane knows: three things that commit together. The outbox (directives), the sequence (slots), and the
 * transaction log (the transactions of the slots, and of each directive's past slots).
 *
 * The machine is the functions over `LaneState` in `sequencer-admission`, `sequencer-lease`, `sequencer-settlement`,
 * `sequencer-evidence` and `sequencer-alarm`. They know no clock, no network and no storage: time and chance come in
 * with `Moment`, rows go in and out through `LaneState`. The Durable Object loads, calls one of them and writes, in
 * one synchronous transaction. Comments name the rules of the protocol (R1 … R11) where they are kept.
 */
export interface LaneState {
  readonly header: LaneHeader;
  /** By sequence: the numbers in [floor, next) that are taken. A number in that range without an entry is a hole. */
  readonly slots: ReadonlyMap<number, Slot>;
  putSlot(slot: Slot): void;
  deleteSlot(sequence: number): void;

  directive(id: string): DirectiveRecord | undefined;
  /** Many of them are about to be asked for. */
  prefetch(ids: readonly string[]): void;
  /** Changes one that was inserted. */
  putDirective(record: DirectiveRecord): void;
  /** What the directive asks for: empty once it is pruned (R10). */
  payloadOf(record: DirectiveRecord): string;
  /** Those of the ids that the lane knows. */
  existing(ids: readonly string[]): ReadonlySet<string>;
  /** Writes new directives with their payloads, and puts them into the backlog. */
  insert(admitted: readonly { readonly record: DirectiveRecord; readonly payload: string }[]): void;
  /**
   * R10: drops payloads and raw bytes of what ended before a time; id, digest and outcome stay for good. Dead ones are
   * kept: they may be replayed. Looks at `limit` payloads from admission `from` on. `next`: where to go on, null at the
   * end; `left`: whether any payload is left.
   */
  prune(
    endedBeforeMs: number,
    from: number,
    limit: number,
  ): { readonly next: number | null; readonly left: boolean };

  /** The backlog: directives that are neither in an open slot nor terminal. */
  enqueue(record: DirectiveRecord): void;
  dequeue(admissions: readonly number[]): void;
  /** Due ones, oldest admission first, without those that are in `except`. */
  backlogDue(nowMs: number, limit: number, except: ReadonlySet<string>): readonly DueDirective[];
  backlogOldest(): DirectiveRecord | undefined;
  /** When the first of the backlog that is not in `except` is due: `nowMs` when it is already, null when there is none. */
  backlogNextDueMs(nowMs: number, except: ReadonlySet<string>): number | null;

  /** R7: letters that the ledger has not acknowledged. */
  oweLetter(id: string, dueMs: number): void;
  letterPaid(id: string): boolean;
  lettersOwedDue(nowMs: number, limit: number): readonly string[];
  lettersOwedNextMs(): number | null;
  lettersOwedCount(): number;

  addEvent(event: LaneEvent): void;
}

/** One of the backlog, without its facts: a flight is taken without reading them. */
export interface DueDirective {
  readonly id: string;
  readonly admission: number;
  readonly payload: string;
  /** It expires, or has failed before: its facts may end it. */
  readonly watched: boolean;
}

export function isWatched({ expiresAtMs, failure }: DirectiveRecord): boolean {
  return expiresAtMs !== null || failure !== null;
}

/** The moment of an event, and what holds for the lane's chain. */
export interface Moment {
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly policy: ChainPolicy;
}

export interface LaneHeader {
  account: AccountId | null;
  /** The next number never given out, or null while the chain was never read. */
  next: number | null;
  /** All below are final. Never falls, but for one that is only assumed. */
  floor: number;
  /** The floor is the chain's sequence of the first reading, which evidence has not reached yet: a reorg may lower it. */
  floorAssumed: boolean;
  highestRecorded: number | null;
  /** The last fencing token given. */
  token: number;
  leases: Lease[];
  chainSequence: number | null;
  nextAdmission: number;
  counts: { admitted: number; settled: number; dead: number };
  /** Attempts ever made, by what they came to: see `LaneStatusView`. */
  attempts: Record<string, number>;
  outage: Outage | null;
  degraded: { reason: string; probeAtMs: number } | null;
  /** An operator repaired the lane while a reading of the chain was not believed: the next one is, however far ahead. */
  believed: boolean;
  /** Credential failures in a row. */
  breaker: number;
  paused: { reason: string; actor: string; sinceMs: number } | null;
  /** Closed pauses, summed: the time budget of a directive does not run in them. */
  pausedMs: number;
  /** When the alarm sends a doorbell, calls for confirmations; null when nothing is to be done. */
  ringAtMs: number | null;
  /** Doorbells that the alarm sent since a consumer last came. */
  unansweredRings: number;
  confirmAtMs: number | null;
  pruneAtMs: number | null;
  pruneFrom: number;
  /** The block of the last evidence. */
  evidenceBlock: number | null;
  /** Look-ups that failed in a row. */
  lookUpFailures: number;
}

export interface Lease {
  readonly token: number;
  readonly holder: string;
  readonly deadlineMs: number;
  readonly range: readonly number[];
  readonly loans: readonly Loan[];
  /** Sequences of open slots handed out to be sent again, burnt, or sent at a higher fee. */
  readonly rebroadcast: readonly number[];
  readonly burns: readonly number[];
  readonly bumps: readonly number[];
}

/** R2: a directive is lent to one token. */
export interface Loan {
  readonly id: string;
  readonly admission: number;
  /** R8: every directive admitted earlier was terminal when the lease took it. */
  readonly head: boolean;
}

export interface Outage {
  readonly attempts: number;
  /** Of the first of its failures, on the lane's clock without pauses: see `unpausedMs`. */
  readonly sinceMs: number;
  readonly notBeforeMs: number;
  readonly failure: TimedFailure;
}

/** One number of the sequence. `open`: not final. `own`, `other`: final (R4). `skipped`: the chain was ahead, not yet final (R11). */
export interface Slot {
  readonly sequence: number;
  readonly state: "open" | "own" | "other" | "skipped";
  /** Its directive; null for a no-op, for a foreign or a skipped number. */
  readonly id: string | null;
  /** The directive's admission number, for R8. */
  readonly admission: number | null;
  readonly transactions: readonly Transaction[];
  /** When an exposed slot is to be sent, or burnt, again. */
  readonly resendAtMs: number;
  /** When its last transaction was recorded. */
  readonly signedAtMs: number;
  /** R5: the node refuses the exposed bytes for good, so a no-op is to use the number up. */
  readonly burning: boolean;
  /** Since when no send of it was accepted, on the lane's clock without pauses; null when the last one was. */
  readonly failingSinceMs: number | null;
  /** Bumps and no-ops recorded in the place of earlier transactions, since it was opened, or since it is to be burnt. */
  readonly replacements: number;
}

export interface Transaction {
  readonly hash: string;
  readonly raw: string;
  /** The token under which it was recorded. */
  readonly token: number;
  /** The last height at which it may be included; null where the chain has no such limit. */
  readonly validUntil: number | null;
  /** It only uses the number up. */
  readonly noop: boolean;
  /**
   * `recorded`: under a live token, not settled. `refused`, `unsent`: contained. `accepted`, `uncertain`: exposed,
   * forever.
   */
  readonly state: "recorded" | "refused" | "unsent" | "accepted" | "uncertain";
}

export interface DirectiveRecord {
  readonly id: string;
  readonly digest: string;
  readonly admission: number;
  /** What is stored. `recorded` and `broadcast` are derived from the open slot: see `statusOf`. */
  readonly state: "queued" | "confirmed" | "reverted" | "dead" | "review" | "replaced";
  readonly attempts: number;
  readonly notBeforeMs: number;
  readonly expiresAtMs: number | null;
  /** The time budget runs from here: the first failure since admission or readmission, until then either of those. */
  readonly budgetFromMs: number;
  /** The lane's pauses until then, so that later ones can be told apart. */
  readonly pausedMsBefore: number;
  /** Grows with each readmission: part of a letter's key. */
  readonly generation: number;
  /** The open slot, or the last one. */
  readonly sequence: number | null;
  /** Transactions of slots that are closed. */
  readonly log: readonly TransactionView[];
  readonly firstFailure: TimedFailure | null;
  readonly failure: TimedFailure | null;
  readonly admittedAtMs: number;
  readonly updatedAtMs: number;
}

export function newHeader(): LaneHeader {
  return {
    account: null,
    next: null,
    floor: 0,
    floorAssumed: true,
    highestRecorded: null,
    token: 0,
    leases: [],
    chainSequence: null,
    nextAdmission: 0,
    counts: { admitted: 0, settled: 0, dead: 0 },
    attempts: {},
    outage: null,
    degraded: null,
    believed: false,
    breaker: 0,
    paused: null,
    pausedMs: 0,
    ringAtMs: null,
    unansweredRings: 0,
    confirmAtMs: null,
    pruneAtMs: null,
    pruneFrom: 0,
    evidenceBlock: null,
    lookUpFailures: 0,
  };
}

export function isExposed(transaction: Transaction): boolean {
  return transaction.state === "accepted" || transaction.state === "uncertain";
}

/** R1: every send of every transaction was definitely refused, or none began. */
export function isContained(slot: Slot): boolean {
  return slot.transactions.every(({ state }) => state === "refused" || state === "unsent");
}

export function isFinal(slot: Slot): boolean {
  return slot.state === "own" || slot.state === "other";
}

export function openSlots(lane: LaneState): readonly Slot[] {
  return [...lane.slots.values()].filter((slot) => slot.state === "open");
}

/** The open slot of a directive, if it has one. */
export function slotOf(lane: LaneState, record: DirectiveRecord): Slot | undefined {
  if (record.state !== "queued" && record.state !== "review") return undefined;
  for (const slot of lane.slots.values()) if (slot.state === "open" && slot.id === record.id) return slot;
  return undefined;
}

export function statusOf(lane: LaneState, record: DirectiveRecord): DirectiveStatus {
  if (record.state !== "queued") return record.state;
  const slot = slotOf(lane, record);
  if (slot === undefined) return "queued";
  return slot.transactions.some(isExposed) ? "broadcast" : "recorded";
}

/** G3: what was admitted and is neither settled nor dead is in flight. Nothing else is counted, so nothing can drift. */
export function countsOf({ counts }: LaneHeader): LaneCounts {
  return { ...counts, inFlight: counts.admitted - counts.settled - counts.dead };
}

/** A number that no transaction of ours has: foreign, or not ours to use any more. */
export function bareSlot(sequence: number, state: "skipped" | "other"): Slot {
  return {
    sequence,
    state,
    id: null,
    admission: null,
    transactions: [],
    resendAtMs: 0,
    signedAtMs: 0,
    burning: false,
    failingSinceMs: null,
    replacements: 0,
  };
}

/** R5: a slot to be burnt whose no-op is not out yet. */
export function wantsBurn(slot: Slot): boolean {
  return slot.burning && !slot.transactions.some((transaction) => transaction.noop && isExposed(transaction));
}

/** So many failures in a row, of look-ups or of the endpoint as a whole, make a lane degraded. */
export const DEGRADED_AFTER = 3;

/** The lane takes no new work, and probes. */
export function isLookUpBroken({ lookUpFailures }: LaneHeader): boolean {
  return lookUpFailures >= DEGRADED_AFTER;
}

/** Numbers that were given out, are not taken, and belong to no live lease: ascending. */
export function holesOf(lane: LaneState): readonly number[] {
  const { floor, next, leases } = lane.header;
  const granted = new Set(leases.flatMap(({ range }) => range));
  const holes: number[] = [];
  for (let sequence = floor; sequence < (next ?? 0); sequence += 1) {
    if (!lane.slots.has(sequence) && !granted.has(sequence)) holes.push(sequence);
  }
  return holes;
}

/** R11: `next` goes back, but only over a released tail. */
export function retreat(lane: LaneState): void {
  const { header } = lane;
  if (header.next === null) return;
  const granted = new Set(header.leases.flatMap(({ range }) => range));
  while (header.next > header.floor && !lane.slots.has(header.next - 1) && !granted.has(header.next - 1))
    header.next -= 1;
}

/** Moves the checkpoint over final slots, which then live on in their directives alone. */
export function advanceFloor(lane: LaneState): void {
  const { header } = lane;
  for (
    let slot = lane.slots.get(header.floor);
    slot !== undefined && isFinal(slot);
    slot = lane.slots.get(header.floor)
  ) {
    lane.deleteSlot(header.floor);
    header.floor += 1;
  }
  if (header.next !== null && header.next < header.floor) header.next = header.floor;
}

/** The lane's pauses until now, in milliseconds. */
export function pausedSoFarMs({ paused, pausedMs }: LaneHeader, nowMs: number): number {
  return pausedMs + (paused === null ? 0 : nowMs - paused.sinceMs);
}

/** The lane's clock without its pauses: what time budgets are measured by. */
export function unpausedMs(header: LaneHeader, nowMs: number): number {
  return nowMs - pausedSoFarMs(header, nowMs);
}

/** Unpaused milliseconds of the directive's time budget that are used. */
export function workedMs(
  header: LaneHeader,
  { budgetFromMs, pausedMsBefore }: DirectiveRecord,
  nowMs: number,
): number {
  return unpausedMs(header, nowMs) - (budgetFromMs - pausedMsBefore);
}

/** It has failed since it was admitted or readmitted: what merely waits uses up no time budget. */
export function isFailing({ failure, budgetFromMs }: DirectiveRecord): boolean {
  return failure !== null && failure.atMs >= budgetFromMs;
}

/** Every transaction ever signed for a directive, oldest first. */
export function transactionsOf(lane: LaneState, record: DirectiveRecord): readonly TransactionView[] {
  const slot = slotOf(lane, record);
  return slot === undefined ? record.log : [...record.log, ...viewsOf(slot)];
}

export function viewsOf(slot: Slot): readonly TransactionView[] {
  return slot.transactions.map(({ hash, state }) => ({ hash, sequence: slot.sequence, status: state }));
}

/** Writes the end of a directive that is dead: it owes a letter until the ledger has it (R7). */
export function die(lane: LaneState, record: DirectiveRecord, failure: TimedFailure): void {
  lane.dequeue([record.admission]);
  lane.putDirective({ ...failed(record, failure), state: "dead" });
  lane.header.counts.dead += 1;
  lane.oweLetter(record.id, failure.atMs);
}

/** The record after one more failed attempt. */
export function failed(record: DirectiveRecord, failure: TimedFailure): DirectiveRecord {
  return { ...record, failure, firstFailure: record.firstFailure ?? failure, updatedAtMs: failure.atMs };
}
