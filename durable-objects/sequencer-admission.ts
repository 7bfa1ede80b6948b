import type { AccountId } from "../domain/ids.ts";
import type { Admission, AdmissionAnswer } from "../domain/lane.ts";
import {
  pausedSoFarMs,
  statusOf,
  type DirectiveRecord,
  type LaneState,
  type Moment,
} from "./sequencer-state.ts";

/**
 * Takes directives into the outbox. The id is the idempotency key: the same payload again is a duplicate, another
 * payload under the same id is a conflict, and neither changes anything.
 */
export function admit(
  lane: LaneState,
  account: AccountId,
  admissions: readonly Admission[],
  moment: Moment,
): readonly AdmissionAnswer[] {
  const { header } = lane;
  if (header.account !== null && header.account !== account) throw new Error("a lane serves one account");
  header.account = account;
  const existing = lane.existing(admissions.map(({ id }) => id));
  const fresh = new Map<string, { readonly record: DirectiveRecord; readonly payload: string }>();
  const answers = admissions.map((admission): AdmissionAnswer => {
    const { id, digest, payload } = admission;
    const known = fresh.get(id)?.record ?? (existing.has(id) ? lane.directive(id) : undefined);
    if (known !== undefined) {
      return { kind: known.digest === digest ? "duplicate" : "conflict", status: statusOf(lane, known) };
    }
    fresh.set(id, { record: newRecord(lane, admission, moment), payload });
    header.nextAdmission += 1;
    header.counts.admitted += 1;
    return { kind: "admitted", status: "queued" };
  });
  if (fresh.size > 0) lane.insert([...fresh.values()]);
  return answers;
}

function newRecord(
  { header }: LaneState,
  { id, digest, expiresAtMs }: Admission,
  { nowMs }: Moment,
): DirectiveRecord {
  return {
    id,
    digest,
    admission: header.nextAdmission,
    state: "queued",
    attempts: 0,
    notBeforeMs: nowMs,
    expiresAtMs,
    budgetFromMs: nowMs,
    pausedMsBefore: pausedSoFarMs(header, nowMs),
    generation: 0,
    sequence: null,
    log: [],
    firstFailure: null,
    failure: null,
    admittedAtMs: nowMs,
    updatedAtMs: nowMs,
  };
}
