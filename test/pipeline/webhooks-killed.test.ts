import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Delivery } from "../../ops/receiver.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import {
  atOnce,
  disorderOf,
  eventOf,
  eventsOf,
  handled,
  handledOf,
  send,
  sendUntilTaken,
  type TestEvent,
} from "./events.ts";
import { ACCOUNTS, recipient, startLockstep, type Lockstep } from "./lockstep.ts";

let lockstep: Lockstep;

beforeAll(async () => {
  lockstep = await startLockstep();
});
afterAll(() => lockstep.close());
beforeEach(() => lockstep.receiver.behave(() => 204));

/** No lease of a consumer that was killed lasts longer, and what comes after it is quick. */
const WITHIN_MS = 120_000;

/** All of them settled, in the inbox's own words. */
async function expectSettled(events: readonly TestEvent[]): Promise<void> {
  await waitUntil(
    async () => {
      const reports = await Promise.all(
        events.map(({ provider, id }) => lockstep.operator.event(provider, id).catch(() => null)),
      );
      return reports.every((report) => report?.status === "settled") ? true : undefined;
    },
    { what: "every event settled", withinMs: WITHIN_MS, everyMs: 500, tail: lockstep.stack.tail },
  );
}

/** Kills the Worker in the middle of the first delivery that fits, and answers it as `reply` says. */
function killDuring(fits: (delivery: Delivery) => boolean, reply: "before" | "after"): Promise<void> {
  const { receiver, stack } = lockstep;
  return new Promise((resolve, reject) => {
    let armed = true;
    receiver.behave(async (delivery) => {
      if (!armed || !fits(delivery)) return 204;
      armed = false;
      const killed = stack.killWorker().then(resolve, reject);
      if (reply === "before") return 204;
      await killed;
      return "hang-up";
    });
  });
}

test("between signature and commit: what was answered 202 before a SIGKILL is there, what was not is taken when it is sent again", async () => {
  const events = Array.from({ length: 10 }, (_, key) => eventsOf("stripe", `admitting-${key}`, 20)).flat();
  const taken = new Set<string>();
  const sending = atOnce(20, events, async (event) => {
    const receipt = await send(lockstep, event).catch(() => null);
    if (receipt !== null) taken.add(event.id);
  });
  await waitUntil(() => (taken.size >= 50 ? true : undefined), {
    what: "50 answers",
    withinMs: 30_000,
    everyMs: 1,
  });
  await lockstep.stack.killWorker();
  await sending;
  const known = [...taken];
  expect(known.length).toBeLessThan(events.length);
  await atOnce(10, events, async (event) => {
    const receipt = await sendUntilTaken(lockstep, event);
    if (known.includes(event.id)) expect(receipt.duplicate).toBe(true);
  });
  await handled(lockstep, events, WITHIN_MS);
  await expectSettled(events);
  // What was sent anew came in another order than the provider's: that of admission counts.
  const keys = [...new Set(events.map(({ key }) => key))];
  expect(
    keys.flatMap((key) =>
      disorderOf(
        lockstep,
        key,
        events.filter((event) => event.key === key),
      ),
    ),
  ).toEqual([]);
});

test("between commit and doorbell: an event whose doorbell died with the process rings by its inbox's alarm", async () => {
  const events = Array.from({ length: 10 }, (_, index) => eventsOf("plain", `unrung-${index}`, 1)).flat();
  await Promise.all(events.map((event) => send(lockstep, event)));
  await lockstep.stack.killWorker();
  await handled(lockstep, events, WITHIN_MS);
  await expectSettled(events);
});

test("between lease and delivery, and in the middle of one: an open delivery that the consumer cannot finish is made again, in order", async () => {
  const events = eventsOf("plain", "cut-off", 8);
  const killed = killDuring(({ sequence, key }) => key === "cut-off" && sequence % 8 === 3, "after");
  for (const event of events) await send(lockstep, event).catch(() => sendUntilTaken(lockstep, event));
  await killed;
  await handled(lockstep, events, WITHIN_MS);
  await expectSettled(events);
  expect(disorderOf(lockstep, "cut-off", events)).toEqual([]);
});

test("between delivery and settlement: a delivery that nobody wrote down comes again under its webhook-id, and the next after it", async () => {
  const events = eventsOf("stripe", "unsettled", 8);
  const killed = killDuring(({ sequence, key }) => key === "unsettled" && sequence % 8 === 5, "before");
  for (const event of events) await send(lockstep, event).catch(() => sendUntilTaken(lockstep, event));
  await killed;
  await handled(lockstep, events, WITHIN_MS);
  await expectSettled(events);
  expect(disorderOf(lockstep, "unsettled", events)).toEqual([]);
  expect(handledOf(lockstep, "unsettled")).toHaveLength(8);
  const again = lockstep.receiver.arrivals.filter(({ key, reply, handled: first }) => {
    return key === "unsettled" && reply === 204 && !first;
  });
  expect(again.length).toBeGreaterThan(0);
});

test("between plan, directives and delivery: order.paid events in a SIGKILL become one transfer each", async () => {
  const keys = Array.from({ length: 10 }, (_, index) => `paying-${index}`);
  const events = keys.flatMap((key, place) =>
    Array.from({ length: 5 }, (_, index) => {
      const to = recipient(5, place * 10 + index);
      const metadata = { lockstep_to: to, lockstep_wei: "700" };
      return eventOf("polar", { id: `${key}-${index}`, key, type: "order.paid", metadata });
    }),
  );
  const killed = killDuring(({ key }) => key === "paying-4", "after");
  await atOnce(10, events, async (event) => void (await sendUntilTaken(lockstep, event)));
  await killed;
  await handled(lockstep, events, WITHIN_MS);
  await expectSettled(events);
  const lane = await lockstep.settled(ACCOUNTS[0]?.account ?? "", events.length, WITHIN_MS);
  expect(lane.counts).toEqual({ admitted: 50, settled: 50, dead: 0, inFlight: 0 });
  const balances = await Promise.all(
    events.map(({ metadata }) =>
      lockstep.chain.getBalance({ address: `0x${(metadata?.["lockstep_to"] ?? "").slice(2)}` }),
    ),
  );
  expect(new Set(balances.map(String))).toEqual(new Set(["700"]));
});
