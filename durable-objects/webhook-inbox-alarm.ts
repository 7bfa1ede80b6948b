import type { LetterKey } from "../domain/lane.ts";
import { letterAgainMs } from "./owed-letter.ts";
import { expireLease, nextDueMs } from "./webhook-inbox-lease.ts";
import { GRACE_MS } from "./webhook-inbox-settlement.ts";
import type { InboxMoment, InboxState } from "./webhook-inbox-state.ts";

/** Doorbells that nobody answers come ever more slowly: consumers that are away must not find a flood of them. */
const MAX_QUIET_MS = 60_000;
const MAX_LETTERS = 500;
const PRUNED_AT_ONCE = 500;
const PRUNE_AGAIN_MS = 1000;

/** What an alarm has to send, after the next alarm is set. */
export interface InboxRing {
  readonly doorbell: boolean;
  readonly letters: readonly LetterKey[];
}

/**
 * When the alarm is to ring for work; null when nothing is due. A matter of what is stored, so that nothing depends on
 * a message still existing, and of the head alone, so that a thousand events behind it ring no more often than one.
 */
function ringMs(inbox: InboxState, moment: InboxMoment): number | null {
  const { header } = inbox;
  if (header.lease !== null) return header.lease.deadlineMs;
  if (header.paused !== null) return null;
  const dueMs = nextDueMs(inbox, moment);
  if (dueMs === null) return null;
  return header.prompt ? dueMs : Math.max(dueMs + GRACE_MS, header.quietUntilMs);
}

/**
 * The one alarm's time: the earliest of all due times, in whole milliseconds. Set for a fraction, it would ring before
 * what it is for, and be set again for the very time at which it rings: workerd loses such an alarm.
 */
export function inboxAlarmMs(inbox: InboxState, moment: InboxMoment): number | null {
  const times = [ringMs(inbox, moment), inbox.header.pruneAtMs, inbox.lettersOwedNextMs()];
  const due = times.filter((atMs) => atMs !== null);
  return due.length === 0 ? null : Math.ceil(Math.min(...due));
}

/** The alarm rang: says what to send, and moves the due times of what is sent. */
export function ringInbox(inbox: InboxState, moment: InboxMoment): InboxRing {
  const { header } = inbox;
  const { nowMs } = moment;
  const workMs = ringMs(inbox, moment);
  expireLease(inbox, moment);
  const rings = workMs !== null && workMs <= nowMs && header.paused === null;
  const doorbell = rings && (nextDueMs(inbox, moment) ?? Infinity) <= nowMs;
  if (doorbell) {
    header.prompt = false;
    header.quietUntilMs = nowMs + Math.min(MAX_QUIET_MS, GRACE_MS * 2 ** Math.min(header.rings, 10));
    header.rings += 1;
  }
  if (header.pruneAtMs !== null && header.pruneAtMs <= nowMs) prune(inbox, moment);
  const letters = inbox.lettersOwedDue(nowMs, MAX_LETTERS).flatMap((sequence): LetterKey[] => {
    const record = inbox.event(sequence);
    inbox.oweLetter(sequence, nowMs + letterAgainMs(nowMs - (record?.updatedAtMs ?? nowMs)));
    return record === undefined
      ? []
      : [{ id: record.id, digest: record.digest, generation: record.generation }];
  });
  return { doorbell, letters };
}

function prune(inbox: InboxState, { nowMs, policy }: InboxMoment): void {
  const { header } = inbox;
  const retentionMs = policy.retentionSeconds * 1000;
  const { next, dropped } = inbox.prune(nowMs - retentionMs, header.pruneFrom, PRUNED_AT_ONCE);
  header.counts.pruned += dropped;
  header.pruneFrom = next ?? 0;
  if (next !== null) header.pruneAtMs = nowMs + PRUNE_AGAIN_MS;
  else
    header.pruneAtMs =
      header.counts.settled > header.counts.pruned
        ? nowMs + Math.max(PRUNE_AGAIN_MS, retentionMs / 10)
        : null;
}
