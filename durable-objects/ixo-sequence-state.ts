import { err, ok, unreachable, type Result } from "../domain/result.ts";

/**
 * The lane of one (chainId, accountNumber) pair whose caller signs and broadcasts by itself and never reports back.
 * All that is learnt of its numbers comes from the readings of the chain's sequence that callers bring: a number
 * given out is settled when a reading is above it, and unsettled until then.
 *
 * Two givers of one number are two transactions of which one fails; a number that nobody uses is a gap behind which
 * all fail. Neither can be told from a slow transaction without the chain, so both fall-backs below want the chain
 * to have stood still, under readings, for `healAfterMs`.
 */
export interface IxoLane {
  /** Null: nothing is known, so the next reading is adopted as it is. */
  readonly counter: IxoCounter | null;
  /** The stagger runs from here; a reset leaves it. Epoch milliseconds, as every time below. */
  readonly grantedAtMs: number | null;
}

/** Invariant: `chain <= next`, and `oldestSinceMs` is null exactly when they are equal. */
export interface IxoCounter {
  /** The number to be given out next. Those in [chain, next) are unsettled. */
  readonly next: number;
  /** The highest reading that was believed. */
  readonly chain: number;
  /** When that reading first came. */
  readonly chainSinceMs: number;
  /** Since when the chain is known to wait for a number that is given out: the oldest unsettled one. */
  readonly oldestSinceMs: number | null;
  /** When the first of an unbroken run of readings below `chain` came. */
  readonly lowerSinceMs: number | null;
}

export const NEW_IXO_LANE: IxoLane = { counter: null, grantedAtMs: null };

/** `reading` happens when a call comes, `grant` when its answer can be given, which is later when it has to wait. */
export type IxoEvent =
  | { readonly kind: "reading"; readonly chainSequence: number }
  /** The reading is for a lane that was reset since. */
  | { readonly kind: "grant"; readonly chainSequence: number }
  | { readonly kind: "reset" };

export interface IxoMoment {
  readonly nowMs: number;
  /** Between two numbers of one lane. */
  readonly minDelayMs: number;
  /** The chain must have stood still for so long before numbers that were given out are given out again. */
  readonly healAfterMs: number;
}

export interface IxoStep {
  /** The same object when nothing changed. */
  readonly lane: IxoLane;
  /** The number given out, of a `grant`. */
  readonly sequence: number | null;
  /** `next` went back: `lost` when the chain waits for a number in vain, `lower` when it never was that far. */
  readonly fellBack: { readonly why: "lost" | "lower"; readonly from: number; readonly to: number } | null;
}

export type IxoRefusal =
  | { readonly kind: "early"; readonly waitMs: number }
  /** The reading is `ahead` of `next` by more than any account could have made transactions meanwhile. */
  | { readonly kind: "implausible"; readonly next: number; readonly ahead: number };

/** So far may a reading be ahead, and so much further with each second since the chain last moved. */
const LEAP = 100_000;
const LEAP_PER_SECOND = 1000;

export function transition(lane: IxoLane, event: IxoEvent, moment: IxoMoment): Result<IxoStep, IxoRefusal> {
  switch (event.kind) {
    case "reading":
      return reading(lane, event.chainSequence, moment);
    case "grant":
      return grant(lane, event.chainSequence, moment);
    case "reset":
      return ok(lane.counter === null ? stepTo(lane) : stepTo({ ...lane, counter: null }));
    default:
      return unreachable(event);
  }
}

function reading(lane: IxoLane, chainSequence: number, moment: IxoMoment): Result<IxoStep, IxoRefusal> {
  const { counter } = lane;
  const { nowMs, healAfterMs } = moment;
  if (counter === null) return ok(stepTo({ ...lane, counter: countFrom(chainSequence, nowMs) }));
  const { next, chain, oldestSinceMs, lowerSinceMs } = counter;

  if (chainSequence > chain) {
    const ahead = chainSequence - next;
    const seconds = Math.max(0, nowMs - counter.chainSinceMs) / 1000;
    if (ahead > LEAP + LEAP_PER_SECOND * seconds) return err({ kind: "implausible", next, ahead });
    const moved: IxoCounter = {
      next: Math.max(next, chainSequence),
      chain: chainSequence,
      chainSinceMs: nowMs,
      // A burst is settled block by block: the next of it has its own time from here.
      oldestSinceMs: chainSequence < next ? nowMs : null,
      lowerSinceMs: null,
    };
    return ok(stepTo({ ...lane, counter: moved }));
  }

  if (chainSequence < chain) {
    // As a rule it was read before the highest one. A chain that never shows the highest again was never there.
    if (lowerSinceMs === null) {
      return ok(stepTo({ ...lane, counter: { ...counter, lowerSinceMs: nowMs } }));
    }
    if (nowMs - lowerSinceMs < healAfterMs) return ok(stepTo(lane));
    return ok(fallBack(lane, "lower", next, countFrom(chainSequence, nowMs)));
  }

  if (oldestSinceMs !== null && nowMs - oldestSinceMs >= healAfterMs) {
    const again: IxoCounter = { ...counter, next: chain, oldestSinceMs: null, lowerSinceMs: null };
    return ok(fallBack(lane, "lost", next, again));
  }
  return ok(stepTo(lowerSinceMs === null ? lane : { ...lane, counter: { ...counter, lowerSinceMs: null } }));
}

function grant(lane: IxoLane, chainSequence: number, moment: IxoMoment): Result<IxoStep, IxoRefusal> {
  const waitMs = staggerLeftMs(lane, moment);
  if (waitMs > 0) return err({ kind: "early", waitMs });
  const { nowMs } = moment;
  const counter = lane.counter ?? countFrom(chainSequence, nowMs);
  const given: IxoCounter = {
    ...counter,
    next: counter.next + 1,
    oldestSinceMs: counter.oldestSinceMs ?? nowMs,
  };
  return ok({ lane: { counter: given, grantedAtMs: nowMs }, sequence: counter.next, fellBack: null });
}

/** A clock that went back ends the wait: it would last as long as the clock is behind. */
function staggerLeftMs({ grantedAtMs }: IxoLane, { nowMs, minDelayMs }: IxoMoment): number {
  if (grantedAtMs === null || nowMs < grantedAtMs) return 0;
  return Math.max(0, grantedAtMs + minDelayMs - nowMs);
}

function countFrom(chainSequence: number, nowMs: number): IxoCounter {
  return {
    next: chainSequence,
    chain: chainSequence,
    chainSinceMs: nowMs,
    oldestSinceMs: null,
    lowerSinceMs: null,
  };
}

function stepTo(lane: IxoLane): IxoStep {
  return { lane, sequence: null, fellBack: null };
}

function fallBack(lane: IxoLane, why: "lost" | "lower", from: number, counter: IxoCounter): IxoStep {
  return { lane: { ...lane, counter }, sequence: null, fellBack: { why, from, to: counter.next } };
}
