import {
  dispositionOf,
  isCredentialFailure,
  isNodeRefusal,
  isPermanent,
  type Failure,
  type FailureCode,
  type TimedFailure,
} from "../domain/failure.ts";
import type { ChainReading, SettleAnswer, Settlement } from "../domain/lane.ts";
import type { Outcome } from "../domain/outcome.ts";
import { unreachable } from "../domain/result.ts";
import { retryDelaySeconds } from "../domain/retry.ts";
import { MAX_ADOPTED, stepTowards } from "./sequencer-adoption.ts";
import { isTaken, refusedNoop, withoutRefused } from "./sequencer-burn.ts";
import { endLease, expireLeases, liveLease, oldestAdmission, slotsOf, take } from "./sequencer-lease.ts";
import { beginOutage, countBlame, endOutage } from "./sequencer-outage.ts";
import {
  bareSlot,
  die,
  failed,
  holesOf,
  isContained,
  isExposed,
  isFailing,
  pausedSoFarMs,
  retreat,
  unpausedMs,
  viewsOf,
  wantsBurn,
  type DirectiveRecord,
  type LaneState,
  type Lease,
  type Moment,
  type Slot,
  type Transaction,
} from "./sequencer-state.ts";

/**
 * Takes what became of a flight. A stale token changes nothing (R2); a slot is released only here, and only when
 * every transaction in it is contained (R1). What the settlement does not name becomes exposed.
 */
export function settle(lane: LaneState, settlement: Settlement, moment: Moment): SettleAnswer {
  const { nowMs } = moment;
  expireLeases(lane, nowMs);
  const lease = liveLease(lane, settlement.token);
  if (lease === undefined) return { kind: "stale" };
  const outcomes = new Map(settlement.outcomes.map(({ hash, outcome }) => [hash, outcome]));
  for (const outcome of outcomes.values()) tally(lane, outcome);
  const blamed = blamedSlot(lane, lease, outcomes);
  // R8: a node that is behind the lane simulates on a state that the lane has left.
  const behind = settlement.reading !== null && settlement.reading.sequence < lane.header.floor;
  const heads = new Set(lease.loans.flatMap(({ id, head }) => (head && !behind ? [id] : [])));
  const noop = refusedNoop(lane, lease, outcomes);
  for (const sequence of slotsOf(lease)) {
    const slot = lane.slots.get(sequence);
    if (slot?.state === "open") settleSlot(lane, slot, lease, { outcomes, blamed, heads }, moment);
  }
  settleRefusals(lane, lease, settlement.refusals, heads, moment);
  settleOutage(lane, lease, settlement, noop, moment);
  endLease(lane, lease, nowMs);
  if (settlement.reading !== null) adopt(lane, settlement.reading, moment);
  promoteHead(lane, nowMs);
  return { kind: "settled", next: settlement.renew ? take(lane, lease.holder, moment) : { kind: "empty" } };
}

interface Told {
  readonly outcomes: ReadonlyMap<string, Outcome>;
  readonly blamed: number | null;
  /** Directives of which a revert is believed (R8). */
  readonly heads: ReadonlySet<string>;
}

