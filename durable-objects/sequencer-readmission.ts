import type { Admission, LetterKey, ReadmissionAnswer } from "../domain/lane.ts";
import { admit } from "./sequencer-admission.ts";
import {
  pausedSoFarMs,
  statusOf,
  type DirectiveRecord,
  type LaneState,
  type Moment,
} from "./sequencer-state.ts";

/**
 * R9: compare-and-set on (id, digest, generation), only from `dead`, so that two replays never both send one. With an
 * edit, from `dead` or `reverted`: another id takes over, and the old one is `replaced` in the same transaction.
 */
export function readmit(
  lane: LaneState,
  key: LetterKey,
  edit: Admission | null,
  moment: Moment,
): ReadmissionAnswer {
  const { header } = lane;
  const record = lane.directive(key.id);
  if (record === undefined || record.digest !== key.digest || header.account === null)
    return { kind: "unknown" };
  if (record.state === "confirmed") return { kind: "already-landed" };
  if (record.state === "review") return { kind: "undetermined" };
  const from = record.state === "dead" || (edit !== null && record.state === "reverted");
  if (!from && record.state === "reverted") return { kind: "reverted" };
  if (!from || record.generation !== key.generation) {
    return { kind: "moved-on", status: statusOf(lane, record), generation: record.generation };
  }
  if (edit !== null) return replace(lane, record, edit, moment);
  const generation = record.generation + 1;
  const readmitted: DirectiveRecord = {
    ...record,
    state: "queued",
    generation,
    notBeforeMs: moment.nowMs,
    // The time budget begins anew: the cause is said to be gone. A failure of before does not count (`isFailing`).
    budgetFromMs: Math.max(moment.nowMs, (record.failure?.atMs ?? 0) + 1),
    pausedMsBefore: pausedSoFarMs(header, moment.nowMs),
    updatedAtMs: moment.nowMs,
  };
  lane.putDirective(readmitted);
  lane.enqueue(readmitted);
  lane.letterPaid(record.id);
  header.counts.dead -= 1;
  return { kind: "readmitted", generation };
}

function replace(
  lane: LaneState,
  record: DirectiveRecord,
  edit: Admission,
  moment: Moment,
): ReadmissionAnswer {
  const { header } = lane;
  if (header.account === null) return { kind: "unknown" };
  if (lane.directive(edit.id) !== undefined) return { kind: "conflict" };
  admit(lane, header.account, [edit], moment);
  lane.putDirective({ ...record, state: "replaced", updatedAtMs: moment.nowMs });
  lane.letterPaid(record.id);
  header.counts.dead -= 1;
  header.counts.settled += 1;
  header.pruneAtMs ??= moment.nowMs + moment.policy.retentionSeconds * 1000;
  return { kind: "readmitted", generation: 0 };
}
