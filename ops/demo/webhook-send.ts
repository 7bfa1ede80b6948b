import type { z } from "zod";
import { eventReceiptSchema } from "../../domain/api-webhooks.ts";
import { postSigned, signed, type SignedRequest } from "../webhook-providers.ts";
import type { Ways } from "./send.ts";
import type { Customer, DemoEvent, WebhookTraffic } from "./webhook-traffic.ts";

/** What the Worker answered to events. */
export interface WebhookAnswers {
  /** Redeliveries that it knew: under the same id and sequence as the first. */
  known: number;
  /** Forged or stale requests, and how many of them it answered with 401. */
  readonly spurious: { sent: number; refused: number };
}

type Receipt = z.infer<typeof eventReceiptSchema>;

/** Older than the tolerance, and newer. */
const STALE_SECONDS = [-301, -3600, 310, 86_400] as const;
const FORGED = 8;

/** Each customer's events one after another, the customers at once; a redelivery follows its event, or comes with it. */
export async function sendEvents(
  customers: readonly Customer[],
  redelivered: readonly DemoEvent[],
  ways: Ways,
  answers: WebhookAnswers,
): Promise<void> {
  await Promise.all(
    customers.map(async ({ events }) => {
      for (const event of events) {
        ways.signal.throwIfAborted();
        const place = redelivered.indexOf(event);
        const first = sendEvent(event, ways);
        if (place % 2 === 1) await first;
        const again = place === -1 ? null : await sendEvent(event, ways);
        const receipt = await first;
        if (again === null) continue;
        const same = again.id === receipt.id && again.sequence === receipt.sequence;
        if (same && again.duplicate !== receipt.duplicate) answers.known += 1;
      }
    }),
  );
}

/** Half of each customer's events. */
export function halfOf(customers: readonly Customer[], half: "first" | "second"): readonly Customer[] {
  return customers.map((customer) => {
    const middle = Math.ceil(customer.events.length / 2);
    const events = half === "first" ? customer.events.slice(0, middle) : customer.events.slice(middle);
    return { ...customer, events };
  });
}

/** Nobody but the provider may speak in its name, and what it once said may not be said again much later. */
export function spuriousRequests({ customers }: WebhookTraffic, ways: Ways): readonly SignedRequest[] {
  const { webhookSecrets } = ways.stack;
  const events = customers.flatMap((customer) => customer.events.slice(-1));
  const forged = events.slice(0, FORGED).map((event, index) => {
    const body = event.body.replace("order.", "forged.");
    // Another secret, or another body than the one that was signed.
    return index % 2 === 0
      ? signed(event.provider, `whsec_${Buffer.alloc(24, 7).toString("base64")}`, { id: event.id, body })
      : { ...signed(event.provider, webhookSecrets[event.provider], event), body };
  });
  const timed = events.filter(({ provider }) => provider === "polar" || provider === "stripe");
  const stale = STALE_SECONDS.flatMap((seconds) =>
    timed.slice(0, 2).map((event) => {
      const body = event.body.replace("order.", "stale.");
      const at = Math.floor(Date.now() / 1000) + seconds;
      return signed(event.provider, webhookSecrets[event.provider], { id: `${event.id}-stale`, body }, at);
    }),
  );
  return [...forged, ...stale];
}

export async function sendSpurious(
  requests: readonly SignedRequest[],
  { stack }: Ways,
  answers: WebhookAnswers,
): Promise<void> {
  const posted = await Promise.all(requests.map((request) => postSigned(stack.url, request)));
  answers.spurious.sent += posted.length;
  answers.spurious.refused += posted.filter(({ status }) => status === 401).length;
}

async function sendEvent(event: DemoEvent, { stack }: Ways): Promise<Receipt> {
  const request = signed(event.provider, stack.webhookSecrets[event.provider], event);
  const { status, text } = await postSigned(stack.url, request);
  if (status !== 202) throw new Error(`an event of ${event.provider} was answered with ${status}: ${text}`);
  return eventReceiptSchema.parse(JSON.parse(text));
}
