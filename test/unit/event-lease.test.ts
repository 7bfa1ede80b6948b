import { beforeEach, describe, expect, test, vi } from "vitest";
import { delivered, doorbell, failure, transfer, World, type Handle } from "./webhook-events-fixture.ts";

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});

const ids = (count: number) => Array.from({ length: count }, (_, index) => `e${index}`);

describe("the end of a lease", () => {
  test("is never passed by a delivery, and what was done is settled in time", async () => {
    const world = new World();
    const inbox = world.inbox(undefined, ...ids(20));
    world.answer = ({ timeoutSeconds }) => {
      expect(world.nowMs + timeoutSeconds * 1000).toBeLessThan(inbox.lease!.untilMs);
      // As slow as the destination may be.
      world.nowMs += timeoutSeconds * 1000;
      return delivered;
    };
    await world.consume(doorbell());
    expect(world.deliveries).toHaveLength(inbox.states().filter((state) => state === "settled").length);
    expect(world.deliveries.length).toBeGreaterThan(4);
    world.answer = () => delivered;
    await world.consume(doorbell());
    expect(world.deliveries.map(({ webhookId }) => webhookId)).toEqual(ids(20).map((id) => `shop:${id}`));
  });

  test("shortens the time of a destination that is given more than a lease", async () => {
    const world = new World(() => ({ deliveries: ["slow"] }));
    world.inbox(undefined, "e1");
    await world.consume(doorbell());
    expect(world.deliveries.map(({ timeoutSeconds }) => timeoutSeconds)).toEqual([58]);
  });

  test("between two effects of an event keeps what was done, and the rest is done later", async () => {
    const world = new World(() => ({ deliveries: ["receiver", "second"] }));
    const inbox = world.inbox(undefined, "e1", "e2");
    world.answer = () => {
      world.nowMs += 55_000;
      return delivered;
    };
    await world.consume(doorbell());
    expect(inbox.events[0]?.effects?.map(({ state }) => state)).toEqual(["done", "done"]);
    expect(
      world.deliveries.map(({ destination, webhookId }) => `${destination} ${webhookId}`).slice(0, 2),
    ).toEqual(["receiver shop:e1", "second shop:e1"]);
  });

  test("lets no directive begin", async () => {
    const world = new World(({ id }) =>
      id === "e1" ? { deliveries: ["receiver"] } : { directives: [transfer(1)] },
    );
    const inbox = world.inbox(undefined, "e1", "e2");
    world.answer = () => {
      world.nowMs += 58_500;
      return delivered;
    };
    const admittedUnder: number[] = [];
    world.atStep = (at) => {
      if (at === "admit") admittedUnder.push(inbox.lease!.untilMs - world.nowMs);
    };
    await world.consume(doorbell());
    await world.consume(doorbell());
    expect(inbox.states()).toEqual(["settled", "settled"]);
    expect(admittedUnder).toEqual([60_000]);
  });

  test("ends the reading of events by slow handlers, and what they said is stored", async () => {
    let runs = 0;
    let world: World | null = null;
    const slow: Handle = () => {
      runs += 1;
      if (world !== null) world.nowMs += 8000;
      return { deliveries: ["receiver"] };
    };
    world = new World(slow);
    const inbox = world.inbox(undefined, ...ids(12));
    for (let delivery = 0; delivery < 6; delivery += 1) await world.consume(doorbell());
    expect(inbox.states()).toEqual(ids(12).map(() => "settled"));
    expect(runs).toBe(12);
    expect(world.received()).toEqual(ids(12));
  });
});

describe("the end of an invocation's time", () => {
  test("leaves the rest to a doorbell that comes at once", async () => {
    const world = new World();
    const inbox = world.inbox(undefined, ...ids(120));
    world.answer = () => {
      world.nowMs += 1300;
      return delivered;
    };
    expect(await world.consume(doorbell())).toEqual(["retry 0"]);
    expect(inbox.lease).toBeNull();
    const first = world.deliveries.length;
    expect(first).toBeLessThan(120);
    world.answer = () => delivered;
    expect(await world.consume(doorbell())).toEqual(["ack"]);
    expect(world.received()).toEqual(ids(120));
  });
});

test("an inbox whose lease was nearly over when it came gives it back, and rings again a little later", async () => {
  const world = new World();
  const inbox = world.inbox(undefined, "e1");
  world.atStep = (at) => {
    if (at === "taken") world.nowMs += 40_000;
  };
  expect(await world.consume(doorbell())).toEqual(["retry 1"]);
  expect(inbox.lease).toBeNull();
  expect(world.deliveries).toEqual([]);
});

test("a doorbell that comes back too early, or twice, does nothing", async () => {
  const world = new World();
  world.inbox(undefined, "e1");
  world.answer = () => failure("endpoint_error", 60);
  await world.consume(doorbell());
  const steps = world.steps.length;
  expect(await world.consume(doorbell(), doorbell())).toEqual(["ack", "ack"]);
  expect(world.steps.slice(steps)).toEqual(["take", "taken"]);
});
