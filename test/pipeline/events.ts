import type { z } from "zod";
import { eventReceiptSchema, type eventsPageSchema } from "../../domain/api-webhooks.ts";
import type { Arrival } from "../../ops/receiver.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import {
  bodyOf,
  postSigned,
  signed,
  type Provider,
  type ProviderEvent,
} from "../../ops/webhook-providers.ts";
import { chance } from "../model/history.ts";
import type { Lockstep } from "./lockstep.ts";

export type Receipt = z.infer<typeof eventReceiptSchema>;

/** An event as its provider sends it. The body is like no other's. */
export interface TestEvent extends ProviderEvent {
  readonly provider: Provider;
  readonly body: string;
}

export function eventOf(provider: Provider, event: ProviderEvent): TestEvent {
  return { ...event, provider, body: bodyOf(provider, event) };
}

/** `count` events of one key, their ids after it. */
export function eventsOf(provider: Provider, key: string, count: number): TestEvent[] {
  return Array.from({ length: count }, (_, index) =>
    eventOf(provider, { id: `${key}-${index}`, key, type: "order.updated" }),
  );
}

/** Answers the receipt. Throws what `fetch` throws, and when the answer is not 202. */
export async function send({ stack }: Lockstep, event: TestEvent): Promise<Receipt> {
  const request = signed(event.provider, stack.webhookSecrets[event.provider], event);
  const { status, text } = await postSigned(stack.url, request);
  if (status !== 202) throw new Error(`answered ${status}: ${text}`);
  return eventReceiptSchema.parse(JSON.parse(text));
}

type EventSummary = z.infer<typeof eventsPageSchema>["events"][number];

/** Every page, newest first. */
export async function allEvents(
  { operator }: Lockstep,
  source: Provider,
  key?: string,
): Promise<readonly EventSummary[]> {
  const found: EventSummary[] = [];
  let cursor: string | null = null;
  do {
    const filter = key === undefined ? {} : { key };
    const page: z.infer<typeof eventsPageSchema> = await operator.eventsPage(source, { ...filter, cursor });
    found.push(...page.events);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return found;
}

/** As a provider does: again until it is taken. */
export function sendUntilTaken(lockstep: Lockstep, event: TestEvent): Promise<Receipt> {
  return waitUntil(() => send(lockstep, event).catch(() => undefined), {
    what: "a 202 for an event",
    withinMs: 30_000,
    everyMs: 100,
    tail: lockstep.stack.tail,
  });
}

/** So many at once, each beginning as another ends. */
export async function atOnce<Item>(
  width: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const loops = Array.from({ length: width }, async () => {
    for (const item of left) await work(item);
  });
  await Promise.all(loops);
}

/** Resolves when the receiver has handled all of them. */
export function handled(
  { receiver, stack }: Lockstep,
  events: readonly TestEvent[],
  withinMs = 90_000,
): Promise<void> {
  const bodies = new Set(events.map(({ body }) => body));
  const count = () =>
    receiver.arrivals.filter((arrival) => arrival.handled && bodies.has(arrival.body)).length;
  return waitUntil(() => (count() >= bodies.size ? true : undefined), {
    what: `${bodies.size} events handled`,
    withinMs,
    everyMs: 100,
    failed: stack.failure,
    tail: () => `\n${count()} are handled\n${stack.tail()}`,
  }).then(() => undefined);
}

/** What the receiver handled of a key, in its order. */
export function handledOf({ receiver }: Lockstep, key: string): readonly Arrival[] {
  return receiver.arrivals.filter((arrival) => arrival.handled && arrival.key === key);
}

/** What is wrong with how the receiver saw a key: each event once, in the order of admission, without a gap, under one id. */
export function disorderOf(lockstep: Lockstep, key: string, events: readonly TestEvent[]): readonly string[] {
  const own = handledOf(lockstep, key);
  const faults: string[] = [];
  if (own.length !== events.length) faults.push(`${key}: ${own.length} of ${events.length} handled`);
  if (new Set(own.map(({ body }) => body)).size !== own.length)
    faults.push(`${key}: an event was handled twice`);
  const sequences = own.map(({ sequence }) => sequence);
  const first = sequences[0] ?? 0;
  if (sequences.some((sequence, index) => sequence !== first + index))
    faults.push(`${key}: handled in the order ${sequences.join(" ")}`);
  for (const { body } of events) {
    const arrivals = lockstep.receiver.arrivals.filter((arrival) => arrival.body === body);
    if (new Set(arrivals.map(({ webhookId, sequence }) => `${webhookId} ${sequence}`)).size > 1)
      faults.push(`${key}: an event came under several ids or sequences`);
  }
  return faults;
}

export function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const random = chance(seed);
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((left, right) => left.at - right.at)
    .map(({ item }) => item);
}
