import type { RecordAnswer, SignedEntry, TakeAnswer } from "../domain/lane.ts";
import {
  die,
  holesOf,
  isExposed,
  openSlots,
  retreat,
  workedMs,
  type DirectiveRecord,
  type LaneState,
  type Lease,
  type Moment,
  type Slot,
  type Transaction,
  wantsBurn,
} from "./sequencer-state.ts";

/** One flight: so many directives, and so many characters of payload, at the most. */
const MAX_FLIGHT = 100;
const MAX_FLIGHT_CHARS = 512 * 1024;

/**
 * Gives a consumer invocation the right to work the lane until a deadline.
 * Invariant: the ranges of live leases are disjoint, and so are their loans and their rebroadcasts (R2, R3).
 */
export function take(lane: LaneState, holder: string, moment: Moment): TakeAnswer {
  const { header } = lane;
  const { nowMs, policy } = moment;
  expireLeases(lane, nowMs);
  if (header.paused !== null) return { kind: "paused", reason: header.paused.reason };
  if (header.leases.length >= policy.maxFlights) {
    const endsMs = Math.min(...header.leases.map(({ deadlineMs }) => deadlineMs));
    return { kind: "occupied", dueInMs: Math.max(0, endsMs - nowMs) };
  }
  if (header.degraded !== null && header.degraded.probeAtMs > nowMs) {
    return { kind: "degraded", reason: header.degraded.reason, dueInMs: header.degraded.probeAtMs - nowMs };
  }
  if (header.outage !== null && header.outage.notBeforeMs > nowMs) {
    return { kind: "waiting", dueInMs: header.outage.notBeforeMs - nowMs };
  }
  return grant(lane, holder, moment);
}

function grant(lane: LaneState, holder: string, { nowMs, policy }: Moment): TakeAnswer {
  const { header } = lane;
  const lent = loansOf(lane);
  const due = dueDirectives(lane, lent, nowMs, policy.giveUpAfterSeconds);
  const overdue = overdueSlots(lane, nowMs);
  // Burns come before new work (R5).
  const burns = overdue.filter(wantsBurn).slice(0, MAX_FLIGHT);
  const rebroadcast = overdue.filter((slot) => !wantsBurn(slot)).slice(0, MAX_FLIGHT);
  const holes = header.next === null ? [] : holesOf(lane).slice(0, MAX_FLIGHT);
  // `full` withholds only new numbers: holes and rebroadcasts are always given (R11).
  const unconfirmed =
    openSlots(lane).length + header.leases.reduce((sum, { range }) => sum + range.length, 0);
  const room = Math.max(0, policy.maxUnconfirmed - unconfirmed);
  const directives = due.slice(0, Math.min(MAX_FLIGHT, Math.max(holes.length, holes.length + room)));
  if (directives.length === 0 && holes.length === 0 && overdue.length === 0) {
    if (due.length > 0) return { kind: "full" };
    const dueMs = lane.backlogNextDueMs(nowMs, lent);
    return dueMs === null ? { kind: "empty" } : { kind: "waiting", dueInMs: Math.max(0, dueMs - nowMs) };
  }
  const fresh = header.next === null ? 0 : Math.max(0, directives.length - holes.length);
  const range = [...holes, ...Array.from({ length: fresh }, (_, index) => (header.next ?? 0) + index)];
  const oldest = oldestAdmission(lane);
  header.token += 1;
  if (header.next !== null) header.next += fresh;
  const lease: Lease = {
    token: header.token,
    holder,
    deadlineMs: nowMs + policy.leaseSeconds * 1000,
    range,
    loans: directives.map(({ id, admission }) => ({ id, head: admission === oldest })),
    rebroadcast: rebroadcast.map(({ sequence }) => sequence),
    burns: burns.map(({ sequence }) => sequence),
  };
  header.leases = [...header.leases, lease];
  return {
    kind: "work",
    token: lease.token,
    leaseMs: policy.leaseSeconds * 1000,
    range,
    holes: holes.length,
    directives: directives.map(({ id, payload }) => ({ id, payload })),
    rebroadcast: rebroadcast.flatMap(({ sequence, transactions }) => {
      const last = transactions.findLast(isExposed);
      return last === undefined ? [] : [{ sequence, hash: last.hash, raw: last.raw }];
    }),
    burns: burns.map(({ sequence, transactions }) => ({
      sequence,
      replaces: transactions.map(({ raw }) => raw),
    })),
  };
}

/** Due directives; those whose time is over die here, since none of them has an open slot. */
function dueDirectives(
  lane: LaneState,
  lent: ReadonlySet<string>,
  nowMs: number,
  giveUpAfterSeconds: number,
): readonly DirectiveRecord[] {
  const due: DirectiveRecord[] = [];
  let chars = 0;
  for (const record of lane.backlogDue(nowMs, MAX_FLIGHT, lent)) {
    if (record.expiresAtMs !== null && record.expiresAtMs <= nowMs) {
      die(lane, record, {
        code: "expired",
        message: `expiresAt was ${new Date(record.expiresAtMs).toISOString()}`,
        atMs: nowMs,
      });
    } else if (record.failure !== null && workedMs(lane.header, record, nowMs) >= giveUpAfterSeconds * 1000) {
      die(lane, record, {
        code: "gave_up",
        message: `last failure: ${record.failure.code}: ${record.failure.message}`,
        atMs: nowMs,
      });
    } else {
      chars += record.payload.length;
      if (due.length > 0 && chars > MAX_FLIGHT_CHARS) break;
      due.push(record);
    }
  }
  return due;
}

