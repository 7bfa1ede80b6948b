import type { Failure, TimedFailure } from "../domain/failure.ts";
import type { ConfirmAnswer, Evidence, TransactionView, Unconfirmed } from "../domain/lane.ts";
import { expireLeases, slotsOf } from "./sequencer-lease.ts";
import { promoteHead } from "./sequencer-settlement.ts";
import {
  DEGRADED_AFTER,
  advanceFloor,
  bareSlot,
  failed,
  holesOf,
  isLookUpBroken,
  openSlots,
  retreat,
  viewsOf,
  type DirectiveRecord,
  type LaneState,
  type Moment,
  type Slot,
  type Transaction,
} from "./sequencer-state.ts";

/** What is to be looked up: the open slots, lowest first, each with every hash that was ever signed for it. */
export function unconfirmed(lane: LaneState, limit: number): Unconfirmed {
  const slots = openSlots(lane)
    .toSorted((left, right) => left.sequence - right.sequence)
    .slice(0, limit)
    .map(({ sequence, transactions }) => ({
      sequence,
      hashes: transactions.map(({ hash }) => hash),
      validUntil: latestValidity(transactions),
    }));
  return { slots, sinceBlock: lane.header.evidenceBlock };
}

/** Null when one of them stays valid for ever. */
function latestValidity(transactions: readonly Transaction[]): number | null {
  let latest = 0;
  for (const { validUntil } of transactions) {
    if (validUntil === null) return null;
    latest = Math.max(latest, validUntil);
  }
  return latest;
}

/**
 * R4: `own` and `other` are decided here alone, on evidence that one node gave at one block of the final depth.
 * A slot whose log has grown since the look-up is skipped. A final slot never goes back.
 */
export function confirm(lane: LaneState, evidence: Evidence, moment: Moment): ConfirmAnswer {
  const { header } = lane;
  expireLeases(lane, moment.nowMs);
  if (isLookUpBroken(header)) {
    lane.addEvent({ atMs: moment.nowMs, kind: "recovered", detail: "a look-up succeeded" });
    header.confirmAtMs = moment.nowMs + moment.policy.confirmEverySeconds * 1000;
  }
  header.lookUpFailures = 0;
  header.evidenceBlock = Math.max(header.evidenceBlock ?? 0, evidence.block);
  if (header.next !== null && evidence.sequence >= header.floor) header.floorAssumed = false;
  const looked = new Set(evidence.looked);
  const foreign = new Set(evidence.foreign.map(({ sequence }) => sequence));
  const receipts = new Map(
    evidence.receipts
      .filter(({ block }) => block <= evidence.block)
      .map((receipt) => [receipt.hash, receipt]),
  );
  const worked = new Set(header.leases.flatMap(slotsOf));
  lane.prefetch(
    [...lane.slots.values()].flatMap(({ state, id, sequence }) =>
      state === "open" && id !== null && sequence < evidence.sequence ? [id] : [],
    ),
  );
  let finalized = 0;
  for (const slot of lane.slots.values()) {
    const known = slot.transactions.every(({ hash }) => looked.has(hash));
    if (slot.sequence >= evidence.sequence) {
      if (slot.state === "open" && known && isExpired(slot, evidence) && !worked.has(slot.sequence))
        expire(lane, slot, moment);
      continue;
    }
    if (slot.state === "skipped") {
      lane.putSlot({ ...slot, state: "other" });
    } else if (slot.state === "open" && known) {
      const landed = slot.transactions
        .map(({ hash }) => receipts.get(hash))
        .find((receipt) => receipt !== undefined);
      const noop = slot.transactions.some(({ hash, noop: burnt }) => burnt && hash === landed?.hash);
      // Without a receipt, only the transaction that did use the number up shows that ours cannot land any more.
      if (landed === undefined && !foreign.has(slot.sequence)) continue;
      if (landed === undefined || noop)
        superseded(lane, slot, noop ? "a no-op" : "another transaction", moment);
      else own(lane, slot, landed, moment);
      finalized += 1;
    }
  }
  if (header.next !== null && evidence.sequence <= header.next) {
    for (const hole of holesOf(lane)) {
      if (hole < evidence.sequence) lane.putSlot(bareSlot(hole, "other"));
    }
  }
  advanceFloor(lane);
  retreat(lane);
  promoteHead(lane, moment.nowMs);
  return { finalized, open: openSlots(lane).length };
}

