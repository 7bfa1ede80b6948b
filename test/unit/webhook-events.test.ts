import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { inboxOfKey, inboxOfShard } from "../../domain/inbox-name.ts";
import {
  ACCOUNT,
  CUSTOMER,
  delivered,
  doorbell,
  failure,
  OTHER_ACCOUNT,
  toReceiver,
  transfer,
  World,
  type Handle,
} from "./webhook-events-fixture.ts";

const OTHER = inboxOfKey("shop", "customer-2");
const SHARD = inboxOfShard("shop", "e1", 1);

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});

/** Every run says something else, as a handler that asks the time or another service does. */
function fickle(): Handle {
  let runs = 0;
  return () => ({ directives: [transfer((runs += 1))], deliveries: ["receiver"] });
}

/** Delivers doorbells until nothing is left to do, the way the queue and the alarm would. */
async function consumeUntilDone(world: World, ...addresses: (typeof CUSTOMER)[]): Promise<void> {
  for (let delivery = 0; delivery < 40; delivery += 1) {
    await world.consume(
      ...(addresses.length === 0 ? [CUSTOMER] : addresses).map((address) => doorbell(address)),
    );
    world.nowMs += 60_000;
  }
}

describe("an event", () => {
  test("is planned, then carried out, then settled, in order, with two calls beside the first", async () => {
    const world = new World(fickle());
    const inbox = world.inbox(CUSTOMER, "e1", "e2");
    world.answer = ({ sequence }) => {
      expect(inbox.events[sequence]?.effects).not.toBeNull();
      return delivered;
    };
    expect(await world.consume(doorbell())).toEqual(["ack"]);
    expect(inbox.states()).toEqual(["settled", "settled"]);
    expect(world.received()).toEqual(["e1", "e2"]);
    expect([...world.lane.keys()]).toEqual(["shop:e1:0", "shop:e2:0"]);
    expect(world.steps.filter((at) => ["take", "plan", "settle"].includes(at))).toEqual([
      "take",
      "plan",
      "settle",
    ]);
    expect(world.registered).toEqual([CUSTOMER.name]);
  });

  test("is not taken for another source's event of the same id by a receiver of both", async () => {
    const world = new World();
    const inboxes = [CUSTOMER, inboxOfKey("other", "customer-1")];
    for (const inbox of inboxes) world.inbox(inbox, "1");
    await world.consume(...inboxes.map((inbox) => doorbell(inbox)));
    expect(world.deliveries.map(({ webhookId }) => webhookId).toSorted()).toEqual(["other:1", "shop:1"]);
  });

  test("is delivered with all that a receiver needs to know it again", async () => {
    const world = new World();
    world.inbox(CUSTOMER, "e1");
    await world.consume(doorbell());
    expect(world.deliveries).toEqual([
      {
        destination: "receiver",
        timeoutSeconds: 10,
        webhookId: "shop:e1",
        sequence: 0,
        source: "shop",
        key: "customer-1",
        attempt: 1,
        replayed: false,
        body: '{"id":"e1","private":"body of the event"}',
        contentType: "application/json",
        admittedAtMs: world.nowMs,
      },
    ]);
  });

  test("that came back from being dead says so, and only what is still open is done again", async () => {
    const world = new World(() => ({ deliveries: ["receiver", "second"] }));
    const inbox = world.inbox(CUSTOMER, "e1");
    Object.assign(inbox.events[0]!, {
      generation: 1,
      attempts: 4,
      effects: [
        { effect: { kind: "delivery", destination: "receiver" }, state: "done" },
        { effect: { kind: "delivery", destination: "second" }, state: "pending" },
      ],
    });
    await world.consume(doorbell());
    expect(world.deliveries).toMatchObject([{ destination: "second", replayed: true, attempt: 5 }]);
    expect(inbox.states()).toEqual(["settled"]);
  });

  test("for which nothing is to be done is settled", async () => {
    const world = new World(() => ({}));
    const inbox = world.inbox(CUSTOMER, "e1", "e2");
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(["settled", "settled"]);
    expect(world.deliveries).toEqual([]);
  });

  test.each(["plan", "settle"])("whose lease is lost at %s is left to the next holder", async (at) => {
    const world = new World();
    const inbox = world.inbox(CUSTOMER, "e1", "e2");
    world.atStep = (name) => {
      if (name === at) inbox.lease = { token: 99, untilMs: Number.MAX_SAFE_INTEGER, sequences: [] };
    };
    expect(await world.consume(doorbell())).toEqual(["ack"]);
    expect(world.deliveries).toHaveLength(at === "plan" ? 0 : 2);
    expect(world.steps.filter((name) => name === "take")).toHaveLength(1);
    expect(inbox.states()).toEqual(["queued", "queued"]);
  });
});