/** R3: an open slot is worked by one live lease. */
function overdueSlots(lane: LaneState, nowMs: number): readonly Slot[] {
  const worked = new Set(lane.header.leases.flatMap(slotsOf));
  return openSlots(lane)
    .filter(
      (slot) => slot.resendAtMs <= nowMs && !worked.has(slot.sequence) && slot.transactions.some(isExposed),
    )
    .toSorted((left, right) => left.sequence - right.sequence);
}

/** R8: the oldest admission that is not terminal, whether it waits or has an open slot. */
export function oldestAdmission(lane: LaneState): number {
  const placed = openSlots(lane).map(({ admission }) => admission ?? Number.POSITIVE_INFINITY);
  return Math.min(lane.backlogOldest()?.admission ?? Number.POSITIVE_INFINITY, ...placed);
}

export function loansOf(lane: LaneState): ReadonlySet<string> {
  return new Set(lane.header.leases.flatMap(({ loans }) => loans.map(({ id }) => id)));
}

/** Every number that a lease works. */
export function slotsOf({ range, rebroadcast, burns }: Lease): readonly number[] {
  return [...range, ...rebroadcast, ...burns];
}

export function liveLease(lane: LaneState, token: number): Lease | undefined {
  return lane.header.leases.find((lease) => lease.token === token);
}

/**
 * R2: when a lease ends, what was recorded under it and has no outcome is exposed; its loans are revoked; its
 * unrecorded numbers are released (R11).
 */
export function endLease(lane: LaneState, lease: Lease, nowMs: number): void {
  for (const sequence of slotsOf(lease)) {
    const slot = lane.slots.get(sequence);
    if (slot?.state !== "open") continue;
    const lapsed = slot.transactions.some(
      ({ token, state }) => token === lease.token && state === "recorded",
    );
    if (!lapsed) continue;
    lane.putSlot({
      ...slot,
      transactions: slot.transactions.map((sent) =>
        sent.token === lease.token && sent.state === "recorded" ? { ...sent, state: "uncertain" } : sent,
      ),
      resendAtMs: nowMs,
    });
  }
  lane.header.leases = lane.header.leases.filter(({ token }) => token !== lease.token);
  retreat(lane);
}

export function expireLeases(lane: LaneState, nowMs: number): void {
  for (const lease of lane.header.leases) {
    if (lease.deadlineMs > nowMs) continue;
    endLease(lane, lease, nowMs);
    lane.addEvent({ atMs: nowMs, kind: "lease_expired", detail: `token ${lease.token} of ${lease.holder}` });
  }
}

/**
 * Binds sequences to directives, before the first send. All or nothing.
 * Invariant: after it, no number below the highest taken one is a hole of this lease (R11).
 */
export function recordSigned(
  lane: LaneState,
  token: number,
  entries: readonly SignedEntry[],
  { nowMs }: Moment,
): RecordAnswer {
  expireLeases(lane, nowMs);
  const lease = liveLease(lane, token);
  if (lease === undefined) return { kind: "stale" };
  const problem = entriesProblem(lane, lease, entries);
  if (problem !== null) return { kind: "refused", reason: problem };
  for (const { sequence, id, hash, raw } of entries) {
    const signed: Transaction = { hash, raw, token, noop: id === null, state: "recorded" };
    const burnt = lane.slots.get(sequence);
    if (burnt !== undefined) {
      // The same bytes as a refused no-op before: one entry of the log, recorded again.
      lane.putSlot({
        ...burnt,
        transactions: [...burnt.transactions.filter((earlier) => earlier.hash !== hash), signed],
      });
      continue;
    }
    const record = id === null ? undefined : lane.directive(id);
    lane.putSlot({
      sequence,
      state: "open",
      id,
      admission: record?.admission ?? null,
      transactions: [signed],
      resendAtMs: lease.deadlineMs,
      burning: false,
    });
    if (record !== undefined) lane.dequeue(record);
    lane.header.highestRecorded = Math.max(lane.header.highestRecorded ?? sequence, sequence);
  }
  return { kind: "recorded" };
}

function entriesProblem(lane: LaneState, lease: Lease, entries: readonly SignedEntry[]): string | null {
  const granted = new Set([...lease.range, ...lease.burns]);
  const lent = new Set(lease.loans.map(({ id }) => id));
  const sequences = new Set<number>();
  for (const { sequence, id } of entries) {
    if (!granted.has(sequence))
      return `sequence ${sequence} is not granted to token ${lease.token}, or is recorded twice`;
    const taken = lane.slots.get(sequence);
    if (taken !== undefined && (id !== null || taken.state !== "open" || !lease.burns.includes(sequence)))
      return `sequence ${sequence} is taken`;
    if (taken === undefined && lease.burns.includes(sequence)) return `sequence ${sequence} is final`;
    if (id !== null && !lent.has(id))
      return `directive ${id} is not lent to token ${lease.token}, or is recorded twice`;
    if (id !== null && lane.directive(id)?.state !== "queued") return `directive ${id} is not queued`;
    granted.delete(sequence);
    if (id !== null) lent.delete(id);
    sequences.add(sequence);
  }
  const top = Math.max(...sequences, ...lane.slots.keys());
  const hole = lease.range.find(
    (sequence) => sequence < top && !sequences.has(sequence) && !lane.slots.has(sequence),
  );
  return hole === undefined ? null : `sequence ${hole} would stay a hole below ${top}`;
}
