import { utf8ToBytes } from "@noble/hashes/utils.js";
import type { Failure, TimedFailure } from "../domain/failure.ts";
import { retryDelaySeconds } from "../domain/retry.ts";
import type { Effect, EventPlan, InboxTakeAnswer, LeasedEvent } from "../domain/webhook-event.ts";
import {
  audited,
  die,
  entryOf,
  failed,
  isLate,
  isLent,
  isOrdered,
  liveLease,
  pausedSoFarMs,
  tally,
  unqueue,
  type EventRecord,
  type InboxMoment,
  type InboxState,
  type Waiting,
} from "./webhook-inbox-state.ts";

const MAX_FLIGHT = 50;
/** Of bodies and effects together: a consumer may work the flights of a hundred inboxes in its 128 MB. */
const MAX_FLIGHT_CHARACTERS = 512 * 1024;
/** The effects of one event are one value of the database, which holds 2 MB. */
const MAX_PLAN_BYTES = 1024 * 1024;

/** Lends what is due under a new token, to one consumer at a time. */
export function takeEvents(inbox: InboxState, holder: string, moment: InboxMoment): InboxTakeAnswer {
  const { header } = inbox;
  const { nowMs, policy } = moment;
  expireLease(inbox, moment);
  if (header.address === null) return { kind: "empty" };
  if (header.paused !== null) return { kind: "paused", reason: header.paused.reason };
  if (header.lease !== null) return { kind: "occupied", dueInMs: header.lease.deadlineMs - nowMs };
  const events = flightOf(inbox, dueEvents(inbox, moment));
  const last = events.at(-1);
  if (last === undefined) {
    const dueMs = nextDueMs(inbox, moment);
    return dueMs === null ? { kind: "empty" } : { kind: "waiting", dueInMs: Math.max(0, dueMs - nowMs) };
  }
  header.token += 1;
  const leaseMs = policy.leaseSeconds * 1000;
  const sequences = events.map(({ sequence }) => sequence);
  header.lease = {
    token: header.token,
    holder,
    deadlineMs: nowMs + leaseMs,
    sequences,
    freshBase: header.freshFrom,
    alone: sequences.length === 1,
  };
  header.freshFrom = Math.max(header.freshFrom, ...sequences.map((sequence) => sequence + 1));
  header.prompt = false;
  header.rings = 0;
  return { kind: "work", token: header.token, leaseMs, address: header.address, events };
}

/** G4: what may be lent now, in the order in which it is to be handled. */
function dueEvents(inbox: InboxState, { nowMs, policy }: InboxMoment): readonly number[] {
  const { header } = inbox;
  if (!isOrdered(header)) {
    const due = [...inbox.waitingDue(false, nowMs, MAX_FLIGHT), ...inbox.waitingDue(true, nowMs, MAX_FLIGHT)];
    const fresh = freshOf(inbox, MAX_FLIGHT);
    // Half of a flight, at the least, is for those that come anew: a replay does not starve them.
    const room = Math.max(MAX_FLIGHT / 2, MAX_FLIGHT - fresh.length);
    const older = sequencesOf(due.toSorted((left, right) => left.dueMs - right.dueMs).slice(0, room));
    return [...older, ...fresh.slice(0, MAX_FLIGHT - older.length)];
  }
  const inOrder = inOrderOf(inbox, lineOf(inbox, policy.afterPermanentFailure === "pause"), nowMs);
  if (policy.afterPermanentFailure === "pause") return inOrder;
  // One at a time: what is new waits for no more of them than the one that is being handled.
  const late = inbox.firstLateDue(nowMs);
  header.lateTurn = late !== undefined && (inOrder.length === 0 || !header.lateTurn);
  return header.lateTurn && late !== undefined ? [late] : inOrder;
}