test("an invocation that ends at any step leaves one directive of each event, and deliveries in order", async () => {
  const scenario = async (crashAt: number) => {
    const world = new World(fickle());
    world.crashAt = crashAt;
    const inbox = world.inbox(CUSTOMER, "e1", "e2", "e3");
    await consumeUntilDone(world);
    return { world, inbox };
  };
  const calm = await scenario(0);
  const total = calm.world.steps.length;
  for (let point = 1; point <= total; point += 1) {
    const { world, inbox } = await scenario(point);
    expect(inbox.states(), `end at step ${point}`).toEqual(["settled", "settled", "settled"]);
    expect(world.received(), `end at step ${point}`).toEqual(["e1", "e2", "e3"]);
    expect([...world.lane.keys()], `end at step ${point}`).toEqual(["shop:e1:0", "shop:e2:0", "shop:e3:0"]);
    expect(world.conflicts, `end at step ${point}`).toEqual([]);
  }
});

describe("an ordering key", () => {
  test("stops at an event that failed transiently, and those behind it burn no attempt", async () => {
    const world = new World();
    const inbox = world.inbox(CUSTOMER, ...Array.from({ length: 1000 }, (_, index) => `e${index}`));
    let away = true;
    world.answer = () => (away ? failure("endpoint_error", 7) : delivered);
    for (let time = 0; time < 5; time += 1) {
      expect(await world.consume(doorbell())).toEqual(["retry 7"]);
      world.nowMs += 7000;
    }
    expect(world.deliveries.map(({ webhookId }) => webhookId)).toEqual(Array(5).fill("shop:e0"));
    expect(inbox.events.slice(1).every(({ attempts }) => attempts === 0)).toBe(true);
    away = false;
    await consumeUntilDone(world);
    expect(world.received()).toEqual(inbox.events.map(({ id }) => id));
  });

  test("lets a thousand doorbells behind a failing head go: one waits, and none comes back", async () => {
    const world = new World();
    world.inbox(CUSTOMER, "e1", "e2");
    world.answer = () => failure("rate_limited", 30);
    const first = await world.consume(...Array.from({ length: 100 }, () => doorbell()));
    expect(first.filter((end) => end !== "ack")).toEqual(["retry 30"]);
    for (let time = 0; time < 9; time += 1)
      expect(new Set(await world.consume(...Array.from({ length: 100 }, () => doorbell())))).toEqual(
        new Set(["ack"]),
      );
    expect(world.deliveries).toHaveLength(1);
    expect(world.rungLater).toEqual([]);
  });

  test("replaces a doorbell that the queue would soon give up by a fresh one", async () => {
    const world = new World();
    world.inbox(CUSTOMER, "e1");
    world.answer = () => failure("endpoint_error", 7);
    expect(await world.consume(doorbell(CUSTOMER, 91))).toEqual(["ack"]);
    expect(world.rungLater).toEqual([7]);
  });

  test.each([
    ["goes on", "continue", ["settled", "dead", "settled"], ["e1", "e3"]],
    ["pauses", "pause", ["settled", "dead", "queued"], ["e1"]],
  ] as const)("%s after a permanent failure, as its source says", async (_, policy, states, received) => {
    const world = new World(toReceiver, { afterPermanentFailure: policy });
    const inbox = world.inbox(CUSTOMER, "e1", "e2", "e3");
    world.answer = ({ webhookId }) => (webhookId === "shop:e2" ? failure("forbidden") : delivered);
    expect(await world.consume(doorbell())).toEqual(["ack"]);
    expect(inbox.states()).toEqual(states);
    expect(world.received()).toEqual(received);
  });

  test("pauses at an event that failed for good in one effect only when another of its effects is tried again", async () => {
    const world = new World(
      ({ id }) => ({ deliveries: id === "e1" ? ["second", "receiver"] : ["receiver"] }),
      {
        afterPermanentFailure: "pause",
      },
    );
    const inbox = world.inbox(CUSTOMER, "e1", "e2");
    let away = true;
    world.answer = ({ destination }) =>
      destination === "second" ? failure("forbidden") : away ? failure("endpoint_error") : delivered;
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(["queued", "queued"]);
    away = false;
    world.nowMs += 10_000;
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(["dead", "queued"]);
    expect(world.received()).toEqual(["e1"]);
  });

  test.each([
    ["goes on", "continue", ["settled", "dead", "dead", "settled"]],
    ["pauses", "pause", ["settled", "dead", "queued", "queued"]],
  ] as const)("%s after a handler that failed, as its source says", async (_, policy, states) => {
    const world = new World(
      ({ id }) => {
        if (id === "e2" || id === "e3") throw new Error("cannot");
        return { directives: [transfer(1)] };
      },
      { afterPermanentFailure: policy },
    );
    const inbox = world.inbox(CUSTOMER, "e1", "e2", "e3", "e4");
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(states);
    expect(inbox.events[1]).toMatchObject({
      failure: { code: "handler_failed", message: "handle threw: cannot" },
    });
  });

  test("keeps an event whose handler failed until those before it are done", async () => {
    let fails = true;
    const world = new World(({ id }) => {
      if (id === "e2" && fails) throw new Error("cannot yet");
      return { deliveries: ["receiver"] };
    });
    const inbox = world.inbox(CUSTOMER, "e1", "e2", "e3");
    world.answer = () => (fails ? failure("endpoint_error") : delivered);
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(["queued", "queued", "queued"]);
    fails = false;
    await consumeUntilDone(world);
    expect(world.received()).toEqual(["e1", "e2", "e3"]);
  });

  test("carries out all effects of an event, whatever came of its others", async () => {
    const world = new World(() => ({ directives: [transfer(1)], deliveries: ["receiver", "second"] }));
    const inbox = world.inbox(CUSTOMER, "e1", "e2");
    world.laneAway = true;
    world.answer = ({ destination }) => (destination === "receiver" ? failure("gone") : delivered);
    expect(await world.consume(doorbell())).toEqual(["retry 10"]);
    expect(world.deliveries.map(({ destination, webhookId }) => `${destination} ${webhookId}`)).toEqual([
      "receiver shop:e1",
      "second shop:e1",
    ]);
    expect(inbox.events[0]?.effects?.map(({ state }) => state)).toEqual(["pending", "failed", "done"]);
    expect(inbox.events[0]?.attempts).toBe(1);
    world.laneAway = false;
    world.nowMs += 10_000;
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(["dead", "dead"]);
    expect(world.lane.size).toBe(2);
  });
});

