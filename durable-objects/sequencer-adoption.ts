import { openSlots, type LaneState } from "./sequencer-state.ts";

/** A chain that jumps farther than this is not believed: the RPC URL may be of another chain. */
export const MAX_ADOPTED = 10_000;

/**
 * R11: an operator has said that the chain is right, however far ahead. The sequence to adopt now: the chain's own, or
 * one on the way to it, and then the operator's word holds for the next reading too.
 * Where nothing of the lane's own is open, what lies deeper than any reorganization is passed over as final. Where
 * something is, its number stays in the lane, and the way to the chain's is adopted slot by slot, as far as a row bears.
 */
export function stepTowards(lane: LaneState, sequence: number, nowMs: number): number {
  const { header } = lane;
  if (header.next === null || sequence - header.next <= MAX_ADOPTED) return sequence;
  if (openSlots(lane).length === 0 && header.leases.length === 0) {
    for (const { sequence: passed } of lane.slots.values()) lane.deleteSlot(passed);
    header.floor = sequence - MAX_ADOPTED;
    header.next = header.floor;
    header.floorAssumed = false;
    const detail = `all sequences below ${header.floor}, on an operator's word`;
    lane.addEvent({ atMs: nowMs, kind: "adopted", detail });
    return sequence;
  }
  header.believed = true;
  // Evidence decides what is open, since the chain is past it: until then the slots of one more step would be too many.
  return lane.slots.size > MAX_ADOPTED ? sequence : header.next + MAX_ADOPTED;
}
