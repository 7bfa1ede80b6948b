import { expireLease, lineOf } from "./webhook-inbox-lease.ts";
import { die, isLate, isOrdered, pause, type InboxMoment, type InboxState } from "./webhook-inbox-state.ts";

/** A lease that stands goes on: its consumer settles, and gets no more. */
export function pauseInbox(inbox: InboxState, reason: string, actor: string, { nowMs }: InboxMoment): void {
  pause(inbox, reason, actor, nowMs);
}

export function resumeInbox(inbox: InboxState, reason: string, actor: string, { nowMs }: InboxMoment): void {
  const { header } = inbox;
  if (header.paused === null) return;
  header.pausedMs += nowMs - header.paused.sinceMs;
  header.paused = null;
  header.prompt = true;
  inbox.addEvent({ atMs: nowMs, kind: "resumed", detail: `${actor}: ${reason}` });
}

/**
 * Gives the head up: a dead letter, which may be replayed. A lease that holds it stands, without it: its consumer may be
 * at work, so the key has no other until it settles or runs out of time. What it says of the others counts; what it says
 * of this one changes nothing, and what it does for it meanwhile, it may do once more than was counted.
 * @param sequence the head that is meant; null for whichever it is
 * @returns the head that was given up; null where none was
 */
export function skipHead(
  inbox: InboxState,
  { reason, actor, sequence }: { reason: string; actor: string; sequence: number | null },
  moment: InboxMoment,
): number | null {
  const { header } = inbox;
  const { nowMs } = moment;
  expireLease(inbox, moment);
  const head = headOf(inbox, moment);
  const record = head === null ? undefined : inbox.event(head);
  if (record === undefined || (sequence !== null && sequence !== head)) return null;
  inbox.addEvent({ atMs: nowMs, kind: "skipped", detail: `event ${record.id}, ${actor}: ${reason}` });
  die(inbox, record, { code: "skipped", message: `${actor}: ${reason}`, atMs: nowMs }, moment);
  header.prompt = true;
  return head;
}

/** The event that the others wait for: the oldest queued one. A late one that nobody waits for only where it is alone. */
export function headOf(inbox: InboxState, { policy }: InboxMoment): number | null {
  const { header } = inbox;
  const everyone = !isOrdered(header) || policy.afterPermanentFailure === "pause";
  const lent = (header.lease?.sequences ?? []).flatMap((sequence) => inbox.event(sequence) ?? []);
  const line = [
    ...lent.filter((record) => everyone || !isLate(record)),
    ...lineOf(inbox, everyone),
    ...(header.freshFrom < header.nextSequence ? [{ sequence: header.freshFrom }] : []),
  ];
  const heads = line.length > 0 ? line : [...lent, ...inbox.waiting(true, 1)];
  return heads.length === 0 ? null : Math.min(...heads.map(({ sequence }) => sequence));
}
