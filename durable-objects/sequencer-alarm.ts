import type { LetterKey } from "../domain/lane.ts";
import { letterAgainMs } from "./owed-letter.ts";
import { expireLeases, loansOf } from "./sequencer-lease.ts";
import {
  holesOf,
  isExposed,
  isLookUpBroken,
  openSlots,
  type LaneHeader,
  type LaneState,
  type Moment,
} from "./sequencer-state.ts";

/** A doorbell is on its way already when work appears: the alarm rings only if nobody came. */
const GRACE_MS = 3000;
/** A lost doorbell is made good in seconds. A lane that nobody comes for, since its signer is gone, rings each minute. */
const QUICK_RINGS = 20;
const MAX_GRACE_MS = 60_000;
const MAX_LETTERS = 100;
const PRUNED_AT_ONCE = 500;
const PRUNE_AGAIN_MS = 1000;

/** What an alarm has to send, in this order, after the next alarm is set (R6). */
export interface Ring {
  readonly doorbell: boolean;
  readonly confirmation: boolean;
  readonly letters: readonly LetterKey[];
}

/** When the lane has something to do that a consumer must come for; null when nothing. Epoch milliseconds. */
function workDueMs(lane: LaneState, { nowMs, policy }: Moment): number | null {
  const { header } = lane;
  if (header.leases.length > 0) return Math.min(...header.leases.map(({ deadlineMs }) => deadlineMs));
  if (header.paused !== null) return null;
  const open = openSlots(lane);
  const due: number[] = [];
  if (header.next !== null && holesOf(lane).length > 0) due.push(nowMs);
  for (const slot of open) if (slot.transactions.some(isExposed)) due.push(slot.resendAtMs);
  const backlogMs = open.length < policy.maxUnconfirmed ? lane.backlogNextDueMs(nowMs, loansOf(lane)) : null;
  if (backlogMs !== null) due.push(backlogMs);
  if (due.length === 0) return null;
  // Until then a consumer would only be told to wait. The look-up that succeeds rings at once.
  const lookUpMs = isLookUpBroken(header) ? header.confirmAtMs : null;
  const { outage, degraded } = header;
  return Math.max(Math.min(...due), outage?.notBeforeMs ?? 0, degraded?.probeAtMs ?? 0, lookUpMs ?? 0);
}

function graceMs({ unansweredRings }: LaneHeader): number {
  return Math.min(MAX_GRACE_MS, GRACE_MS * 2 ** Math.max(0, unansweredRings - QUICK_RINGS));
}

/**
 * Sets the lane's due times anew. Called after every event, in its transaction, so that nothing depends on a
 * message still existing (R6). `prompt`: nobody else will ring for work that is due now.
 */
export function schedule(lane: LaneState, moment: Moment, prompt: boolean): void {
  const { header } = lane;
  const open = openSlots(lane).length > 0;
  if (!open) {
    // Nothing is left to look up, so nothing could end a degradation: the next flight finds out anew.
    header.confirmAtMs = null;
    header.lookUpFailures = 0;
  } else header.confirmAtMs ??= moment.nowMs + moment.policy.confirmEverySeconds * 1000;
  const workMs = workDueMs(lane, moment);
  if (workMs === null) {
    header.ringAtMs = null;
  } else {
    const ringMs =
      Math.max(moment.nowMs, workMs) + (prompt || header.leases.length > 0 ? 0 : graceMs(header));
    // A ring that is due already is not put off by what happens before the alarm comes.
    const stands = header.ringAtMs !== null && (header.ringAtMs >= workMs || header.ringAtMs <= moment.nowMs);
    const standing = stands && header.ringAtMs !== null ? header.ringAtMs : ringMs;
    header.ringAtMs = Math.min(standing, ringMs);
  }
}

/**
 * The one alarm's time: the earliest of all due times, in whole milliseconds. Set for a fraction, it would ring before
 * what it is for, and be set again for the very time at which it rings: workerd loses such an alarm.
 */
export function alarmDueMs(lane: LaneState): number | null {
  const { ringAtMs, confirmAtMs, pruneAtMs } = lane.header;
  const due = [ringAtMs, confirmAtMs, pruneAtMs, lane.lettersOwedNextMs()].filter((atMs) => atMs !== null);
  return due.length === 0 ? null : Math.ceil(Math.min(...due));
}

/** R10. */
function prune(lane: LaneState, { nowMs, policy }: Moment): void {
  const retentionMs = policy.retentionSeconds * 1000;
  const { header } = lane;
  const { next, left } = lane.prune(nowMs - retentionMs, header.pruneFrom, PRUNED_AT_ONCE);
  header.pruneFrom = next ?? 0;
  if (next !== null) header.pruneAtMs = nowMs + PRUNE_AGAIN_MS;
  else header.pruneAtMs = left ? nowMs + retentionMs / 10 : null;
}

/** The alarm rang: says what to send, and moves the due times of what is sent. */
export function ring(lane: LaneState, moment: Moment): Ring {
  const { header } = lane;
  const { nowMs, policy } = moment;
  expireLeases(lane, nowMs);
  const doorbell = header.ringAtMs !== null && header.ringAtMs <= nowMs;
  if (doorbell) {
    header.ringAtMs = null;
    header.unansweredRings += 1;
  }
  const confirmation = header.confirmAtMs !== null && header.confirmAtMs <= nowMs;
  // R6: three failed look-ups make it a probe, at a slower and jittered pace.
  const everySeconds = isLookUpBroken(header)
    ? policy.probeSeconds * (1 + moment.random())
    : policy.confirmEverySeconds;
  if (confirmation) header.confirmAtMs = nowMs + everySeconds * 1000;
  if (header.pruneAtMs !== null && header.pruneAtMs <= nowMs) prune(lane, moment);
  const letters = lane.lettersOwedDue(nowMs, MAX_LETTERS).flatMap((id): LetterKey[] => {
    const record = lane.directive(id);
    lane.oweLetter(id, nowMs + letterAgainMs(nowMs - (record?.updatedAtMs ?? nowMs)));
    return record === undefined ? [] : [{ id, digest: record.digest, generation: record.generation }];
  });
  schedule(lane, moment, false);
  return { doorbell: doorbell && header.paused === null, confirmation, letters };
}
