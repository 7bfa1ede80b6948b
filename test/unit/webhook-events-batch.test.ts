import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { consumeWebhookEvents } from "../../consumers/webhook-events.ts";
import { inboxOfKey } from "../../domain/inbox-name.ts";
import { encodeMessage } from "../../domain/message.ts";
import {
  ACCOUNT,
  CUSTOMER,
  delivered,
  doorbell,
  failure,
  message,
  transfer,
  World,
} from "./webhook-events-fixture.ts";

const OTHER = inboxOfKey("shop", "customer-2");

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a batch", () => {
  test("brings each message to one end, and none affects another", async () => {
    const world = new World();
    const [good, transient, dead, taken, paused] = ["good", "transient", "dead", "taken", "paused"].map(
      (key) => world.inbox(inboxOfKey("shop", key), `${key}-1`),
    );
    taken!.lease = { token: 1, untilMs: world.nowMs + 1000, sequences: [] };
    paused!.paused = true;
    world.inbox(inboxOfKey("shop", "empty"));
    world.inbox(inboxOfKey("gone", "key"), "e1");
    world.answer = ({ key }) =>
      key === "transient" ? failure("endpoint_error", 9) : key === "dead" ? failure("gone") : delivered;
    const bytes = new Uint8Array([1, 2]);
    const bodies: Record<string, unknown> = {
      ...Object.fromEntries(
        ["good", "transient", "dead", "taken", "paused", "empty", "away"].map((key) => [
          key,
          doorbell(inboxOfKey("shop", key)).body,
        ]),
      ),
      again: doorbell(inboxOfKey("shop", "good")).body,
      notConfigured: doorbell(inboxOfKey("gone", "key")).body,
      nothing: null,
      bytes,
      map: new Map([["a", 1]]),
      otherKind: encodeMessage({ kind: "confirmation", account: ACCOUNT as never }),
      noInbox: { json: { v: 1, kind: "inbox-doorbell", inbox: "shop" } },
    };
    const messages = Object.values(bodies).map((body) => message(body));
    const ends = await world.consume(...messages);
    expect(Object.fromEntries(Object.keys(bodies).map((name, index) => [name, ends[index]]))).toEqual({
      ...Object.fromEntries(Object.keys(bodies).map((name) => [name, "ack"])),
      transient: "retry 9",
      away: "retry 1",
    });
    expect([good, transient, dead, taken, paused].map((inbox) => inbox?.states()[0])).toEqual([
      "settled",
      "queued",
      "dead",
      "queued",
      "queued",
    ]);
    expect(world.dead.map(({ options }) => options)).toEqual(
      ["json", "bytes", "v8", "json", "json"].map((contentType) => ({ contentType })),
    );
    expect(world.dead[1]?.body).toBe(bytes);
  });

  test("gives a message back that the dead-letter queue cannot take", async () => {
    const world = new World();
    world.dlqAway = true;
    expect(await world.consume(message("poison"))).toEqual(["retry 10"]);
  });

  test("ends the messages of an inbox while another hangs", async () => {
    const world = new World();
    const [sick, well] = [world.inbox(CUSTOMER, "e1"), world.inbox(OTHER, "e2")];
    const hanging = Promise.withResolvers<typeof delivered>();
    const ended = Promise.withResolvers<void>();
    world.answer = ({ key }) => (key === CUSTOMER.key ? hanging.promise : delivered);
    const [first, second] = [doorbell(CUSTOMER), { ...doorbell(OTHER), ack: () => ended.resolve() }];
    const done = world.consume(first, second);
    await ended.promise;
    expect([well.states(), sick.states(), first.ends]).toEqual([["settled"], ["queued"], []]);
    hanging.resolve(delivered);
    await done;
    expect(first.ends).toEqual(["ack"]);
  });

  test("leaves connections to other destinations while one hangs", async () => {
    const world = new World(({ id }) => ({ deliveries: [id.startsWith("sick") ? "slow" : "receiver"] }));
    const names = [...Array.from({ length: 20 }, (_, index) => `sick${index}`), "well"];
    const addresses = names.map((name) => inboxOfKey("shop", name));
    for (const [index, address] of addresses.entries()) world.inbox(address, names[index]!);
    const hanging = Promise.withResolvers<typeof delivered>();
    const ended = Promise.withResolvers<void>();
    world.answer = ({ destination }) => {
      if (destination === "slow") return hanging.promise;
      ended.resolve();
      return delivered;
    };
    const done = world.consume(...addresses.map((address) => doorbell(address)));
    await ended.promise;
    expect(world.deliveries.filter(({ destination }) => destination === "slow")).toHaveLength(4);
    hanging.resolve(delivered);
    await done;
    expect(world.deliveries).toHaveLength(21);
  });

  test("leaves a connection to a third destination while two hang", async () => {
    // The event's id names its destination.
    const world = new World(({ id }) => ({ deliveries: [id.split("-")[0] ?? ""] }));
    const names = [1, 2, 3, 4, 5].flatMap((index) => [`receiver-${index}`, `second-${index}`]);
    const addresses = [...names, "slow-1"].map((id) => {
      const address = inboxOfKey("shop", id);
      world.inbox(address, id);
      return address;
    });
    const hanging = Promise.withResolvers<typeof delivered>();
    const ended = Promise.withResolvers<void>();
    world.answer = ({ destination }) => {
      if (destination !== "slow") return hanging.promise;
      ended.resolve();
      return delivered;
    };
    const done = world.consume(...addresses.map((address) => doorbell(address)));
    await ended.promise;
    expect(world.received()).toEqual([]);
    hanging.resolve(delivered);
    await done;
    expect(world.deliveries).toHaveLength(11);
  });
});