function settleSlot(
  lane: LaneState,
  slot: Slot,
  lease: Lease,
  { outcomes, blamed, heads }: Told,
  moment: Moment,
): void {
  const { nowMs, policy } = moment;
  const transactions = slot.transactions.map((sent): Transaction => {
    const outcome = outcomes.get(sent.hash);
    if (outcome === undefined) return sent;
    if (sent.state === "recorded" && sent.token === lease.token)
      return { ...sent, state: settledState(outcome) };
    // R1: an answer about exposed bytes proves nothing against them, it can only say that the node has them.
    return isExposed(sent) && outcome.kind === "accepted" ? { ...sent, state: "accepted" } : sent;
  });
  const last = slot.transactions
    .map(({ hash }) => outcomes.get(hash))
    .findLast((outcome) => outcome !== undefined);
  const settled: Slot = {
    ...slot,
    transactions,
    resendAtMs: resendAtMs(lane, { ...slot, transactions }, last, lease, moment),
    failingSinceMs: failingSinceMs(lane, slot, last, nowMs),
  };
  const failure = last === undefined || last.kind === "accepted" ? null : { ...last.failure, atMs: nowMs };
  if (last?.kind === "accepted") lane.header.breaker = 0;
  if (isContained(settled)) {
    lane.deleteSlot(slot.sequence);
    const record = slot.id === null ? undefined : lane.directive(slot.id);
    if (record !== undefined && failure !== null) {
      release(
        lane,
        { ...record, sequence: slot.sequence, log: [...record.log, ...viewsOf(settled)] },
        failure,
        moment,
        last?.kind === "refused" && (!isOfState(last.failure.code) || heads.has(record.id)),
      );
    }
    return;
  }
  // R5: exposed bytes that the node refuses for good will not land: a no-op uses the number up, and evidence decides.
  const hopeless =
    !slot.burning &&
    transactions.some((sent) => isExposed(sent) && isRefusedForGood(lane, slot, outcomes.get(sent.hash)));
  const record = slot.id === null || failure === null ? undefined : lane.directive(slot.id);
  const over =
    settled.failingSinceMs !== null &&
    unpausedMs(lane.header, nowMs) - settled.failingSinceMs >= policy.giveUpAfterSeconds * 1000;
  const burn = hopeless || (over && !slot.burning && !isTaken(settled, outcomes, moment));
  const kept = withoutRefused(settled, outcomes, policy.maxBumps);
  lane.putSlot(burn ? { ...kept, burning: true, replacements: 0, resendAtMs: nowMs } : kept);
  if (record?.state !== "queued" || failure === null || (slot.sequence !== blamed && !burn)) return;
  const reason: TimedFailure =
    over && !hopeless && slot.sequence !== blamed
      ? { ...failure, code: "gave_up", message: `last failure: ${failure.code}: ${failure.message}` }
      : failure;
  lane.putDirective({
    ...failed(record, reason),
    state: "review",
    attempts: record.attempts + 1,
    sequence: slot.sequence,
  });
  lane.oweLetter(record.id, nowMs);
  if (slot.sequence === blamed) countBlame(lane, failure, nowMs, policy.breakerAfter);
}

/** In the header, which a settlement writes in any case. */
function tally({ header: { attempts } }: LaneState, outcome: Outcome): void {
  const name = outcome.kind === "accepted" ? outcome.kind : `${outcome.kind}:${outcome.failure.code}`;
  attempts[name] = (attempts[name] ?? 0) + 1;
}

/** The time budget of what is out: it runs while sends fail, and a send that is accepted gives it back. */
function failingSinceMs(
  lane: LaneState,
  slot: Slot,
  last: Outcome | undefined,
  nowMs: number,
): number | null {
  if (last === undefined) return slot.failingSinceMs;
  return last.kind === "accepted" ? null : (slot.failingSinceMs ?? unpausedMs(lane.header, nowMs));
}

/** By the node's own word, though another node may have said otherwise. R8: of a revert, that of the oldest alone. */
function isRefusedForGood(lane: LaneState, { admission }: Slot, outcome: Outcome | undefined): boolean {
  if (outcome?.kind !== "refused" && outcome?.kind !== "uncertain") return false;
  const { code } = outcome.failure;
  if (!isPermanent(code) || !isNodeRefusal(code)) return false;
  return !isOfState(code) || admission === oldestAdmission(lane);
}

/** R8: a simulation says this of the state that it ran on, which an earlier directive may be about to change. */
function isOfState(code: FailureCode): boolean {
  return code === "execution_reverted" || code === "out_of_gas";
}

function settledState(outcome: Outcome): Transaction["state"] {
  switch (outcome.kind) {
    case "accepted":
      return "accepted";
    case "refused":
      return "refused";
    case "unavailable":
      return "unsent";
    case "uncertain":
      return "uncertain";
    default:
      return unreachable(outcome);
  }
}

/**
 * Bytes that the node is not known to have are sent again soon, and those that it refuses the later the older they are:
 * an account may be without funds for long. The others when they ought to have been final. A burn that the node refuses
 * again and again comes back ever more rarely, and so does one whose number the chain has used.
 */
