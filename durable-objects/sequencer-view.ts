import type { AccountId } from "../domain/ids.ts";
import type {
  DirectiveFacts,
  DirectiveView,
  LaneLetter,
  LaneStatus,
  LaneStatusView,
  LetterKey,
} from "../domain/lane.ts";
import {
  DEGRADED_AFTER,
  countsOf,
  holesOf,
  isLookUpBroken,
  openSlots,
  slotOf,
  statusOf,
  transactionsOf,
  type LaneState,
  type Moment,
} from "./sequencer-state.ts";
import type { LaneStorage } from "./sequencer-storage.ts";

const SHOWN_EVENTS = 50;

/** What the API says of a directive; undefined when the lane never admitted it. */
export function directiveView(lane: LaneState, id: string): DirectiveView | undefined {
  const facts = directiveFacts(lane, id);
  const record = lane.directive(id);
  return facts === null || record === undefined ? undefined : { ...facts, payload: lane.payloadOf(record) };
}

/** Null when the lane never admitted it. */
export function directiveFacts(lane: LaneState, id: string): DirectiveFacts | null {
  const record = lane.directive(id);
  const { account } = lane.header;
  if (record === undefined || account === null) return null;
  const slot = slotOf(lane, record);
  return {
    id,
    account,
    digest: record.digest,
    status: statusOf(lane, record),
    generation: record.generation,
    sequence: slot?.sequence ?? record.sequence,
    transactions: transactionsOf(lane, record),
    attempts: record.attempts + (slot === undefined || record.state === "review" ? 0 : 1),
    failure: record.failure,
    admittedAtMs: record.admittedAtMs,
    updatedAtMs: Math.max(record.updatedAtMs, slot?.signedAtMs ?? 0),
  };
}

/** What the ledger writes down; undefined when the lane owes no letter under this key (R7). */
export function letterOf(lane: LaneStorage, { id, digest, generation }: LetterKey): LaneLetter | undefined {
  const record = lane.directive(id);
  const { account } = lane.header;
  if (
    record === undefined ||
    account === null ||
    record.digest !== digest ||
    record.generation !== generation ||
    !lane.letterOwed(id)
  )
    return undefined;
  const { failure, firstFailure } = record;
  if (failure === null || firstFailure === null) return undefined;
  // A review that evidence has closed since is told as what it was: the ledger's reconciliation closes the letter.
  const status = record.state === "dead" || record.state === "reverted" ? record.state : "review";
  return {
    id,
    digest,
    generation,
    account,
    status,
    payload: lane.payloadOf(record),
    failure,
    firstFailure,
    attempts: record.attempts,
    sequence: slotOf(lane, record)?.sequence ?? record.sequence,
    transactions: transactionsOf(lane, record),
    admittedAtMs: record.admittedAtMs,
  };
}

export function statusView(lane: LaneStorage, nowMs: number): LaneStatusView {
  const { header } = lane;
  return {
    ...statusOfLane(lane, nowMs),
    nextSequence: header.next ?? 0,
    chainSequence: header.chainSequence,
    checkpoint: { received: header.highestRecorded, contiguous: header.floor },
    leases: header.leases.map(({ token, holder, deadlineMs }) => ({
      token,
      holder,
      endsInMs: deadlineMs - nowMs,
    })),
    counts: countsOf(header),
    open: openSlots(lane).length,
    lettersOwed: lane.lettersOwedCount(),
    attempts: { ...header.attempts },
    outage: header.outage?.failure ?? null,
    events: lane.events(SHOWN_EVENTS),
  };
}

/** Derived from facts, `paused` aside. */
function statusOfLane(lane: LaneState, nowMs: number): { status: LaneStatus; reason: string | null } {
  const { header } = lane;
  if (header.paused !== null)
    return { status: "paused", reason: `${header.paused.actor}: ${header.paused.reason}` };
  if (header.degraded !== null) return { status: "degraded", reason: header.degraded.reason };
  if (isLookUpBroken(header)) return { status: "degraded", reason: "look-ups fail" };
  if (header.outage !== null && header.outage.attempts >= DEGRADED_AFTER)
    return { status: "degraded", reason: `${header.outage.failure.code}: ${header.outage.failure.message}` };
  if (header.next === null) return { status: "initializing", reason: null };
  const holes = holesOf(lane);
  if (holes.length > 0) return { status: "repairing", reason: `sequence ${holes[0]} is a hole` };
  const overdue = openSlots(lane).find(({ resendAtMs }) => resendAtMs < nowMs);
  if (overdue !== undefined)
    return { status: "repairing", reason: `sequence ${overdue.sequence} is overdue` };
  return { status: "live", reason: null };
}

export function pauseLane(
  lane: LaneStorage,
  account: AccountId,
  reason: string,
  actor: string,
  { nowMs }: Moment,
): LaneStatusView {
  const { header } = lane;
  header.account ??= account;
  if (header.paused === null) {
    header.paused = { reason, actor, sinceMs: nowMs };
    lane.addEvent({ atMs: nowMs, kind: "paused", detail: `${actor}: ${reason}` });
  }
  return statusView(lane, nowMs);
}

/**
 * Forgets every delay: look-ups, rebroadcasts and the next attempts are due now. A lane that does not believe the chain's
 * sequence takes the operator's word for it (R11).
 */
export function repairLane(
  lane: LaneStorage,
  account: AccountId,
  reason: string,
  actor: string,
  { nowMs }: Moment,
): LaneStatusView {
  const { header } = lane;
  header.account ??= account;
  header.believed ||= header.degraded !== null;
  header.degraded = null;
  header.lookUpFailures = 0;
  if (header.outage !== null) header.outage = { ...header.outage, notBeforeMs: nowMs };
  for (const slot of openSlots(lane)) lane.putSlot({ ...slot, resendAtMs: Math.min(slot.resendAtMs, nowMs) });
  if (openSlots(lane).length > 0) header.confirmAtMs = nowMs;
  lane.hasten(nowMs);
  lane.addEvent({ atMs: nowMs, kind: "repair", detail: `${actor}: ${reason}` });
  return statusView(lane, nowMs);
}

export function resumeLane(
  lane: LaneStorage,
  account: AccountId,
  reason: string,
  actor: string,
  { nowMs }: Moment,
): LaneStatusView {
  const { header } = lane;
  header.account ??= account;
  if (header.paused !== null) {
    header.pausedMs += nowMs - header.paused.sinceMs;
    header.paused = null;
    header.breaker = 0;
    lane.addEvent({ atMs: nowMs, kind: "resumed", detail: `${actor}: ${reason}` });
  }
  return statusView(lane, nowMs);
}
