import { createHmac, randomUUID } from "node:crypto";
import type { CountingReceiver } from "./receiver.ts";
import type { Target } from "./submissions.ts";

/** The source that events are posted to: it signs the body alone, and delivers to one destination. */
export const SOURCE = "plain";

export interface SignedEvent {
  readonly body: string;
  readonly signature: string;
}

/** New events, which take turns over the keys. Signed before, since this is no part of what is measured. */
export function signedEvents(secret: string, keys: readonly string[], count: number): readonly SignedEvent[] {
  return Array.from({ length: count }, (_, index) => {
    const customer = keys[index % keys.length];
    const body = JSON.stringify({ id: randomUUID(), customer, type: "order.updated", data: DATA });
    return { body, signature: createHmac("sha256", secret).update(body).digest("hex") };
  });
}

/** So that a body has about the size of a small event of a real provider. */
const DATA = { order: "ord_0123456789", amount: 129_900, currency: "eur", note: "x".repeat(600) };
const IN_FLIGHT = 16;
const DELIVERED_WITHIN_MS = 240_000;

export interface PostedRun {
  readonly perSecond: number;
  /** Of one request, in milliseconds. */
  readonly latencies: readonly number[];
}

/** Posts the events in order, 16 at the same time. Throws unless each is answered 202. */
export async function postEvents(url: string, events: readonly SignedEvent[]): Promise<PostedRun> {
  const latencies: number[] = [];
  const left = events.values();
  const poster = async (): Promise<void> => {
    for (const { body, signature } of left) {
      const begunMs = performance.now();
      const response = await fetch(`${url}/webhooks/${SOURCE}`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-signature": signature },
        body,
      });
      const text = await response.text();
      if (response.status !== 202) throw new Error(`an event was answered ${response.status}: ${text}`);
      latencies.push(performance.now() - begunMs);
    }
  };
  const begunMs = performance.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, poster));
  return { perSecond: (events.length / (performance.now() - begunMs)) * 1000, latencies };
}

export interface DeliveredRun extends PostedRun {
  /** From the first request until the receiver had every event. */
  readonly deliveredPerSecond: number;
}

/** Posts the events, and resolves when the receiver has all of them. */
export async function deliverEvents(
  url: string,
  events: readonly SignedEvent[],
  receiver: CountingReceiver,
): Promise<DeliveredRun> {
  const before = receiver.received();
  const begunMs = performance.now();
  const posted = await postEvents(url, events);
  await receiver.whenReceived(before + events.length, DELIVERED_WITHIN_MS);
  return { ...posted, deliveredPerSecond: (events.length / (performance.now() - begunMs)) * 1000 };
}

/** Posts events of one key while its inbox is paused: `perSecond` is of admission alone, `deliveredPerSecond` from the resumption on. */
export async function admitThenDeliver(
  { url, operatorToken }: Target,
  key: string,
  events: readonly SignedEvent[],
  receiver: CountingReceiver,
): Promise<DeliveredRun> {
  const tell = async (what: "pause" | "resume"): Promise<void> => {
    const response = await fetch(
      `${url}/v1/webhooks/${SOURCE}/inbox/${what}?${new URLSearchParams({ key }).toString()}`,
      {
        method: "POST",
        headers: { authorization: `Bearer ${operatorToken}`, "content-type": "application/json" },
        body: JSON.stringify({ reason: "bench: admission alone" }),
      },
    );
    if (response.status !== 200)
      throw new Error(`${what} answered ${response.status}: ${await response.text()}`);
  };
  await tell("pause");
  const before = receiver.received();
  const posted = await postEvents(url, events);
  const begunMs = performance.now();
  await tell("resume");
  await receiver.whenReceived(before + events.length, DELIVERED_WITHIN_MS);
  return { ...posted, deliveredPerSecond: (events.length / (performance.now() - begunMs)) * 1000 };
}
