import { beforeEach, expect, test, vi } from "vitest";
import { inboxOfKey, parseInbox } from "../../domain/inbox-name.ts";
import {
  ACCOUNT,
  delivered,
  doorbell,
  OTHER_ACCOUNT,
  transfer,
  World,
  type FakeInbox,
  type Handle,
} from "./webhook-events-fixture.ts";

/** Of one invocation, on the paid plan: https://developers.cloudflare.com/workers/platform/limits/#subrequests */
const SUBREQUESTS = 10_000;
const INBOXES = 100;
const EVENTS = 100;
/** The list of inboxes, and the end of each message: they are no steps of the world. */
const UNSEEN = 2 * INBOXES;
/** A near and fast receiver; six connections at once. */
const LATENCY_MS = 20;

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});

/** Full inboxes, every other of them unordered, on a platform that refuses whatever comes after so many subrequests. */
class FullWorld extends World {
  readonly all: readonly FakeInbox[];
  #subrequests = UNSEEN;

  constructor(handle: Handle) {
    super(handle);
    this.all = Array.from({ length: INBOXES }, (_, place) =>
      this.inbox(
        place % 2 === 0 ? inboxOfKey("shop", `customer-${place}`) : parseInbox(`webhook:shop#${place}`),
        ...Array.from({ length: EVENTS }, (_event, index) => `e${place}-${index}`),
      ),
    );
    this.atStep = (at) => {
      if (!["take", "plan", "settle", "deliver", "admit", "ring"].includes(at)) return;
      this.#subrequests += 1;
      if (this.#subrequests > SUBREQUESTS)
        throw new Error("Too many subrequests by single Worker invocation.");
    };
    this.answer = () => {
      this.nowMs += LATENCY_MS / 6;
      return delivered;
    };
  }

  /** One invocation for these inboxes; those that are to be rung again. */
  async invoke(inboxes: readonly FakeInbox[]): Promise<readonly FakeInbox[]> {
    this.#subrequests = UNSEEN;
    const ends = await this.consume(...inboxes.map(({ address }) => doorbell(address)));
    return inboxes.filter((_, place) => ends[place] !== "ack");
  }

  /** Effects whose end the inboxes know. */
  done(): number {
    return this.all
      .flatMap(({ events }) => events.flatMap(({ effects }) => effects ?? []))
      .filter(({ state }) => state === "done").length;
  }
}

const twoDeliveries: Handle = () => ({ deliveries: ["receiver", "second"] });
/** Each directive is a call of its own: the one before it is of another account. */
const twoDirectives: Handle = () => ({ directives: [transfer(1), transfer(1, OTHER_ACCOUNT)] });
/** Every other event is dead by its handler, which ends a part of the flight, with plans of its own. */
const halfFail: Handle = ({ id }) =>
  /[13579]$/.test(id)
    ? Promise.reject(new Error("no"))
    : { directives: [transfer(1, ACCOUNT)], deliveries: ["receiver"] };

test.each([
  ["deliveries", twoDeliveries],
  ["directives of changing accounts", twoDirectives],
  ["handlers that fail between others", halfFail],
])(
  "an invocation whose inboxes are full settles all that it has done, with %s: nothing is done twice",
  async (_, handle) => {
    const world = new FullWorld(handle);
    const again = await world.invoke(world.all);
    expect(again.length).toBeGreaterThan(0);
    expect(world.all.filter(({ lease }) => lease !== null).length).toBe(0);
    expect(world.done()).toBe(world.deliveries.length + world.admissionCalls.flat().length);
    // Most of what it may ask for goes into effects.
    expect(world.done()).toBeGreaterThan(SUBREQUESTS / 4);
  },
);

test("doorbells alone bring full inboxes to their end over several invocations, with nothing delivered twice", async () => {
  const world = new FullWorld(twoDeliveries);
  let open: readonly FakeInbox[] = world.all;
  for (let invocations = 0; open.length > 0; invocations += 1) {
    expect(invocations).toBeLessThan(10);
    open = await world.invoke(open);
    world.nowMs += 1000;
  }
  expect(new Set(world.all.flatMap((inbox) => inbox.states()))).toEqual(new Set(["settled"]));
  expect(world.deliveries).toHaveLength(INBOXES * EVENTS * 2);
});