/** The oldest queued events, up to the first that is not due: none is lent before one that was admitted earlier. */
function inOrderOf(inbox: InboxState, line: readonly Waiting[], nowMs: number): readonly number[] {
  const blocked = line.findIndex(({ dueMs }) => dueMs > nowMs);
  return blocked === -1
    ? [...sequencesOf(line), ...freshOf(inbox, MAX_FLIGHT - line.length)]
    : sequencesOf(line.slice(0, blocked));
}

/** The waiting ones that those behind them wait for. A late one keeps its place only where the key pauses for a dead event. */
export function lineOf(inbox: InboxState, withLate: boolean): readonly Waiting[] {
  const line = inbox.waiting(false, MAX_FLIGHT);
  if (!withLate) return line;
  return [...line, ...inbox.waiting(true, MAX_FLIGHT)]
    .toSorted((left, right) => left.sequence - right.sequence)
    .slice(0, MAX_FLIGHT);
}

function freshOf({ header }: InboxState, limit: number): readonly number[] {
  const count = Math.max(0, Math.min(limit, header.nextSequence - header.freshFrom));
  return Array.from({ length: count }, (_, index) => header.freshFrom + index);
}

function sequencesOf(waiting: readonly Waiting[]): readonly number[] {
  return waiting.map(({ sequence }) => sequence);
}

/** Reads the candidates, and ends the flight where it is large enough. */
function flightOf(inbox: InboxState, candidates: readonly number[]): readonly LeasedEvent[] {
  inbox.prefetch(candidates);
  const flight: LeasedEvent[] = [];
  let characters = 0;
  for (const sequence of candidates) {
    const record = inbox.event(sequence);
    if (record === undefined) throw new Error("a queued event is not there");
    if (record.lone && flight.length > 0) break;
    const { id, contentType, admittedAtMs, attempts, generation, effects } = record;
    const body = inbox.bodyOf(sequence);
    characters += body.length + (effects === null ? 0 : JSON.stringify(effects).length);
    if (flight.length > 0 && characters > MAX_FLIGHT_CHARACTERS) break;
    const attempt = attempts + 1;
    flight.push({ sequence, id, body, contentType, admittedAtMs, attempt, generation, effects });
    if (record.lone) break;
  }
  return flight;
}

/** When the next of the queued is due, as far as others do not keep it waiting. The lease aside. Epoch milliseconds. */
export function nextDueMs(inbox: InboxState, { policy }: InboxMoment): number | null {
  const { header } = inbox;
  const freshMs =
    header.freshFrom < header.nextSequence ? (inbox.event(header.freshFrom)?.admittedAtMs ?? null) : null;
  if (!isOrdered(header)) return earliest(inbox.waitingNextMs(false), inbox.waitingNextMs(true), freshMs);
  const lateBlocks = policy.afterPermanentFailure === "pause";
  const headMs = lineOf(inbox, lateBlocks)[0]?.dueMs ?? freshMs;
  return lateBlocks ? headMs : earliest(headMs, inbox.waitingNextMs(true));
}

function earliest(...times: readonly (number | null)[]): number | null {
  const set = times.filter((atMs) => atMs !== null);
  return set.length === 0 ? null : Math.min(...set);
}

/**
 * The handler's output, before any effect begins. What is stored stays: a second run of it may differ, its output may not.
 * Of an event that was skipped under this lease it is stored too: its consumer carries it out, so that a replay must not
 * ask for something else.
 */
export function planEvents(
  inbox: InboxState,
  token: number,
  plans: readonly EventPlan[],
  moment: InboxMoment,
): "planned" | "stale" {
  const { header } = inbox;
  if (liveLease(inbox, token, moment.nowMs) === undefined) return "stale";
  inbox.prefetch(plans.map(({ sequence }) => sequence));
  for (const plan of plans) {
    const record = inbox.event(plan.sequence);
    if (record === undefined || record.effects !== null) continue;
    const failure = plan.failure ?? tooLarge(plan.effects);
    if (failure !== null) {
      if (!isLent(header, plan.sequence)) continue;
      tally(header, `permanent:${failure.code}`);
      die(inbox, { ...record, attempts: record.attempts + 1 }, { ...failure, atMs: moment.nowMs }, moment);
      continue;
    }
    const state = record.state === "dead" ? ("failed" as const) : ("pending" as const);
    const effects = plan.effects.map((effect) => ({ effect, state }));
    inbox.putEvent(
      audited({ ...record, effects, updatedAtMs: moment.nowMs }, entryOf(moment.nowMs, "planned")),
    );
  }
  return "planned";
}

