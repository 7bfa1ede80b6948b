import { isNodeRefusal, type Failure } from "../domain/failure.ts";
import type { BurnAnswer } from "../domain/lane.ts";
import type { Outcome } from "../domain/outcome.ts";
import {
  isExposed,
  slotOf,
  statusOf,
  type LaneState,
  type Lease,
  type Moment,
  type Slot,
} from "./sequencer-state.ts";

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
  lane.putSlot({ ...slot, burning: true, replacements: 0, resendAtMs: nowMs });
  lane.addEvent({
    atMs: nowMs,
    kind: "burn",
    detail: `${actor}: ${reason}: sequence ${slot.sequence} of directive ${id}`,
  });
  return { kind: "burning" };
}

/**
 * An open slot's log after its settlement. What must be outbid is what may be in a pool, so bytes that were refused
 * raise no later price: a no-op leaves the log, a directive's own transaction stays in it without its bytes. The
 * exception is one that the pool has room for at a higher fee, for `maxBumps` times: somebody else's is in its place.
 */
export function withoutRefused(slot: Slot, outcomes: ReadonlyMap<string, Outcome>, maxBumps: number): Slot {
  const transactions = slot.transactions.flatMap((sent) => {
    const outcome = outcomes.get(sent.hash);
    if (outcome === undefined || isExposed(sent) || sent.state === "recorded") return [sent];
    const outbid = outcome.kind === "refused" && outcome.failure.code === "nonce_occupied";
    if (outbid && slot.replacements <= maxBumps) return [sent];
    return sent.noop ? [] : [{ ...sent, raw: "" }];
  });
  return { ...slot, transactions };
}

/**
 * R5: a transaction that the node took may wait in its pool, so it is given up only on the node's own refusal of these
 * very bytes, a whole time budget after the last were signed: a pool forgets, and what it forgot may never be taken again.
 */
export function isTaken(
  { transactions, signedAtMs }: Slot,
  outcomes: ReadonlyMap<string, Outcome>,
  { nowMs, policy }: Moment,
): boolean {
  if (!transactions.some(({ state }) => state === "accepted")) return false;
  const refused = transactions.some((sent) => isExposed(sent) && isNodesRefusal(outcomes.get(sent.hash)));
  return !refused || nowMs - signedAtMs < policy.giveUpAfterSeconds * 1000;
}

function isNodesRefusal(outcome: Outcome | undefined): boolean {
  return (
    outcome?.kind === "refused" || (outcome?.kind === "uncertain" && isNodeRefusal(outcome.failure.code))
  );
}

/** A refused no-op of a hole has no directive whose delay could hold the next try back: the lane waits. */
export function refusedNoop(
  lane: LaneState,
  lease: Lease,
  outcomes: ReadonlyMap<string, Outcome>,
): Failure | undefined {
  for (const sequence of lease.range) {
    const slot = lane.slots.get(sequence);
    if (slot?.state !== "open" || slot.id !== null) continue;
    for (const { hash } of slot.transactions) {
      const outcome = outcomes.get(hash);
      if (outcome?.kind === "refused" || outcome?.kind === "unavailable") return outcome.failure;
    }
  }
  return undefined;
}