describe("directives", () => {
  test("of events that follow one another are admitted in one call, and their lane is rung once", async () => {
    const world = new World(() => ({ directives: [transfer(1), transfer(2)] }));
    world.inbox(CUSTOMER, "e1", "e2", "e3");
    await world.consume(doorbell());
    expect(world.admissionCalls).toEqual([
      ["shop:e1:0", "shop:e1:1", "shop:e2:0", "shop:e2:1", "shop:e3:0", "shop:e3:1"],
    ]);
    expect(world.rung).toEqual([JSON.stringify({ v: 1, kind: "doorbell", account: ACCOUNT })]);
  });

  test("of an event wait for the deliveries of the one before it", async () => {
    const world = new World(fickle());
    world.inbox(CUSTOMER, "e1", "e2");
    world.answer = () => failure("endpoint_error");
    await world.consume(doorbell());
    expect([...world.lane.keys()]).toEqual(["shop:e1:0"]);
  });

  test("of an event that follow one whose lane is away are admitted, and those of the next event are not", async () => {
    const world = new World(({ id }) => ({
      directives: id === "e1" ? [transfer(1), transfer(2, OTHER_ACCOUNT)] : [transfer(3, OTHER_ACCOUNT)],
    }));
    const inbox = world.inbox(CUSTOMER, "e1", "e2");
    let calls = 0;
    world.atStep = (at) => {
      if (at === "admit" && (calls += 1) === 1) throw new Error("the lane is away");
    };
    expect(await world.consume(doorbell())).toEqual(["retry 10"]);
    expect([...world.lane.keys()]).toEqual(["shop:e1:1"]);
    expect(inbox.events.map(({ attempts }) => attempts)).toEqual([1, 0]);
    expect(inbox.events[0]?.failure?.code).toBe("lane_unavailable");
  });

  test("of an event begin only when the key did not pause at the one before it", async () => {
    const world = new World(() => ({ directives: [transfer(1)] }), { afterPermanentFailure: "pause" });
    const inbox = world.inbox(CUSTOMER, "e1", "e2");
    const another = { id: "shop:e1:0", digest: "another", payload: "{}", expiresAtMs: null };
    await world
      .env()
      .SEQUENCER.getByName()
      .admit(ACCOUNT as never, [another]);
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(["dead", "queued"]);
    expect([...world.lane.keys()]).toEqual(["shop:e1:0"]);
  });

  test("that the lane knows with another payload are a permanent failure", async () => {
    const world = new World(() => ({ directives: [transfer(1)] }));
    const inbox = world.inbox(CUSTOMER, "e1");
    const [admission] = [{ id: "shop:e1:0", digest: "another", payload: "{}", expiresAtMs: null }];
    await world
      .env()
      .SEQUENCER.getByName()
      .admit(ACCOUNT as never, [admission]);
    await world.consume(doorbell());
    expect(inbox.events[0]).toMatchObject({ state: "dead", failure: { code: "conflicting_payload" } });
  });
});

