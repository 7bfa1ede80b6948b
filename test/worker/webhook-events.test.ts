import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import type { Delivery, DeliveryOutcome } from "../../consumers/broadcasters/http.ts";
import { consumeWebhookEvents } from "../../consumers/webhook-events.ts";
import { consumeDeadLetters } from "../../dlq/consumer.ts";
import { registerInbox } from "../../dlq/lane-registry.ts";
import { parseAccount } from "../../domain/ids.ts";
import { inboxOfKey } from "../../domain/inbox-name.ts";
import { encodeMessage } from "../../domain/message.ts";
import config from "../../lockstep.config.ts";
import { FakeMessage, NOW, onlyLetter, rows } from "./dlq-fixture.ts";

const CUSTOMER = inboxOfKey("polar", "customer 1");
const account = parseAccount("eip155:31337:0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
if (!account.ok) throw new Error(account.error);
const ACCOUNT = account.value.id;

let deliveries: Delivery[];
let answer: (delivery: Delivery) => DeliveryOutcome;

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  deliveries = [];
  answer = () => ({ kind: "delivered", status: 200, latencyMs: 1 });
});

const inbox = () => env.WEBHOOK_INBOX.getByName(CUSTOMER.name);

/** A paid order, which is a transfer on the chain too. */
async function admit(id: string): Promise<void> {
  const metadata = { lockstep_to: `0x${"1".repeat(40)}`, lockstep_wei: "7" };
  const body = JSON.stringify({ type: "order.paid", data: { customer_id: CUSTOMER.key, metadata } });
  await inbox().admit(CUSTOMER, { id, digest: id.padStart(64, "0"), body, contentType: "application/json" });
}

/** Queues are not bound: what is rung comes when the test says so. */
const around = () => ({
  LEDGER: env.LEDGER,
  SEQUENCER: env.SEQUENCER,
  WEBHOOK_INBOX: env.WEBHOOK_INBOX,
  DIRECTIVES: { send: async () => undefined },
  WEBHOOK_EVENTS: { send: async () => undefined },
  WEBHOOK_EVENTS_DLQ: { send: async () => undefined },
});

async function ring(times = 1): Promise<string[]> {
  const bell = encodeMessage({ kind: "inbox-doorbell", inbox: CUSTOMER.name });
  const messages = Array.from({ length: times }, () => new FakeMessage(bell));
  await consumeWebhookEvents({ messages }, around(), {
    config,
    deliver: async (_destination, _timeoutSeconds, delivery) => {
      deliveries.push(delivery);
      return answer(delivery);
    },
    registerInbox: (address) => registerInbox(env.LEDGER, address, NOW),
    now: Date.now,
    random: Math.random,
  });
  return messages.map(({ ends }) => ends.join("+"));
}

test("events become directives and deliveries in the order of their admission, each once", async () => {
  for (const id of ["e1", "e2", "e3"]) await admit(id);
  await admit("e2");
  expect(await ring(3)).toEqual(["ack", "ack", "ack"]);
  expect(await ring()).toEqual(["ack"]);
  expect(deliveries.map(({ webhookId, sequence, key }) => [webhookId, sequence, key])).toEqual([
    ["polar:e1", 0, CUSTOMER.key],
    ["polar:e2", 1, CUSTOMER.key],
    ["polar:e3", 2, CUSTOMER.key],
  ]);
  expect((await inbox().status()).counts).toEqual({ admitted: 3, settled: 3, dead: 0, inFlight: 0 });
  expect((await env.SEQUENCER.getByName(ACCOUNT).status()).counts).toMatchObject({ admitted: 3 });
  expect(await env.SEQUENCER.getByName(ACCOUNT).directive("polar:e2:0")).toMatchObject({ status: "queued" });
  expect(await rows("SELECT name, source FROM inboxes")).toEqual([{ name: CUSTOMER.name, source: "polar" }]);
});

test("an event that fails transiently keeps the others of its key waiting, and one doorbell", async () => {
  for (const id of ["e1", "e2"]) await admit(id);
  const failure = { code: "endpoint_error", message: "away", retryAfterSeconds: 600 } as const;
  answer = () => ({ kind: "transient", failure, status: 503, latencyMs: 1 });
  expect(await ring(3)).toEqual(["retry", "ack", "ack"]);
  expect(await ring()).toEqual(["ack"]);
  expect(deliveries.map(({ webhookId }) => webhookId)).toEqual(["polar:e1"]);
  expect(await inbox().event("e2")).toMatchObject({ status: "queued", attempts: 0 });
});

test("an event that is refused for good becomes a letter of what the inbox says, and those behind it go on", async () => {
  for (const id of ["e1", "e2"]) await admit(id);
  const failure = { code: "forbidden", message: "the destination answered HTTP 403" } as const;
  answer = ({ webhookId }) =>
    webhookId === "polar:e1"
      ? { kind: "permanent", failure, status: 403, latencyMs: 1 }
      : { kind: "delivered", status: 200, latencyMs: 1 };
  expect(await ring()).toEqual(["ack"]);
  expect((await inbox().status()).counts).toEqual({ admitted: 2, settled: 1, dead: 1, inFlight: 0 });
  const key = { id: "e1", digest: "e1".padStart(64, "0"), generation: 0 };
  const dead = new FakeMessage(
    encodeMessage({ kind: "rejection", origin: "inbox", inbox: CUSTOMER.name, ...key }),
  );
  const context = { nowMs: NOW, notifies: true };
  await consumeDeadLetters({ queue: "webhook-events-dlq", messages: [dead] }, around(), context);
  expect(dead.ends).toEqual(["ack"]);
  expect((await onlyLetter()).letter).toMatchObject({
    kind: "event",
    lane: CUSTOMER.name,
    directiveId: "e1",
    code: "forbidden",
    sequence: 0,
    attempts: 1,
  });
  expect(await inbox().letter(key)).toBeUndefined();
});
