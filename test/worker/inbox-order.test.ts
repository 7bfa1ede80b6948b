import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import type { Delivery, DeliveryOutcome } from "../../consumers/broadcasters/http.ts";
import { consumeWebhookEvents } from "../../consumers/webhook-events.ts";
import { inboxOfKey } from "../../domain/inbox-name.ts";
import { encodeMessage } from "../../domain/message.ts";
import config from "../../lockstep.config.ts";
import { FakeMessage } from "./dlq-fixture.ts";

const CUSTOMER = inboxOfKey("plain", "customer-1");
const inbox = () => env.WEBHOOK_INBOX.getByName(CUSTOMER.name);
const landed: DeliveryOutcome = { kind: "delivered", status: 200, latencyMs: 1 };
const digestOf = (id: string) => id.padStart(64, "0");

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});

async function admit(...ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const body = JSON.stringify({ id, customer: CUSTOMER.key });
    await inbox().admit(CUSTOMER, { id, digest: digestOf(id), body, contentType: "application/json" });
  }
}

/** A consumer hears a doorbell of the inbox, and ends. */
async function ring(deliver: (delivery: Delivery) => Promise<DeliveryOutcome>): Promise<void> {
  const bell = new FakeMessage(encodeMessage({ kind: "inbox-doorbell", inbox: CUSTOMER.name }));
  const around = {
    SEQUENCER: env.SEQUENCER,
    WEBHOOK_INBOX: env.WEBHOOK_INBOX,
    DIRECTIVES: { send: async () => undefined },
    WEBHOOK_EVENTS: { send: async () => undefined },
    WEBHOOK_EVENTS_DLQ: { send: async () => undefined },
  };
  await consumeWebhookEvents({ messages: [bell] }, around, {
    config,
    deliver: (_destination, _timeoutSeconds, delivery) => deliver(delivery),
    registerInbox: async () => undefined,
    now: Date.now,
    random: Math.random,
  });
}

test("G4: a key goes back to no event that it has left behind, also when its head is skipped while it is being delivered", async () => {
  await admit("e0", "e1", "e2", "e3");
  const received: string[] = [];
  const slow = Promise.withResolvers<DeliveryOutcome>();
  const began = Promise.withResolvers<void>();
  const first = ring(async ({ sequence }) => {
    received.push(`first ${sequence}`);
    if (sequence !== 0) return landed;
    began.resolve();
    return slow.promise;
  });
  await began.promise;
  expect((await inbox().skipHead("it hangs", "ann", 0)).kind).toBe("skipped");
  // The consumer that hangs with the head is the key's only one still.
  await ring(async ({ sequence }) => {
    received.push(`second ${sequence}`);
    return landed;
  });
  expect((await inbox().status()).counts).toEqual({ admitted: 4, settled: 0, dead: 1, inFlight: 3 });
  slow.resolve(landed);
  await first;
  expect(received).toEqual(["first 0", "first 1", "first 2", "first 3"]);
  expect((await inbox().status()).counts).toEqual({ admitted: 4, settled: 3, dead: 1, inFlight: 0 });
});

test("G4: replayed events of one key are handled in the order of their admission, whichever was asked for first", async () => {
  await admit("e0", "e1", "e2");
  const failure = { code: "forbidden", message: "403" } as const;
  await ring(async () => ({ kind: "permanent", failure, status: 403, latencyMs: 1 }));
  // So that nobody but this test works the inbox meanwhile.
  await inbox().pause("the test", "ann");
  const clock = vi.spyOn(Date, "now");
  const nowMs = Date.now();
  for (const [place, id] of ["e2", "e1", "e0"].entries()) {
    clock.mockReturnValue(nowMs - 10 + place);
    const answer = await inbox().readmit({ id, digest: digestOf(id), generation: 0 });
    expect(answer.kind).toBe("readmitted");
  }
  clock.mockRestore();
  await inbox().resume("the test", "ann");
  const received: number[] = [];
  await ring(async ({ sequence }) => {
    received.push(sequence);
    return landed;
  });
  expect(received).toEqual([0, 1, 2]);
});

test("a key goes on with what is new when all that its consumer had in hand was skipped", async () => {
  await admit("e0");
  const slow = Promise.withResolvers<DeliveryOutcome>();
  const began = Promise.withResolvers<void>();
  const received: number[] = [];
  const consumer = ring(async ({ sequence }) => {
    received.push(sequence);
    if (sequence !== 0) return landed;
    began.resolve();
    return slow.promise;
  });
  await began.promise;
  await inbox().skipHead("it hangs", "ann", 0);
  await admit("e1");
  slow.resolve(landed);
  await consumer;
  expect(received).toEqual([0, 1]);
  expect(await inbox().event("e0")).toMatchObject({ status: "dead", failure: { code: "skipped" } });
  expect(await inbox().event("e1")).toMatchObject({ status: "settled" });
});
