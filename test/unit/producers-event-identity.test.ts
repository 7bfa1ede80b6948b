import { createHmac } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { defineConfig } from "../../domain/config.ts";
import { webhookSource, type WebhookSourceInput } from "../../domain/webhook-source.ts";
import { eventReceiptSchema } from "../../domain/api-webhooks.ts";
import { postWebhook, type WebhooksEnv } from "../../producers/webhooks.ts";
import { digest, problemOf } from "./producers-fixture.ts";
import { FakeInboxes, NOW_MS } from "./webhooks-fixture.ts";

let inboxes: FakeInboxes;

beforeEach(() => {
  inboxes = new FakeInboxes();
  for (const level of ["warn", "error"] as const)
    vi.spyOn(console, level).mockImplementation(() => undefined);
});

afterEach(() => {
  vi.useRealTimers();
});

type Given = Partial<WebhookSourceInput<unknown>>;

/** An event of the source `shop`, as it is configured at that time. */
async function post(given: Given, body: string, bindings: WebhooksEnv = inboxes.env): Promise<Response> {
  const shop = webhookSource<unknown>({
    signature: { scheme: "github" },
    secrets: [{ env: "SECRET" }],
    schema: z.unknown(),
    handle: () => ({}),
    ...given,
  });
  const signature = createHmac("sha256", "secret").update(body).digest("hex");
  const headers = { "x-hub-signature-256": `sha256=${signature}` };
  const request = new Request("http://lockstep/webhooks/shop", { method: "POST", body, headers });
  const env = { ...bindings, SECRET: "secret" };
  return postWebhook("shop", request, env, defineConfig({ chains: {}, sources: { shop } }), NOW_MS);
}

async function receive(given: Given, body: string) {
  const response = await post(given, body);
  expect(response.status).toBe(202);
  return eventReceiptSchema.parse(await response.json());
}

const byCustomer: Given = { eventId: "id", orderingKey: "customer" };
const ofCustomer = (customer: string, fields: object = {}) =>
  JSON.stringify({ id: "evt_1", customer, ...fields });

describe("G4: a provider's redelivery is not a second event when", () => {
  test.each<[string, Given, Given]>([
    ["`shards` has changed between", { shards: 16 }, { shards: 7 }],
    ["`orderingKey` has changed between", { orderingKey: "customer" }, { orderingKey: "order" }],
    ["`orderingKey` has come since", {}, { orderingKey: "order" }],
  ])("%s", async (_, before, after) => {
    const body = '{"customer":"c1","order":"o1"}';
    const first = await receive(before, body);
    inboxes.doorbells.length = 0;
    expect(await receive(after, body)).toEqual({ ...first, duplicate: true });
    expect(inboxes.admitted).toHaveLength(1);
    expect(inboxes.doorbells).toEqual([]);
  });
});

describe("an id that another inbox of the source was given", () => {
  test("is 409 for another event, which says whose it is and what to do, and admits nothing", async () => {
    await receive(byCustomer, ofCustomer("cus_1"));
    const response = await post(byCustomer, ofCustomer("cus_2"));
    expect(response.status).toBe(409);
    const { detail } = await problemOf(response);
    for (const part of ['"evt_1"', '"webhook:shop:cus_1"', "unique within a source", "eventId"])
      expect(detail).toContain(part);
    expect(inboxes.admitted).toHaveLength(1);
    const index = [...inboxes.index.values()].flat();
    expect(index).toMatchObject([{ id: "evt_1", inbox: "webhook:shop:cus_1" }]);
  });

  test("is another id once it combines fields", async () => {
    const eventId = (body: unknown) => {
      const { id, customer } = z.object({ id: z.string(), customer: z.string() }).parse(body);
      return `${customer}/${id}`;
    };
    const ids = [];
    for (const customer of ["cus_1", "cus_2"])
      ids.push((await receive({ ...byCustomer, eventId }, ofCustomer(customer))).id);
    expect(ids).toEqual(["cus_1/evt_1", "cus_2/evt_1"]);
  });

  test("is the event's own where that inbox has forgotten it, and the index learns of it", async () => {
    await receive(byCustomer, ofCustomer("cus_1"));
    inboxes.events.clear();
    const { inbox, duplicate } = await receive(byCustomer, ofCustomer("cus_2"));
    expect([inbox, duplicate]).toEqual(["webhook:shop:cus_2", false]);
    expect([...inboxes.index.values()].flat()).toMatchObject([{ inbox }]);
  });

  test("stays a duplicate where its own inbox has it too", async () => {
    await receive(byCustomer, ofCustomer("cus_1"));
    inboxes.index.clear();
    const second = await receive(byCustomer, ofCustomer("cus_2"));
    expect(await receive(byCustomer, ofCustomer("cus_1"))).toMatchObject({
      duplicate: true,
      inbox: "webhook:shop:cus_1",
    });
    expect(await receive(byCustomer, ofCustomer("cus_2"))).toEqual({ ...second, duplicate: true });
  });

  test("is 503 while that inbox does not answer: it may be the same event", async () => {
    await receive(byCustomer, ofCustomer("cus_1"));
    inboxes.failing.add("events");
    const response = await post(byCustomer, ofCustomer("cus_2"));
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(inboxes.admitted).toHaveLength(1);
  });
});

test("an event that the index has in its own inbox is not noted again", async () => {
  await receive({}, "{}");
  const noted = vi.fn<(part: string) => void>();
  const index = {
    getByName(name: string) {
      const part = inboxes.env.WEBHOOK_INDEX.getByName(name);
      return { ...part, note: async () => noted(name) };
    },
  };
  expect((await post({}, "{}", { ...inboxes.env, WEBHOOK_INDEX: index })).status).toBe(202);
  expect(noted).not.toHaveBeenCalled();
});

test("G4: events whose key is a whole number beyond 2^53 are of one key, and ordered", async () => {
  for (const n of [1, 2]) {
    const { inbox, sequence } = await receive(
      { orderingKey: "customer" },
      `{"customer":1146234567890123456,"n":${n}}`,
    );
    expect([inbox, sequence]).toEqual(["webhook:shop:1146234567890123456", n - 1]);
  }
});

describe("an index that hangs", () => {
  test.each(["find", "note"] as const)(
    "with `%s` holds up no provider longer than its time: the event is admitted, rung and answered",
    async (method) => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      const asked = Promise.withResolvers<void>();
      const hangs = () => {
        asked.resolve();
        return new Promise<never>(() => undefined);
      };
      const part = inboxes.env.WEBHOOK_INDEX.getByName("shop#0");
      const answer = post({}, "{}", {
        ...inboxes.env,
        WEBHOOK_INDEX: { getByName: () => ({ ...part, [method]: hangs }) },
      });
      await asked.promise;
      await vi.advanceTimersByTimeAsync(1000);
      expect((await answer).status).toBe(202);
      expect(inboxes.admitted.map(({ event }) => event.id)).toEqual([digest("{}")]);
      expect(inboxes.doorbells).toHaveLength(1);
    },
  );

  test("does not hold the doorbell up", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const rung = Promise.withResolvers<void>();
    const part = inboxes.env.WEBHOOK_INDEX.getByName("shop#0");
    const answer = post({}, "{}", {
      ...inboxes.env,
      WEBHOOK_INDEX: { getByName: () => ({ ...part, note: () => new Promise<never>(() => undefined) }) },
      WEBHOOK_EVENTS: { send: async () => rung.resolve() },
    });
    await rung.promise;
    await vi.advanceTimersByTimeAsync(1000);
    expect((await answer).status).toBe(202);
  });
});
