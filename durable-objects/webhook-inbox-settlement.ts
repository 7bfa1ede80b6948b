import type { TimedFailure } from "../domain/failure.ts";
import { unreachable } from "../domain/result.ts";
import type { EffectResult, InboxSettleAnswer, InboxSettlement } from "../domain/webhook-event.ts";
import { endLease, retry, takeEvents } from "./webhook-inbox-lease.ts";
import {
  audited,
  die,
  entryOf,
  failed,
  isLate,
  isLent,
  liveLease,
  tally,
  targetOf,
  unqueue,
  type EventRecord,
  type InboxMoment,
  type InboxState,
} from "./webhook-inbox-state.ts";

/** A doorbell is on its way already when work is left: the alarm rings only if nobody came. */
export const GRACE_MS = 3000;

/**
 * Takes what became of a flight. A stale token changes nothing. What was done is written down whatever became of the
 * events before it, since it has happened; what is not named stays due.
 */
export function settleEvents(
  inbox: InboxState,
  { token, results, renew }: InboxSettlement,
  moment: InboxMoment,
): InboxSettleAnswer {
  const { header } = inbox;
  const lease = liveLease(inbox, token, moment.nowMs);
  if (lease === undefined) return { kind: "stale" };
  inbox.prefetch(results.map(({ sequence }) => sequence));
  for (const { sequence, effects } of results) {
    const record = inbox.event(sequence);
    if (record !== undefined && isLent(header, sequence)) settleEvent(inbox, record, effects, moment);
  }
  endLease(inbox, moment);
  header.quietUntilMs = moment.nowMs + GRACE_MS;
  return {
    kind: "settled",
    next: renew ? takeEvents(inbox, lease.holder, moment) : { kind: "empty" },
  };
}

function settleEvent(
  inbox: InboxState,
  before: EventRecord,
  results: readonly EffectResult[],
  moment: InboxMoment,
): void {
  if (before.effects === null) return;
  const { nowMs, policy } = moment;
  const { header } = inbox;
  const effects = [...before.effects];
  let record: EventRecord = { ...before, attempts: before.attempts + 1, lone: false, updatedAtMs: nowMs };
  let transient: TimedFailure | null = null;
  let tried = 0;
  for (const result of results) {
    const entry = effects[result.index];
    if (entry?.state !== "pending") continue;
    tried += 1;
    const outcome = result.kind === "done" ? result.kind : `${result.kind}:${result.failure.code}`;
    tally(header, outcome);
    const what = `${targetOf(entry.effect)} ${outcome.replace(":", ": ")}`;
    record = audited(record, entryOf(nowMs, what, result.status, result.latencyMs));
    switch (result.kind) {
      case "done":
        effects[result.index] = { ...entry, state: "done" };
        break;
      case "permanent": {
        effects[result.index] = { ...entry, state: "failed" };
        const fatal = { ...result.failure, atMs: nowMs };
        record = { ...failed(record, fatal), fatal: record.fatal ?? fatal };
        break;
      }
      case "transient":
        transient = { ...result.failure, atMs: nowMs };
        break;
      default:
        unreachable(result);
    }
  }
  const open = effects.some(({ state }) => state === "pending");
  if (open && tried === 0) return;
  record = { ...record, effects };
  if (open && transient !== null) {
    retry(inbox, record, transient, moment);
  } else if (open) {
    // It got on, and did not fail: the rest of it is due.
    inbox.putEvent(record);
    unqueue(inbox, record);
    inbox.putWaiting({ sequence: record.sequence, dueMs: nowMs, late: isLate(record) });
  } else if (record.fatal !== null) {
    die(inbox, record, record.fatal, moment);
  } else {
    unqueue(inbox, record);
    inbox.putEvent(audited({ ...record, state: "settled" }, entryOf(nowMs, "settled")));
    header.counts.settled += 1;
    header.pruneAtMs ??= nowMs + policy.retentionSeconds * 1000;
  }
}