describe("a shard", () => {
  test("tries each of its events, whatever came of the others", async () => {
    const world = new World(({ id }) => {
      if (id === "e2") throw new Error("cannot");
      return { directives: [transfer(1)], deliveries: ["receiver"] };
    });
    const inbox = world.inbox(SHARD, ...Array.from({ length: 60 }, (_, index) => `e${index}`));
    world.answer = ({ sequence }) => (sequence % 3 === 0 ? failure("endpoint_error", 5) : delivered);
    expect(await world.consume(doorbell(SHARD))).toEqual(["retry 5"]);
    expect(inbox.events.map(({ attempts, state }) => (state === "dead" ? 1 : attempts))).toEqual(
      Array.from({ length: 60 }, () => 1),
    );
    expect(inbox.states().filter((state) => state === "settled")).toHaveLength(39);
    expect(world.admissionCalls.map((ids) => ids.length)).toEqual([49, 10]);
    expect(world.deliveries[0]).toMatchObject({ key: null });
  });

  test("is not asked to come back by a doorbell whose own events went well", async () => {
    const world = new World();
    const inbox = world.inbox(SHARD, "e1", "e2");
    inbox.events[0]!.dueMs = world.nowMs + 50_000;
    expect(await world.consume(doorbell(SHARD))).toEqual(["ack"]);
    expect(inbox.states()).toEqual(["queued", "settled"]);
  });
});

test("in any history of failures and ended invocations each key is received in order, and no directive twice", async () => {
  const keys = [CUSTOMER, OTHER, SHARD];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(
        fc.constantFrom(delivered, delivered, failure("endpoint_error"), failure("network_error", 3)),
      ),
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 5 }),
      async (events, answers, crashes) => {
        const world = new World(fickle());
        for (const [index, key] of events.entries()) world.inbox(keys[key], `e${index}`);
        world.answer = () => {
          for (const answer of answers) return answer;
          return delivered;
        };
        const addresses = keys.filter(({ name }) => world.inboxes.has(name));
        for (const crash of crashes) {
          world.crashAt = world.steps.length + crash;
          const bells = addresses.flatMap((address) => [doorbell(address), doorbell(address)]);
          await world.consume(...bells.toReversed());
          expect(bells.every(({ ends }) => ends.length === 1)).toBe(true);
          world.nowMs += 30_000;
        }
        world.crashAt = 0;
        world.answer = () => delivered;
        await consumeUntilDone(world, ...addresses);
        const received = world.received();
        for (const [place, address] of keys.entries()) {
          const ids = events.flatMap((key, index) => (key === place ? [`e${index}`] : []));
          const got = received.filter((id) => ids.includes(id));
          expect(address.key === null ? got.toSorted() : got).toEqual(
            address.key === null ? ids.toSorted() : ids,
          );
        }
        expect(world.conflicts).toEqual([]);
        expect(world.lane.size).toBe(events.length);
      },
    ),
    { numRuns: 300 },
  );
});
