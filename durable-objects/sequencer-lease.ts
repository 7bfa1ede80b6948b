import { isCredentialFailure, isPermanent, type TimedFailure } from "../domain/failure.ts";
import type { Bump, Burn, RecordAnswer, SignedEntry, TakeAnswer } from "../domain/lane.ts";
import {
  unpausedMs,
  isFailing,
  die,
  holesOf,
  isExposed,
  isLookUpBroken,
  openSlots,
  retreat,
  workedMs,
  type DirectiveRecord,
  type DueDirective,
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
/** So much of stored bytes is handed out again at once: an RPC answer holds 32 MB, a JSON-RPC request far less. */
const MAX_RESENT_CHARS = 2 * 1024 * 1024;
/** The bytes of open slots are in memory: past this no new number is given. */
const MAX_OPEN_CHARS = 16 * 1024 * 1024;

/**
 * Gives a consumer invocation the right to work the lane until a deadline.
 * Invariant: the ranges of live leases are disjoint, and so are their loans and their rebroadcasts (R2, R3).
 */
export function take(lane: LaneState, holder: string, moment: Moment): TakeAnswer {
  const { header } = lane;
  const { nowMs, policy } = moment;
  header.unansweredRings = 0;
  expireLeases(lane, nowMs);
  if (header.paused !== null) return { kind: "paused", reason: header.paused.reason };
  if (header.leases.length >= (policy.gapTolerant ? policy.maxFlights : 1)) {
    const endsMs = Math.min(...header.leases.map(({ deadlineMs }) => deadlineMs));
    return { kind: "occupied", dueInMs: Math.max(0, endsMs - nowMs) };
  }
  if (header.degraded !== null && header.degraded.probeAtMs > nowMs) {
    return { kind: "degraded", reason: header.degraded.reason, dueInMs: header.degraded.probeAtMs - nowMs };
  }
  if (isLookUpBroken(header)) {
    const probeMs = header.confirmAtMs ?? nowMs;
    return { kind: "degraded", reason: "look-ups fail", dueInMs: Math.max(0, probeMs - nowMs) };
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
  // What is out already comes before new work (R5).
  const overdue = withinChars(overdueSlots(lane, { nowMs, policy }).slice(0, MAX_FLIGHT));
  const burns = overdue.filter(({ need }) => need === "burn").map(({ slot }) => slot);
  const bumps = overdue.flatMap(({ slot, need }) => (need === "bump" ? bumpOf(lane, slot) : []));
  const rebroadcast = overdue.filter(({ need }) => need === "rebroadcast").map(({ slot }) => slot);
  // While the chain is not known, or is not believed, a flight only asks for a reading: no number, no verdict.
  const known = header.next !== null && header.degraded === null;
  const holes = !known ? [] : holesOf(lane).slice(0, MAX_FLIGHT);
  // `full` withholds only new numbers: holes, burns and rebroadcasts are always given (R11).
  const granted = header.leases.flatMap(({ range }) => range).filter((sequence) => !lane.slots.has(sequence));
  const open = openSlots(lane);
  const openChars = open.reduce((sum, { transactions }) => sum + charsOf(transactions), 0);
  const room =
    openChars > MAX_OPEN_CHARS ? 0 : Math.max(0, policy.maxUnconfirmed - open.length - granted.length);
  // The endpoint refused a whole request for good: one directive at a time shows whose fault it is.
  const suspect =
    header.outage !== null &&
    isPermanent(header.outage.failure.code) &&
    !isCredentialFailure(header.outage.failure.code);
  const directives = due.slice(0, Math.min(suspect ? 1 : MAX_FLIGHT, holes.length + room));
  const probe = header.degraded !== null && holesOf(lane).length > 0;
  if (directives.length === 0 && holes.length === 0 && overdue.length === 0 && !probe) {
    if (due.length > 0) return { kind: "full" };
    const dueMs = lane.backlogNextDueMs(nowMs, lent);
    return dueMs === null ? { kind: "empty" } : { kind: "waiting", dueInMs: Math.max(0, dueMs - nowMs) };
  }
  const fresh = !known ? 0 : Math.max(0, directives.length - holes.length);
  const range = [...holes, ...Array.from({ length: fresh }, (_, index) => (header.next ?? 0) + index)];
  const oldest = oldestAdmission(lane);
  header.token += 1;
  if (header.next !== null) header.next += fresh;
  const lease: Lease = {
    token: header.token,
    holder,
    deadlineMs: nowMs + policy.leaseSeconds * 1000,
    range,
    loans: directives.map(({ id, admission }) => ({ id, admission, head: admission === oldest })),
    rebroadcast: rebroadcast.map(({ sequence }) => sequence),
    burns: burns.map(({ sequence }) => sequence),
    bumps: bumps.map(({ sequence }) => sequence),
  };
  header.leases = [...header.leases, lease];
  const more = directives.length === MAX_FLIGHT && lane.backlogNextDueMs(nowMs, loansOf(lane)) === nowMs;
  return {
    kind: "work",
    token: lease.token,
    leaseMs: policy.leaseSeconds * 1000,
    range,
    holes: holes.length,
    directives: directives.map(({ id, payload }) => ({ id, payload })),
    more,
    rebroadcast: rebroadcast.flatMap(({ sequence, transactions }) => {
      const last = transactions.findLast(isExposed);
      return last === undefined ? [] : [{ sequence, hash: last.hash, raw: last.raw }];
    }),
    burns: burns.map(replacedBy),
    bumps,
    probe,
  };
}

function charsOf(transactions: readonly Transaction[]): number {
  return transactions.reduce((sum, { raw }) => sum + raw.length, 0);
}

/** As many as one answer may carry: the first in any case. */
function withinChars<Overdue extends { readonly slot: Slot }>(
  overdue: readonly Overdue[],
): readonly Overdue[] {
  let chars = 0;
  const beyond = overdue.findIndex(
    ({ slot }, index) => (chars += charsOf(slot.transactions)) > MAX_RESENT_CHARS && index > 0,
  );
  return beyond === -1 ? overdue : overdue.slice(0, beyond);
}

function replacedBy({ sequence, transactions }: Slot): Burn {
  return { sequence, replaces: transactions.flatMap(({ raw }) => (raw === "" ? [] : [raw])) };
}

function bumpOf(lane: LaneState, slot: Slot): Bump[] {
  const record = slot.id === null ? undefined : lane.directive(slot.id);
  const last = slot.transactions.findLast(isExposed);
  if (record === undefined || last === undefined) return [];
  const stored = { sequence: slot.sequence, hash: last.hash, raw: last.raw };
  return [{ ...replacedBy(slot), stored, directive: { id: record.id, payload: lane.payloadOf(record) } }];
}

/** Due directives; those whose time is over die here, since none of them has an open slot. */
function dueDirectives(
  lane: LaneState,
  lent: ReadonlySet<string>,
  nowMs: number,
  giveUpAfterSeconds: number,
): readonly DueDirective[] {
  const due: DueDirective[] = [];
  let chars = 0;
  for (const candidate of lane.backlogDue(nowMs, MAX_FLIGHT, lent)) {
    const watched = candidate.watched || lane.header.outage !== null;
    const record = watched ? lane.directive(candidate.id) : undefined;
    const over = record === undefined ? null : timeOver(lane, record, nowMs, giveUpAfterSeconds);
    if (record !== undefined && over !== null) {
      die(lane, record, over);
      continue;
    }
    chars += candidate.payload.length;
    if (due.length > 0 && chars > MAX_FLIGHT_CHARS) break;
    due.push(candidate);
  }
  return due;
}

function timeOver(
  { header }: LaneState,
  record: DirectiveRecord,
  nowMs: number,
  giveUpAfterSeconds: number,
): TimedFailure | null {
  if (record.expiresAtMs !== null && record.expiresAtMs <= nowMs) {
    return {
      code: "expired",
      message: `expiresAt was ${new Date(record.expiresAtMs).toISOString()}`,
      atMs: nowMs,
    };
  }
  const budgetMs = giveUpAfterSeconds * 1000;
  // An outage ends a directive only if it has itself lasted for the whole time budget.
  const { outage } = header;
  const lasting =
    outage !== null && unpausedMs(header, nowMs) - outage.sinceMs >= budgetMs ? outage.failure : null;
  const cause = isFailing(record) ? record.failure : lasting;
  if (cause === null || workedMs(header, record, nowMs) < budgetMs) return null;
  return { code: "gave_up", message: `last failure: ${cause.code}: ${cause.message}`, atMs: nowMs };
}

/** R3: an open slot is worked by one live lease. Lowest sequence first, each with what it needs. */
function overdueSlots(
  lane: LaneState,
  { nowMs, policy }: Pick<Moment, "nowMs" | "policy">,
): readonly { readonly slot: Slot; readonly need: "burn" | "bump" | "rebroadcast" }[] {
  const worked = new Set(lane.header.leases.flatMap(slotsOf));
  return openSlots(lane)
    .filter(
      (slot) => slot.resendAtMs <= nowMs && !worked.has(slot.sequence) && slot.transactions.some(isExposed),
    )
    .toSorted((left, right) => left.sequence - right.sequence)
    .map((slot) => {
      // Where a number cannot be outbid, only its validity ends what is out.
      if (!policy.gapTolerant) return { slot, need: "rebroadcast" };
      if (wantsBurn(slot)) return { slot, need: "burn" };
      const slow = nowMs - slot.signedAtMs >= policy.bumpAfterSeconds * 1000;
      const bumps = Math.max(slot.transactions.length - 1, slot.replacements);
      if (!slow || bumps >= policy.maxBumps) return { slot, need: "rebroadcast" };
      return { slot, need: slot.burning || slot.id === null ? "burn" : "bump" };
    });
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
export function slotsOf({ range, rebroadcast, burns, bumps }: Lease): readonly number[] {
  return [...range, ...rebroadcast, ...burns, ...bumps];
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
  const holes = holesLeft(lane, lease, entries);
  if (holes.length > 0) return { kind: "holes", sequences: holes };
  const placed: number[] = [];
  for (const { sequence, id, hash, raw, validUntil } of entries) {
    const signed: Transaction = { hash, raw, token, validUntil, noop: id === null, state: "recorded" };
    const replaced = lane.slots.get(sequence);
    if (replaced !== undefined) {
      // The same bytes as before: one entry of the log. Exposed ones stay so.
      const known = replaced.transactions.find((earlier) => earlier.hash === hash);
      const others = replaced.transactions.filter((earlier) => earlier.hash !== hash);
      const latest = known !== undefined && isExposed(known) ? known : signed;
      // The bytes of the newest exposed one are sent again, those of the newest are outbid: a row holds 2 MB.
      const standing = others.findLast(isExposed);
      const kept = others.map((earlier) =>
        earlier === standing || earlier === others.at(-1) ? earlier : { ...earlier, raw: "" },
      );
      const replacements = replaced.replacements + 1;
      lane.putSlot({ ...replaced, transactions: [...kept, latest], signedAtMs: nowMs, replacements });
      continue;
    }
    const loan = lease.loans.find((lent) => lent.id === id);
    lane.putSlot({
      sequence,
      state: "open",
      id,
      admission: loan?.admission ?? null,
      transactions: [signed],
      resendAtMs: lease.deadlineMs,
      signedAtMs: nowMs,
      burning: false,
      failingSinceMs: null,
      replacements: 0,
    });
    if (loan !== undefined) placed.push(loan.admission);
    lane.header.highestRecorded = Math.max(lane.header.highestRecorded ?? sequence, sequence);
  }
  lane.dequeue(placed);
  return { kind: "recorded" };
}

function entriesProblem(lane: LaneState, lease: Lease, entries: readonly SignedEntry[]): string | null {
  const granted = new Set([...lease.range, ...lease.burns, ...lease.bumps]);
  const lent = new Set(lease.loans.map(({ id }) => id));
  for (const { sequence, id } of entries) {
    if (!granted.delete(sequence)) {
      return `sequence ${sequence} is not granted to token ${lease.token}, or is recorded twice`;
    }
    const taken = lane.slots.get(sequence);
    if (lease.range.includes(sequence)) {
      if (taken !== undefined) return `sequence ${sequence} is taken`;
      if (id !== null && !lent.delete(id)) {
        return `directive ${id} is not lent to token ${lease.token}, or is recorded twice`;
      }
    } else if (taken?.state !== "open") {
      return `sequence ${sequence} is final`;
    } else if (id !== (lease.bumps.includes(sequence) ? taken.id : null)) {
      return `sequence ${sequence} is not of ${id ?? "a no-op"}`;
    }
  }
  return null;
}

function holesLeft(lane: LaneState, lease: Lease, entries: readonly SignedEntry[]): readonly number[] {
  const recorded = new Set(entries.map(({ sequence }) => sequence));
  const top = Math.max(...recorded, ...lane.slots.keys());
  return lease.range.filter(
    (sequence) => sequence < top && !recorded.has(sequence) && !lane.slots.has(sequence),
  );
}
