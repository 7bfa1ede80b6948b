import type { BurnAnswer } from "../domain/lane.ts";
import { slotOf, statusOf, type LaneState, type Moment } from "./sequencer-state.ts";

/**
 * R5: an operator says that the transaction of a directive in review did not land. That is no evidence, so nothing is
 * decided here: a no-op is to compete for the number, and evidence says which of them is final. Said again, it changes
 * nothing.
 */
export function burn(
  lane: LaneState,
  id: string,
  reason: string,
  actor: string,
  { nowMs, policy }: Moment,
): BurnAnswer {
  const record = lane.directive(id);
  if (record === undefined) return { kind: "unknown" };
  const slot = slotOf(lane, record);
  if (record.state !== "review" || slot === undefined)
    return { kind: "settled", status: statusOf(lane, record) };
  if (!policy.gapTolerant) {
    return {
      kind: "impossible",
      reason:
        "on this chain a number cannot be outbid: what is out lands, or its validity ends, and evidence says which",
    };
  }
  if (slot.burning) return { kind: "burning" };
  lane.putSlot({ ...slot, burning: true, resendAtMs: nowMs });
  lane.addEvent({
    atMs: nowMs,
    kind: "burn",
    detail: `${actor}: ${reason}: sequence ${slot.sequence} of directive ${id}`,
  });
  return { kind: "burning" };
}