function resendAtMs(
  { header }: LaneState,
  slot: Slot,
  last: Outcome | undefined,
  lease: Lease,
  { nowMs, policy, random }: Moment,
): number {
  const burns = policy.gapTolerant && wantsBurn(slot);
  const rests = burns
    ? (header.chainSequence ?? 0) > slot.sequence
    : slot.transactions.some(({ state }) => state === "accepted");
  const tries = burns ? Math.max(2, slot.replacements) : 2;
  const refused = last !== undefined && last.kind !== "accepted" && isNodeRefusal(last.failure.code);
  const delaySeconds = rests
    ? policy.rebroadcastAfterSeconds
    : Math.max(retryDelaySeconds(tries, random()), refused ? (nowMs - slot.signedAtMs) / 4000 : 0);
  return (
    nowMs +
    Math.max(1, Math.min(delaySeconds, policy.rebroadcastAfterSeconds)) * 1000 +
    (lease.token % 7) * 10
  );
}

/**
 * An endpoint that answered 400, 401 or 403 in the node's place, after the request went out, says nothing of any
 * transaction: one directive, the oldest of the flight, is put under review, the rest stays uncertain.
 */
function blamedSlot(lane: LaneState, lease: Lease, outcomes: ReadonlyMap<string, Outcome>): number | null {
  let blamed: { sequence: number; admission: number } | null = null;
  for (const sequence of slotsOf(lease)) {
    const slot = lane.slots.get(sequence);
    if (slot?.state !== "open" || slot.id === null || slot.admission === null) continue;
    if (lane.directive(slot.id)?.state !== "queued") continue;
    const permanent = slot.transactions.some(({ hash }) => {
      const outcome = outcomes.get(hash);
      if (outcome?.kind !== "uncertain") return false;
      return isPermanent(outcome.failure.code) && !isNodeRefusal(outcome.failure.code);
    });
    if (permanent && (blamed === null || slot.admission < blamed.admission))
      blamed = { sequence, admission: slot.admission };
  }
  return blamed?.sequence ?? null;
}

/** R8: a preflight refusal counts only if the directive owns no slot; a revert is final only for the oldest. */
function settleRefusals(
  lane: LaneState,
  lease: Lease,
  refusals: Settlement["refusals"],
  heads: ReadonlySet<string>,
  moment: Moment,
): void {
  const lent = new Set(lease.loans.map(({ id }) => id));
  for (const { id, failure } of refusals) {
    const record = lane.directive(id);
    if (!lent.has(id) || record?.state !== "queued" || ownsSlot(lane, lease, id)) continue;
    tally(lane, { kind: "refused", failure });
    const believed = !isOfState(failure.code) || heads.has(id);
    release(lane, record, { ...failure, atMs: moment.nowMs }, moment, believed);
  }
}

function ownsSlot(lane: LaneState, lease: Lease, id: string): boolean {
  return lease.range.some((sequence) => lane.slots.get(sequence)?.id === id);
}

/** A contained failure: back to the backlog with a delay, or dead. */
function release(
  lane: LaneState,
  before: DirectiveRecord,
  failure: TimedFailure,
  { nowMs, random }: Moment,
  believed = true,
): void {
  const record = { ...before, attempts: before.attempts + 1 };
  const disposition = believed ? dispositionOf(failure.code, "contained") : "retry";
  switch (disposition) {
    case "dead-letter":
      die(lane, record, failure);
      return;
    case "retry": {
      const delayMs = retryDelaySeconds(record.attempts, random(), failure.retryAfterSeconds) * 1000;
      const budget = isFailing(record)
        ? {}
        : { budgetFromMs: nowMs, pausedMsBefore: pausedSoFarMs(lane.header, nowMs) };
      const waiting = { ...failed(record, failure), ...budget, notBeforeMs: nowMs + delayMs };
      lane.putDirective(waiting);
      lane.dequeue([waiting.admission]);
      lane.enqueue(waiting);
      return;
    }
    case "reconcile":
      throw new Error("a contained failure is never reconciled");
    default:
      unreachable(disposition);
  }
}

