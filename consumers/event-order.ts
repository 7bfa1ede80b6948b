import type { AccountId } from "../domain/ids.ts";
import type { EffectResult, InboxSettlement, LeasedEvent } from "../domain/webhook-event.ts";
import { atOnce } from "./at-once.ts";
import {
  admitDirectives,
  deliverEvent,
  leftMs,
  type Effects,
  type PendingEffect,
  type Term,
} from "./event-effects.ts";

/** What came of planned events of one ordering key. */
export interface CarriedOut {
  readonly results: InboxSettlement["results"];
  /** The events after those of `results` may not begin under this lease. */
  readonly stopped: boolean;
}

/** One call to a lane, or one delivery. */
type Step =
  | {
      readonly kind: "admission";
      readonly account: AccountId;
      readonly pending: PendingEffect<"directive">[];
    }
  | { readonly kind: "delivery"; readonly pending: readonly [PendingEffect<"delivery">] };

type Results = ReadonlyMap<number, EffectResult[]>;

/** So many directives in one call: each may have 96 KB. */
const MAX_ADMISSIONS = 100;
/** The call to the lane, and its doorbell. */
const SUBREQUESTS_OF_ADMISSION = 2;
/** So many events of a shard at once. */
const MAX_EVENTS_AT_ONCE = 10;

/**
 * G4: the events of one ordering key, in order. An event begins only when the one before it is wholly done or failed for
 * good; with `pauses`, only when it is done. What failed in one effect stops no other effect of the same event.
 */
export async function carryOutInOrder(
  effects: Effects,
  events: readonly LeasedEvent[],
  term: Term,
  pauses: boolean,
): Promise<CarriedOut> {
  const results = new Map<number, EffectResult[]>(events.map(({ sequence }) => [sequence, []]));
  let blockedAt: number | null = null;
  for (const step of stepsOf(events, pauses)) {
    const open = withPending(step, ({ sequence }) => blockedAt === null || sequence === blockedAt);
    if (open === null) break;
    const came = await carryOut(effects, open, term);
    if (came === null) break;
    for (const [place, result] of came.entries()) {
      const event = open.pending[place]?.event;
      if (event === undefined || (blockedAt !== null && event.sequence !== blockedAt)) continue;
      const { sequence } = event;
      results.get(sequence)?.push(result);
      const isLost = result.kind === "permanent" || hasFailed(event);
      if (result.kind === "transient" || (pauses && isLost)) blockedAt = sequence;
    }
  }
  const named: { sequence: number; effects: readonly EffectResult[] }[] = [];
  for (const event of events) {
    const { tried, whole } = endOf(event, results);
    if (whole || tried.length > 0) named.push({ sequence: event.sequence, effects: tried });
    if (!whole || event.sequence === blockedAt) return { results: named, stopped: true };
  }
  return { results: named, stopped: false };
}

/** The events of a shard wait for no other: first all directives, an account's in one call, then the deliveries. */
export async function carryOutUnordered(
  effects: Effects,
  events: readonly LeasedEvent[],
  term: Term,
): Promise<InboxSettlement["results"]> {
  const results = new Map<number, EffectResult[]>(events.map(({ sequence }) => [sequence, []]));
  const steps = events.map((event) => stepsOf([event], false));
  const directives = steps.flat().flatMap((step) => (step.kind === "admission" ? step.pending : []));
  await Promise.all(
    Array.from(
      Map.groupBy(directives, ({ effect }) => effect.account),
      async ([account, all]) => {
        for (let start = 0; start < all.length; start += MAX_ADMISSIONS) {
          const pending = all.slice(start, start + MAX_ADMISSIONS);
          const came = await carryOut(effects, { kind: "admission", account, pending }, term);
          for (const [place, result] of came?.entries() ?? [])
            results.get(pending[place]?.event.sequence ?? -1)?.push(result);
        }
      },
    ),
  );
  await atOnce(MAX_EVENTS_AT_ONCE, steps, async (ofEvent) => {
    for (const step of ofEvent) {
      if (step.kind === "admission") continue;
      const came = await carryOut(effects, step, term);
      results.get(step.pending[0].event.sequence)?.push(...(came ?? []));
    }
  });
  return events.flatMap((event) => {
    const { tried, whole } = endOf(event, results);
    return whole || tried.length > 0 ? [{ sequence: event.sequence, effects: tried }] : [];
  });
}

/** In an attempt before: the event is dead as soon as its other effects have ended. */
function hasFailed({ effects }: LeasedEvent): boolean {
  return effects?.some(({ state }) => state === "failed") ?? false;
}

/** `whole`: every effect that was open has a result. */
function endOf(event: LeasedEvent, results: Results): { tried: readonly EffectResult[]; whole: boolean } {
  const tried = results.get(event.sequence) ?? [];
  return { tried, whole: tried.length === pendingOf(event).length };
}

/** Null when it did not begin: too little is left of the lease, or of the invocation's subrequests. */
async function carryOut(effects: Effects, step: Step, term: Term): Promise<readonly EffectResult[] | null> {
  if (step.kind === "admission") {
    if (leftMs(term, effects.now()) <= 0 || !effects.subrequests.take(SUBREQUESTS_OF_ADMISSION)) return null;
    return admitDirectives(effects, step.account, step.pending);
  }
  const result = await deliverEvent(effects, step.pending[0], term);
  return result === null ? null : [result];
}

/** Directives of one account that follow one another are one step; across events too, unless the key may pause between. */
function stepsOf(events: readonly LeasedEvent[], pauses: boolean): readonly Step[] {
  const steps: Step[] = [];
  for (const { event, index, effect } of events.flatMap(pendingOf)) {
    if (effect.kind === "delivery") {
      steps.push({ kind: "delivery", pending: [{ event, index, effect }] });
      continue;
    }
    const last = steps.at(-1);
    const joins =
      last?.kind === "admission" &&
      last.account === effect.account &&
      last.pending.length < MAX_ADMISSIONS &&
      !(pauses && last.pending.at(-1)?.event !== event);
    if (joins) last.pending.push({ event, index, effect });
    else steps.push({ kind: "admission", account: effect.account, pending: [{ event, index, effect }] });
  }
  return steps;
}

/** The step without the effects that may not begin; null when none is left. */
function withPending(step: Step, may: (event: LeasedEvent) => boolean): Step | null {
  if (step.kind === "delivery") return may(step.pending[0].event) ? step : null;
  const pending = step.pending.filter(({ event }) => may(event));
  return pending.length === 0 ? null : { ...step, pending };
}

function pendingOf(event: LeasedEvent): readonly PendingEffect[] {
  return (event.effects ?? []).flatMap(({ effect, state }, index) =>
    state === "pending" ? [{ event, index, effect }] : [],
  );
}