function tooLarge(effects: readonly Effect[]): Failure | null {
  return utf8ToBytes(JSON.stringify(effects)).length <= MAX_PLAN_BYTES
    ? null
    : { code: "handler_failed", message: `handle asked for effects of more than ${MAX_PLAN_BYTES} bytes` };
}

/** A lease that ran out: its consumer is gone, or too slow. */
export function expireLease(inbox: InboxState, moment: InboxMoment): void {
  const { lease } = inbox.header;
  if (lease === null || lease.deadlineMs > moment.nowMs) return;
  inbox.prefetch(lease.sequences);
  for (const record of lease.sequences.flatMap((sequence) => inbox.event(sequence) ?? [])) {
    if (!lease.alone) {
      inbox.putEvent({ ...record, lone: true });
      continue;
    }
    // It was alone, so this was an attempt of it: one that always ends so is given up in the end.
    const failure = { code: "lease_lost", message: "the lease ended before the event was settled" } as const;
    tally(inbox.header, `transient:${failure.code}`);
    const lost = { ...record, attempts: record.attempts + 1, lone: true };
    retry(
      inbox,
      audited(lost, entryOf(moment.nowMs, `transient: ${failure.code}`)),
      { ...failure, atMs: moment.nowMs },
      moment,
    );
  }
  endLease(inbox, moment);
}

/** What is still lent was not tried: it stays due. */
export function endLease(inbox: InboxState, { nowMs }: InboxMoment): void {
  const { header } = inbox;
  const { lease } = header;
  if (lease === null) return;
  header.lease = null;
  for (const sequence of lease.sequences.toSorted((left, right) => right - left)) {
    if (sequence < lease.freshBase) continue;
    if (sequence === header.freshFrom - 1) header.freshFrom = sequence;
    else inbox.putWaiting({ sequence, dueMs: nowMs, late: false });
  }
}

/**
 * One more failed attempt: the event waits, or has used its time budget up. The budget is the time between failures,
 * without pauses, and at most the delay that was given and one lease: an event that waited for others, or for a
 * consumer to come, has not used that up.
 */
export function retry(
  inbox: InboxState,
  before: EventRecord,
  failure: TimedFailure,
  moment: InboxMoment,
): void {
  const { header } = inbox;
  const { nowMs, policy, random } = moment;
  const pausedMs = pausedSoFarMs(header, nowMs);
  const { lastRetry } = before;
  const waitedMs =
    lastRetry === null
      ? 0
      : Math.min(
          nowMs - lastRetry.atMs - (pausedMs - lastRetry.pausedMs),
          lastRetry.delayMs + policy.leaseSeconds * 1000,
        );
  const record = failed(
    { ...before, retries: before.retries + 1, spentMs: before.spentMs + Math.max(0, waitedMs) },
    failure,
  );
  if (record.spentMs >= policy.giveUpAfterSeconds * 1000) {
    const message = `last failure: ${failure.code}: ${failure.message}`;
    die(inbox, record, record.fatal ?? { code: "gave_up", message, atMs: nowMs }, moment);
    return;
  }
  const delayMs = retryDelaySeconds(record.retries, random(), failure.retryAfterSeconds) * 1000;
  inbox.putEvent({ ...record, lastRetry: { atMs: nowMs, delayMs, pausedMs } });
  unqueue(inbox, record);
  inbox.putWaiting({ sequence: record.sequence, dueMs: nowMs + delayMs, late: isLate(record) });
}
