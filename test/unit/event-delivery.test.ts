import { beforeEach, describe, expect, test, vi } from "vitest";
import { configuredDelivery } from "../../consumers/broadcasters/configured-destination.ts";
import { consumeWebhookEvents } from "../../consumers/webhook-events.ts";
import { CUSTOMER, doorbell, transfer, World } from "./webhook-events-fixture.ts";

const URL_VALUE = "https://receiver.example.com/hooks/t0ken-in-the-path?key=query-cr3dential";
const SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy1hbmQtbG9uZw==";

let lines: string[];

beforeEach(() => {
  lines = [];
  const keep = (line: unknown) => void lines.push(String(line));
  vi.spyOn(console, "warn").mockImplementation(keep);
  vi.spyOn(console, "error").mockImplementation(keep);
});

/** Consumes one doorbell with the real broadcaster over another `fetch`. */
async function consume(world: World, env: object, send: typeof fetch): Promise<string[]> {
  const bell = doorbell();
  const deliver = configuredDelivery(env, { now: () => world.nowMs, fetch: send });
  await consumeWebhookEvents({ messages: [bell] }, world.env(), world.context(deliver));
  return bell.ends;
}

const answering =
  (status: number, body = "", headers: Record<string, string> = {}): typeof fetch =>
  () =>
    Promise.resolve(new Response(body, { status, headers }));

describe("a destination", () => {
  test.each([
    ["URL", { SECRET }, "the variable URL is not set"],
    ["signing secret", { URL: URL_VALUE }, "the destination has no signing secret"],
  ])("whose %s is not set keeps its events until it is", async (_, env, text) => {
    const world = new World();
    const inbox = world.inbox(CUSTOMER, "e1");
    const send = vi.fn<typeof fetch>();
    expect(await consume(world, env, send)).toEqual(["retry 10"]);
    expect(send).not.toHaveBeenCalled();
    expect(inbox.events[0]).toMatchObject({
      state: "queued",
      failure: { code: "signer_unavailable", message: text },
    });
    world.nowMs += 10_000;
    expect(await consume(world, { URL: URL_VALUE, SECRET }, answering(202))).toEqual(["ack"]);
    expect(inbox.states()).toEqual(["settled"]);
  });

  test("that is no longer configured fails its events for good", async () => {
    const world = new World();
    const inbox = world.inbox(CUSTOMER, "e1");
    Object.assign(inbox.events[0]!, {
      effects: [{ effect: { kind: "delivery", destination: "left" }, state: "pending" }],
    });
    await consume(world, {}, answering(200));
    expect(inbox.events[0]).toMatchObject({ state: "dead", failure: { code: "handler_failed" } });
  });

  test("sets the delay of the next attempt with Retry-After", async () => {
    const world = new World();
    world.inbox(CUSTOMER, "e1");
    const ends = await consume(
      world,
      { URL: URL_VALUE, SECRET },
      answering(503, "", { "retry-after": "77" }),
    );
    expect(ends).toEqual(["retry 77"]);
  });

  test("that throws what is no answer is tried again", async () => {
    const world = new World();
    const inbox = world.inbox(CUSTOMER, "e1");
    world.answer = () => {
      throw new Error(`cannot reach ${URL_VALUE}`);
    };
    expect(await world.consume(doorbell())).toEqual(["retry 10"]);
    expect(inbox.events[0]?.failure?.code).toBe("network_error");
    expect(lines.join("\n")).not.toContain("receiver.example.com");
  });
});

test("each failed attempt is one wide line, without body, URL or secret", async () => {
  const world = new World(({ id }) => {
    if (id === "e3") throw new Error("body of the event");
    return { directives: [transfer(1)], deliveries: ["receiver"] };
  });
  world.inbox(CUSTOMER, "e1", "e2", "e3");
  const echo = `you sent body of the event to ${URL_VALUE} signed with ${SECRET}`;
  const answers = [answering(403, echo), answering(200), answering(500)];
  const send: typeof fetch = (input, init) => (answers.shift() ?? answering(500))(input, init);
  await consume(world, { URL: URL_VALUE, SECRET }, send);
  const attempts = lines.map((line) => JSON.parse(line) as unknown);
  expect(attempts).toEqual([
    {
      at: "consumers.webhook-events.attempt",
      inbox: CUSTOMER.name,
      id: "e3",
      sequence: 2,
      attempt: 1,
      generation: 0,
      code: "handler_failed",
      end: "permanent",
      effect: "handle",
      target: null,
      status: null,
      latencyMs: null,
    },
    {
      at: "consumers.webhook-events.attempt",
      inbox: CUSTOMER.name,
      id: "e1",
      sequence: 0,
      attempt: 1,
      generation: 0,
      code: "forbidden",
      end: "permanent",
      effect: "delivery",
      target: "receiver",
      status: 403,
      latencyMs: 0,
    },
  ]);
  const said = lines.join("\n");
  for (const secret of ["body of the event", "receiver.example.com", "t0ken", "cr3dential", "c2VjcmV0"])
    expect(said).not.toContain(secret);
});

test("an event of a source that is no longer configured waits, and its doorbell is acknowledged with one line", async () => {
  const world = new World();
  const inbox = world.inbox(CUSTOMER, "e1");
  world.config = { ...world.config, sources: new Map() };
  expect(await world.consume(doorbell(), doorbell())).toEqual(["ack", "ack"]);
  expect(inbox.states()).toEqual(["queued"]);
  expect(world.steps).toEqual([]);
  expect(lines).toHaveLength(1);
});

test("a directive whose account lost its signer since it was planned becomes a letter, and no lane is asked", async () => {
  const world = new World();
  const inbox = world.inbox(CUSTOMER, "e1");
  const account = `eip155:31337:0x${"2".repeat(40)}`;
  const admission = { id: "shop:e1:0", digest: "d", payload: "{}", expiresAtMs: null };
  Object.assign(inbox.events[0]!, {
    effects: [{ effect: { kind: "directive", account, admission }, state: "pending" }],
  });
  await world.consume(doorbell());
  expect(inbox.events[0]).toMatchObject({ state: "dead", failure: { code: "no_signer" } });
  expect(world.admissionCalls).toEqual([]);
});