test("a ledger that hangs keeps no doorbell, and the inbox's work does not wait for it", async () => {
  vi.useFakeTimers();
  const world = new World();
  const inbox = world.inbox(CUSTOMER, "e1");
  const bell = doorbell();
  const context = { ...world.context(), registerInbox: () => new Promise<void>(() => undefined) };
  const consumed = consumeWebhookEvents({ messages: [bell] }, world.env(), context);
  await vi.advanceTimersByTimeAsync(0);
  expect(inbox.states()).toEqual(["settled"]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(bell.ends).toEqual(["ack"]);
  await consumed;
});

test("2,000 events of 50 keys, a third of whose attempts fail, arrive in order with none missing", async () => {
  let runs = 0;
  const world = new World(() => ({ directives: [transfer((runs += 1))], deliveries: ["receiver"] }));
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const addresses = Array.from({ length: 50 }, (_, index) => inboxOfKey("shop", `key-${index}`));
  const events = Array.from({ length: 2000 }, (_, index) => ({
    id: `e${index}`,
    place: Math.floor(random() * 50),
  }));
  for (const { id, place } of events) world.inbox(addresses[place], id);
  let attempts = 0;
  world.answer = () => ((attempts += 1) % 3 === 0 ? failure("endpoint_error", 1) : delivered);
  const inboxes = [...world.inboxes.values()];
  for (let batch = 0; batch < 200 && inboxes.some((inbox) => inbox.states().includes("queued")); batch += 1) {
    const bells = Array.from({ length: 100 }, () => doorbell(addresses[Math.floor(random() * 50)]));
    await world.consume(...bells);
    expect(bells.every(({ ends }) => ends.length === 1)).toBe(true);
    world.nowMs += 1000;
  }
  const received = new Set(world.received());
  for (const [place, address] of addresses.entries()) {
    const admitted = events.filter((event) => event.place === place).map(({ id }) => id);
    expect(
      [...received].filter((id) => admitted.includes(id)),
      address.name,
    ).toEqual(admitted);
  }
  expect([received.size, world.lane.size, world.conflicts]).toEqual([2000, 2000, []]);
});