function settleOutage(
  lane: LaneState,
  lease: Lease,
  { outage, reading, outcomes }: Settlement,
  noop: Failure | undefined,
  moment: Moment,
): void {
  if (outage === null && noop !== undefined) {
    beginOutage(lane, { ...noop, atMs: moment.nowMs }, moment);
    return;
  }
  if (outage === null) {
    if (reading !== null || outcomes.some(({ outcome }) => outcome.kind === "accepted"))
      endOutage(lane, moment);
    return;
  }
  tally(lane, { kind: "unavailable", failure: outage });
  beginOutage(lane, { ...outage, atMs: moment.nowMs }, moment);
  if (!isPermanent(outage.code)) return;
  const oldest = lease.loans
    .flatMap(({ id }) => lane.directive(id) ?? [])
    .find((record) => record.state === "queued" && !ownsSlot(lane, lease, record.id));
  const alone =
    lease.loans.length === 1 && slotsOf(lease).every((sequence) => lease.range.includes(sequence));
  const credential = isCredentialFailure(outage.code);
  const blamed = oldest !== undefined && (credential || alone);
  if (blamed) die(lane, { ...oldest, attempts: oldest.attempts + 1 }, { ...outage, atMs: moment.nowMs });
  if (blamed || credential) countBlame(lane, outage, moment.nowMs, moment.policy.breakerAfter);
}

/** R11: a chain that is ahead is adopted by `skipped` slots, which reopen if it falls back before they are final. */
function adopt(lane: LaneState, reading: ChainReading, { nowMs, policy, random }: Moment): void {
  const { header } = lane;
  const { believed } = header;
  header.believed = false;
  header.chainSequence = reading.sequence;
  const sequence = believed ? stepTowards(lane, reading.sequence, nowMs) : reading.sequence;
  const untouched = header.highestRecorded === null && lane.slots.size === 0 && header.leases.length === 0;
  // Nothing was built on an earlier reading, so the newest is as good as the first.
  if (header.next === null || (untouched && header.floorAssumed)) {
    header.degraded = null;
    if (header.next === sequence) return;
    header.next = sequence;
    header.floor = sequence;
    lane.addEvent({ atMs: nowMs, kind: "initialized", detail: `the chain's next sequence is ${sequence}` });
    return;
  }
  // What was never final may fall back: its numbers become holes, and are filled.
  if (header.floorAssumed && sequence < header.floor) header.floor = sequence;
  const behind = sequence < header.floor;
  const jumped = sequence - header.next > MAX_ADOPTED;
  if (behind || jumped) {
    const reason = behind
      ? `the chain's sequence ${sequence} is below ${header.floor}, which was final: it was reset, or the RPC URL is of another chain`
      : `the chain's sequence ${sequence} is more than ${MAX_ADOPTED} ahead of ${header.next}: repair the lane if that is right`;
    if (header.degraded === null) lane.addEvent({ atMs: nowMs, kind: "degraded", detail: reason });
    header.degraded = { reason, probeAtMs: nowMs + policy.probeSeconds * (1 + random()) * 1000 };
    return;
  }
  if (header.degraded !== null)
    lane.addEvent({ atMs: nowMs, kind: "recovered", detail: `the chain's sequence is ${sequence}` });
  header.degraded = null;
  for (const slot of lane.slots.values()) {
    if (slot.state === "skipped" && slot.sequence >= sequence) lane.deleteSlot(slot.sequence);
  }
  retreat(lane);
  const foreign = holesOf(lane).filter((hole) => hole < sequence);
  for (; header.next < sequence; header.next += 1) foreign.push(header.next);
  for (const skipped of foreign) {
    lane.putSlot(bareSlot(skipped, "skipped"));
  }
  if (foreign.length > 0)
    lane.addEvent({
      atMs: nowMs,
      kind: "adopted",
      detail: `${foreign.length} foreign sequences below ${sequence}`,
    });
}

/**
 * A directive whose simulated revert could not be believed, since earlier ones were under way, is due as soon as
 * it is the oldest: then the answer counts.
 */
export function promoteHead(lane: LaneState, nowMs: number): void {
  const head = lane.backlogOldest();
  if (
    head?.failure?.code !== "execution_reverted" ||
    head.notBeforeMs <= nowMs ||
    head.admission !== oldestAdmission(lane)
  )
    return;
  const due = { ...head, notBeforeMs: nowMs };
  lane.putDirective(due);
  lane.dequeue([head.admission]);
  lane.enqueue(due);
}
