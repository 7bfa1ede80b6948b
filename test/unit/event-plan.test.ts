import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { planEvent } from "../../consumers/event-plan.ts";
import { isDirectiveId } from "../../domain/ids.ts";
import type { EventPlan, LeasedEvent } from "../../domain/webhook-event.ts";
import {
  ACCOUNT,
  configOf,
  doorbell,
  toReceiver,
  transfer,
  World,
  type Handle,
} from "./webhook-events-fixture.ts";

const EVENT: LeasedEvent = {
  sequence: 4,
  id: "evt_1",
  body: '{"amount":5}',
  contentType: "application/json",
  admittedAtMs: 1_000_000,
  attempt: 1,
  generation: 0,
  effects: null,
};

async function plan(handle: Handle, event: Partial<LeasedEvent> = {}): Promise<EventPlan> {
  const config = configOf(handle);
  return planEvent({ ...EVENT, ...event }, config.sources.get("shop")!, config, 1000);
}

/** A handler whose output the compiler would refuse. */
const saying =
  (output: unknown): Handle =>
  () =>
    output as ReturnType<Handle>;

describe("what a handler asks for", () => {
  test("becomes directives first, then deliveries, each destination once", async () => {
    const seen: unknown[] = [];
    const { effects, failure, sequence } = await plan((event) => {
      seen.push(event);
      return {
        deliveries: ["second", "receiver", "second"],
        directives: [transfer(event.data === null ? 0 : 1), transfer(2)],
      };
    });
    expect([sequence, failure]).toEqual([4, null]);
    expect(seen).toEqual([
      { source: "shop", id: "evt_1", data: { amount: 5 }, receivedAt: new Date(1_000_000) },
    ]);
    expect(
      effects.map((effect) => (effect.kind === "delivery" ? effect.destination : effect.admission.id)),
    ).toEqual(["shop:evt_1:0", "shop:evt_1:1", "second", "receiver"]);
    expect(effects[0]).toMatchObject({ account: ACCOUNT, admission: { expiresAtMs: null } });
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["an empty object", {}],
    ["empty lists", { directives: [], deliveries: [] }],
  ])("may be nothing: %s", async (_, output) => {
    expect(await plan(saying(output))).toEqual({ sequence: 4, effects: [], failure: null });
  });

  test.each<[string, unknown, string, RegExp]>([
    ["another field", { delivery: "receiver" }, "handler_failed", /^delivery is not a known field/],
    ["a text", "receiver", "handler_failed", /^the output /],
    [
      "a destination that is not configured",
      { deliveries: ["receiver", "x"] },
      "handler_failed",
      /^deliveries\.1: there is no destination x$/,
    ],
    ["a delivery that is no name", { deliveries: [7] }, "handler_failed", /^deliveries\.0 /],
    [
      "a directive that is none",
      { directives: [null] },
      "handler_failed",
      /^directives\.0 must be a directive object/,
    ],
    [
      "a directive without an action",
      { directives: [{ account: ACCOUNT }] },
      "handler_failed",
      /^directives\.0\.action /,
    ],
    [
      "a second directive that is wrong",
      { directives: [transfer(1), transfer("-5")] },
      "handler_failed",
      /^directives\.1\.action\.value must not be negative|^directives\.1\.action\.value /,
    ],
    [
      "an account that has no signer",
      { directives: [transfer(1, `eip155:31337:0x${"2".repeat(40)}`)] },
      "no_signer",
      /^directives\.0\.account: /,
    ],
    [
      "an account of a chain that is not configured",
      { directives: [transfer(1, `eip155:1:0x${"2".repeat(40)}`)] },
      "unsupported_chain",
      /^directives\.0\.account: /,
    ],
    [
      "more than a hundred effects",
      { directives: Array.from({ length: 100 }, () => transfer(1)), deliveries: ["receiver"] },
      "handler_failed",
      /101/,
    ],
  ])("fails the event whole, and names the field: %s", async (_, output, code, text) => {
    const { effects, failure } = await plan(saying(output));
    expect(effects).toEqual([]);
    expect(failure).toEqual({ code, message: expect.stringMatching(text) as unknown });
  });

  test("fails the event when it is more than the inbox may store in one value", async () => {
    const large = { ...transfer(1), metadata: { note: "é".repeat(40_000) } };
    const { effects, failure } = await plan(() => ({ directives: Array.from({ length: 7 }, () => large) }));
    expect([effects, failure?.code]).toEqual([[], "handler_failed"]);
    expect((await plan(() => ({ directives: Array.from({ length: 6 }, () => large) }))).effects).toHaveLength(
      6,
    );
  });

  test("may be a hundred effects", async () => {
    const { effects } = await plan(() => ({ directives: Array.from({ length: 100 }, () => transfer(1)) }));
    expect(effects).toHaveLength(100);
  });

  test("fails the event when the handler throws, rejects or meets a body that is not JSON", async () => {
    const throws: Handle = () => {
      throw new Error("x".repeat(5000));
    };
    const rejects: Handle = () => Promise.reject(new Error("later"));
    expect((await plan(throws)).failure?.message).toHaveLength(1000);
    expect((await plan(rejects)).failure).toEqual({ code: "handler_failed", message: "handle threw: later" });
    expect((await plan(toReceiver, { body: "not JSON" })).failure?.code).toBe("handler_failed");
  });

  test("gives each event its own directive ids, whatever the events' ids", async () => {
    const idsOf = async (id: string) =>
      (await plan(() => ({ directives: [transfer(1), transfer(2)] }), { id })).effects.flatMap((effect) =>
        effect.kind === "directive" ? [effect.admission.id] : [],
      );
    expect(await idsOf("a b")).toEqual([
      expect.stringMatching(/^shop:sha256-[0-9a-f]{32}:0$/),
      expect.stringMatching(/^shop:sha256-[0-9a-f]{32}:1$/),
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.oneof(fc.string({ minLength: 1 }), fc.string({ minLength: 100, maxLength: 256 }))),
        async (events) => {
          const ids = (await Promise.all(events.map(idsOf))).flat();
          expect(ids.every(isDirectiveId)).toBe(true);
          expect(new Set(ids).size).toBe(events.length * 2);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("a handler that never answers", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("fails its event, and the key goes on", async () => {
    const world = new World(({ id }) =>
      id === "e1" ? new Promise<never>(() => undefined) : { deliveries: ["receiver"] },
    );
    const inbox = world.inbox(undefined, "e1", "e2");
    const done = world.consume(doorbell());
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await done).toEqual(["ack"]);
    expect(inbox.states()).toEqual(["dead", "settled"]);
    expect(inbox.events[0]?.failure).toEqual({
      code: "handler_failed",
      message: "handle did not answer within 10 s",
    });
  });
});
