import type { AccountId } from "../domain/ids.ts";
import type {
  EventPlan,
  InboxProtocol,
  InboxSettlement,
  InboxWork,
  LeasedEvent,
} from "../domain/webhook-event.ts";
import type { WebhookSource } from "../domain/webhook-source.ts";
import { atOnce } from "./at-once.ts";
import { ringLanes, type Effects, type Term } from "./event-effects.ts";
import { logFailedAttempt, logFailedPlan } from "./event-log.ts";
import { carryOutInOrder, carryOutUnordered } from "./event-order.ts";
import { planEvent } from "./event-plan.ts";

export interface FlightContext extends Effects {
  readonly inbox: Pick<InboxProtocol, "plan">;
  readonly source: WebhookSource;
}

export interface Flight {
  readonly results: InboxSettlement["results"];
  /** Something became of some event: a plan, or an attempt. */
  readonly progressed: boolean;
  /** An event failed that may work later. */
  readonly failed: boolean;
}

interface Flown {
  readonly results: InboxSettlement["results"];
  /** Those whose effects are stored, with them. */
  readonly events: readonly LeasedEvent[];
  readonly plans: number;
}

/** A handler may take so long, but not so much of a lease that too little is left for the effects. */
const MAX_HANDLE_MS = 10_000;
const HANDLE_SHARE = 4;
const MAX_HANDLERS_AT_ONCE = 10;

/**
 * One flight: the plan of each event is stored, then its effects are carried out. Says how the flight is to be settled;
 * `stale` when the lease was lost: nothing more may begin, and nothing can be settled.
 */
export async function flyEvents(
  context: FlightContext,
  work: InboxWork,
  term: Term,
): Promise<Flight | "stale"> {
  const flown =
    context.address.key === null
      ? await flyUnordered(context, work, term)
      : await flyInOrder(context, work, term);
  if (flown === "stale") return flown;
  const { results, events, plans } = flown;
  const bySequence = new Map(events.map((event) => [event.sequence, event]));
  const admitted = new Set<AccountId>();
  for (const { sequence, effects } of results)
    for (const result of effects) {
      const event = bySequence.get(sequence);
      if (event === undefined) continue;
      logFailedAttempt(context.address.name, event, result);
      const effect = event.effects?.[result.index]?.effect;
      if (result.kind === "done" && effect?.kind === "directive") admitted.add(effect.account);
    }
  await ringLanes(context.env, admitted);
  return {
    results,
    progressed: plans > 0 || results.length > 0,
    failed: results.some(({ effects }) => effects.some(({ kind }) => kind === "transient")),
  };
}

/**
 * G4: an event of an ordering key is dead by its handler only when its turn has come: when those before it are wholly
 * done or failed for good. Until then what its handler said is forgotten.
 */
async function flyInOrder(context: FlightContext, work: InboxWork, term: Term): Promise<Flown | "stale"> {
  const pauses = context.source.policy.afterPermanentFailure === "pause";
  const results: Flown["results"][number][] = [];
  const events: LeasedEvent[] = [];
  let plans = 0;
  let next = 0;
  let early: EventPlan | null = null;
  let stopped = false;
  for (let parts = 0; !stopped && next < work.events.length; parts += 1) {
    // Each part of a flight beyond the first stores plans of its own.
    if (parts > 0 && !context.subrequests.take(1)) break;
    const fresh: EventPlan[] = [];
    const ready: LeasedEvent[] = [];
    for (let event = work.events[next]; event !== undefined; event = work.events[next]) {
      if (event.effects === null) {
        if (early === null && !mayHandle(context, term)) {
          stopped = true;
          break;
        }
        const plan: EventPlan = early ?? (await planOf(context, event, term));
        early = plan.failure !== null && ready.length > 0 ? plan : null;
        if (early !== null) break;
        fresh.push(plan);
        if (plan.failure === null) ready.push(planned(event, plan));
        else logFailedPlan(context.address.name, event, plan);
        stopped = plan.failure !== null && pauses;
      } else {
        ready.push(event);
      }
      next += 1;
      if (stopped) break;
    }
    if ((await store(context, work, fresh)) === "stale") return "stale";
    plans += fresh.length;
    events.push(...ready);
    const carriedOut = await carryOutInOrder(context, ready, term, pauses);
    results.push(...carriedOut.results);
    stopped ||= carriedOut.stopped;
  }
  return { results, events, plans };
}

async function flyUnordered(context: FlightContext, work: InboxWork, term: Term): Promise<Flown | "stale"> {
  const plans = new Map<number, EventPlan>();
  const fresh = work.events.filter(({ effects }) => effects === null);
  await atOnce(MAX_HANDLERS_AT_ONCE, fresh, async (event) => {
    if (!mayHandle(context, term)) return;
    const plan = await planOf(context, event, term);
    plans.set(event.sequence, plan);
    logFailedPlan(context.address.name, event, plan);
  });
  if ((await store(context, work, [...plans.values()])) === "stale") return "stale";
  const events = work.events.flatMap((event) => {
    const plan = plans.get(event.sequence);
    if (event.effects !== null) return [event];
    return plan === undefined || plan.failure !== null ? [] : [planned(event, plan)];
  });
  return { results: await carryOutUnordered(context, events, term), events, plans: plans.size };
}

/** Before any effect of the plans begins. */
async function store(
  { inbox }: FlightContext,
  { token }: InboxWork,
  plans: readonly EventPlan[],
): Promise<"planned" | "stale"> {
  return plans.length === 0 ? "planned" : (await inbox.plan(token, plans)).kind;
}

function planned(event: LeasedEvent, { effects }: EventPlan): LeasedEvent {
  return { ...event, effects: effects.map((effect) => ({ effect, state: "pending" })) };
}

function mayHandle({ now }: FlightContext, { askedMs, leaseMs }: Term): boolean {
  return now() - askedMs < leaseMs / HANDLE_SHARE;
}

function planOf(
  { source, config }: FlightContext,
  event: LeasedEvent,
  { leaseMs }: Term,
): Promise<EventPlan> {
  return planEvent(event, source, config, Math.min(MAX_HANDLE_MS, leaseMs / HANDLE_SHARE));
}
