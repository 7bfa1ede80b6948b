import type { AccountId } from "../domain/ids.ts";
import type { Admission, AdmissionAnswer } from "../domain/lane.ts";
import { statusOf, type DirectiveRecord, type LaneState, type Moment } from "./sequencer-state.ts";

/**
 * Takes directives into the outbox. The id is the idempotency key: the same payload again is a duplicate, another
 * payload under the same id is a conflict, and neither changes anything.
 */
export function admit(
  lane: LaneState,
  account: AccountId,
  admissions: readonly Admission[],
  { nowMs }: Moment,
): readonly AdmissionAnswer[] {
  const { header } = lane;
  if (header.account !== null && header.account !== account) throw new Error("a lane serves one account");
  header.account = account;
  return admissions.map(({ id, digest, payload, expiresAtMs }): AdmissionAnswer => {
    const known = lane.directive(id);
    if (known !== undefined) {
      return { kind: known.digest === digest ? "duplicate" : "conflict", status: statusOf(lane, known) };
    }
    const record: DirectiveRecord = {
      id,
      digest,
      admission: header.nextAdmission,
      state: "queued",
      attempts: 0,
      notBeforeMs: nowMs,
      expiresAtMs,
      budgetFromMs: nowMs,
      pausedMsBefore: header.pausedMs + (header.paused === null ? 0 : nowMs - header.paused.sinceMs),
      generation: 0,
      sequence: null,
      log: [],
      firstFailure: null,
      failure: null,
      admittedAtMs: nowMs,
      updatedAtMs: nowMs,
    };
    header.nextAdmission += 1;
    header.counts.admitted += 1;
    lane.putDirective(record);
    lane.putPayload(record, payload);
    lane.enqueue(record);
    return { kind: "admitted", status: "queued" };
  });
}