function own(
  lane: LaneState,
  slot: Slot,
  landed: { readonly hash: string; readonly success: boolean },
  { nowMs, policy }: Moment,
): void {
  lane.putSlot({ ...slot, state: "own" });
  const record = slot.id === null ? undefined : lane.directive(slot.id);
  if (record === undefined) return;
  const views = viewsOf(slot).map((view) =>
    view.hash === landed.hash
      ? ({ ...view, status: landed.success ? "included" : "reverted" } as const)
      : ({ ...view, status: "superseded" } as const),
  );
  const ended = { ...record, sequence: slot.sequence, log: [...record.log, ...views], updatedAtMs: nowMs };
  const attempts = record.state === "review" ? record.attempts : record.attempts + 1;
  lane.header.pruneAtMs ??= nowMs + policy.retentionSeconds * 1000;
  if (landed.success) {
    lane.putDirective({ ...ended, attempts, state: "confirmed" });
    lane.header.counts.settled += 1;
    return;
  }
  const failure = {
    code: "reverted",
    message: `transaction ${landed.hash} was mined and reverted`,
    atMs: nowMs,
  } as const;
  lane.putDirective({ ...failed(ended, failure), attempts, state: "reverted" });
  lane.header.counts.dead += 1;
  lane.oweLetter(record.id, nowMs);
}

/** A look-up failed: after three in a row the lane is degraded until one succeeds. */
export function lookUpFailed(lane: LaneState, failure: Failure, { nowMs }: Moment): void {
  lane.header.lookUpFailures += 1;
  if (lane.header.lookUpFailures !== DEGRADED_AFTER) return;
  lane.addEvent({
    atMs: nowMs,
    kind: "degraded",
    detail: `three look-ups failed in a row: ${failure.code}: ${failure.message}`,
  });
}

/** R4: the heights at which its transactions could be included are all final, and the number is not used. */
function isExpired({ transactions }: Slot, { block }: Evidence): boolean {
  const validUntil = latestValidity(transactions);
  return validUntil !== null && validUntil <= block;
}

/** None of its transactions can land any more: the number is free, and so is the directive. */
function expire(lane: LaneState, slot: Slot, { nowMs }: Moment): void {
  lane.deleteSlot(slot.sequence);
  const views = viewsOf(slot).map((view) => ({ ...view, status: "expired" }) as const);
  const failure = {
    code: "validity_expired",
    message: `sequence ${slot.sequence} was not used in time`,
    atMs: nowMs,
  } as const;
  free(lane, slot, views, failure);
}

/** Something else used the number, so none of this slot's can ever land: the directive is free again. */
function superseded(lane: LaneState, slot: Slot, by: string, { nowMs }: Moment): void {
  lane.putSlot({ ...slot, state: "other" });
  if (slot.id === null) return;
  const detail = `sequence ${slot.sequence} of directive ${slot.id} was used by ${by}`;
  lane.addEvent({ atMs: nowMs, kind: "superseded", detail });
  const views = viewsOf(slot).map((view) => ({ ...view, status: "superseded" }) as const);
  free(lane, slot, views, {
    code: "foreign_transaction",
    message: `${by} used sequence ${slot.sequence}`,
    atMs: nowMs,
  });
}

/** The directive of a slot none of whose transactions can land goes back to the backlog, or, if under review, is dead. */
function free(lane: LaneState, slot: Slot, views: readonly TransactionView[], failure: TimedFailure): void {
  const record = slot.id === null ? undefined : lane.directive(slot.id);
  if (record === undefined) return;
  const freed: DirectiveRecord = {
    ...record,
    log: [...record.log, ...views],
    sequence: null,
    notBeforeMs: failure.atMs,
  };
  if (record.state === "review") {
    // The letter is out already: `review` closes as dead, and only an operator sends it again.
    lane.putDirective({ ...failed(freed, record.failure ?? failure), state: "dead" });
    lane.header.counts.dead += 1;
    return;
  }
  const queued = { ...failed(freed, failure), attempts: record.attempts + 1 };
  lane.putDirective(queued);
  lane.enqueue(queued);
}
