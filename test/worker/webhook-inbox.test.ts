import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import { inboxOfKey, inboxOfShard } from "../../domain/inbox-name.ts";
import { decodeMessage, type Message } from "../../domain/message.ts";
import type { EffectResult, InboxProtocol, InboxTakeAnswer, InboxWork } from "../../domain/webhook-event.ts";
import { WebhookInbox } from "../../durable-objects/webhook-inbox.ts";

const address = inboxOfKey("plain", "customer-1");
/** As those see it who call it. */
const stub = (): DurableObjectStub<WebhookInbox> & InboxProtocol => env.WEBHOOK_INBOX.getByName(address.name);
const event = (id: string) => ({
  id,
  digest: `digest-${id}`,
  body: `{"id":"${id}"}`,
  contentType: "application/json",
});
const deliver = { kind: "delivery", destination: "receiver" } as const;
const done: EffectResult = { kind: "done", index: 0, status: 200, latencyMs: 12 };
const refused: EffectResult = {
  kind: "permanent",
  index: 0,
  failure: { code: "forbidden", message: "403" },
  status: 403,
  latencyMs: 3,
};

function work(answer: InboxTakeAnswer): InboxWork {
  if (answer.kind !== "work") throw new Error(answer.kind);
  return answer;
}

/** Takes what is due and gives each event of it this result. */
async function settleAll(result: EffectResult) {
  const { token, events } = work(await stub().take("test"));
  await stub().plan(
    token,
    events.map(({ sequence }) => ({ sequence, effects: [deliver], failure: null })),
  );
  return stub().settle({
    token,
    results: events.map(({ sequence }) => ({ sequence, effects: [result] })),
    renew: false,
  });
}

/** Runs the alarm at a time, with queues that only record. */
async function ringAt(
  nowMs: number,
): Promise<{ doorbells: Message[]; letters: Message[]; batches: number[] }> {
  return runInDurableObject(stub(), async (_, state) => {
    const sent: { doorbells: Message[]; letters: Message[]; batches: number[] } = {
      doorbells: [],
      letters: [],
      batches: [],
    };
    const read = (body: unknown): Message => {
      const message = decodeMessage(body);
      if (!message.ok) throw new Error(message.error.message);
      return message.value;
    };
    const metadata = { metrics: { backlogCount: 0, backlogBytes: 0 } };
    const queues = {
      WEBHOOK_EVENTS: {
        send: async (body: unknown) => {
          sent.doorbells.push(read(body));
          return { metadata };
        },
      },
      WEBHOOK_EVENTS_DLQ: {
        sendBatch: async (messages: Iterable<{ body: unknown }>) => {
          const letters = [...messages].map(({ body }) => read(body));
          sent.batches.push(letters.length);
          sent.letters.push(...letters);
          return { metadata };
        },
      },
    };
    const { now } = Date;
    Date.now = () => nowMs;
    try {
      await new WebhookInbox(state, queues).alarm();
    } finally {
      Date.now = now;
    }
    return sent;
  });
}

test("an event is admitted once, keeps its sequence over a restart, and its redelivery is a duplicate", async () => {
  expect(await stub().admit(address, event("a"))).toEqual({ kind: "admitted", id: "a", sequence: 0 });
  expect(await stub().admit(address, event("b"))).toEqual({ kind: "admitted", id: "b", sequence: 1 });
  await evictDurableObject(stub());
  expect(await stub().admit(address, event("a"))).toEqual({ kind: "duplicate", id: "a", sequence: 0 });
  expect(await stub().admit(address, event("c"))).toEqual({ kind: "admitted", id: "c", sequence: 2 });
  expect(await stub().status()).toMatchObject({
    status: "live",
    nextSequence: 3,
    head: 0,
    counts: { admitted: 3, settled: 0, dead: 0, inFlight: 3 },
  });
});

test("a redelivery with another body changes nothing, and the log tells it once of each event", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  for (const id of ["a", "b"]) await stub().admit(address, event(id));
  const other = { ...event("a"), digest: "another", body: '{"id":"a","pending_webhooks":2}' };
  for (let times = 0; times < 3; times += 1) {
    expect(await stub().admit(address, other)).toEqual({ kind: "duplicate", id: "a", sequence: 0 });
    expect(await stub().admit(address, event("b"))).toEqual({ kind: "duplicate", id: "b", sequence: 1 });
    await evictDurableObject(stub());
  }
  expect((await stub().status()).events).toMatchObject([
    { kind: "altered", detail: "event a came again with another body: the first stands" },
  ]);
  expect(warned.mock.calls).toEqual([
    [JSON.stringify({ at: "webhook-inbox.altered", inbox: address.name, event: "a" })],
  ]);
  expect(work(await stub().take("one")).events.map(({ body }) => body)).toEqual(['{"id":"a"}', '{"id":"b"}']);
});

test("a lease, a plan and a settlement outlive a restart, and only the live token settles", async () => {
  await stub().admit(address, event("a"));
  const first = work(await stub().take("one"));
  expect(first).toMatchObject({
    address,
    events: [{ id: "a", body: '{"id":"a"}', attempt: 1, effects: null }],
  });
  expect(await stub().plan(first.token, [{ sequence: 0, effects: [deliver], failure: null }])).toEqual({
    kind: "planned",
  });
  await evictDurableObject(stub());
  expect((await stub().take("two")).kind).toBe("occupied");
  const settlement = { results: [{ sequence: 0, effects: [done] }], renew: true };
  expect(await stub().settle({ token: first.token - 1, ...settlement })).toEqual({ kind: "stale" });
  expect(await stub().settle({ token: first.token, ...settlement })).toEqual({
    kind: "settled",
    next: { kind: "empty" },
  });
  await evictDurableObject(stub());
  expect(await stub().event("a")).toMatchObject({
    status: "settled",
    attempts: 1,
    effects: [{ kind: "delivery", target: "receiver", state: "done" }],
    audit: [
      { what: "admitted" },
      { what: "planned" },
      { what: "receiver done", status: 200, latencyMs: 12 },
      { what: "settled" },
    ],
  });
  expect((await stub().status()).attempts).toEqual({ done: 1 });
});

test("events are listed newest first, below a sequence", async () => {
  for (const id of ["a", "b", "c"]) await stub().admit(address, event(id));
  expect((await stub().events(null, 2)).map(({ id }) => id)).toEqual(["c", "b"]);
  expect((await stub().events(1, 2)).map(({ id }) => id)).toEqual(["a"]);
});

test("the alarm rings when nobody came, ever more slowly, and after the end of a lease", async () => {
  await stub().admit(address, event("a"));
  const alarmMs = () => runInDurableObject(stub(), (_, { storage }) => storage.getAlarm());
  const setMs = (await alarmMs()) ?? 0;
  const view = await stub().event("a");
  expect(setMs).toBe((view?.admittedAtMs ?? 0) + 3000);
  const doorbell = { kind: "inbox-doorbell", inbox: address.name };
  expect(await ringAt(setMs - 1)).toMatchObject({ doorbells: [] });
  expect(await ringAt(setMs)).toMatchObject({ doorbells: [doorbell], letters: [] });
  expect(await ringAt(setMs + 1)).toMatchObject({ doorbells: [] });
  expect(await ringAt(setMs + 3000)).toMatchObject({ doorbells: [doorbell] });
  expect(await ringAt(setMs + 6000)).toMatchObject({ doorbells: [] });
  await evictDurableObject(stub());
  const { leaseMs } = work(await stub().take("one"));
  expect(await ringAt(Date.now() + leaseMs + 3_600_000)).toMatchObject({ doorbells: [] });
  // It was alone under a lease that ended by itself: one failed attempt.
  expect(await stub().event("a")).toMatchObject({ attempts: 1, failure: { code: "lease_lost" } });
  expect(await ringAt(Date.now() + leaseMs + 7_200_000)).toMatchObject({ doorbells: [doorbell] });
});

test("an alarm of the platform before anything is due changes nothing", async () => {
  await stub().admit(address, event("a"));
  const before = await stub().status();
  expect(await runDurableObjectAlarm(stub())).toBe(true);
  expect(await stub().status()).toEqual(before);
  expect(work(await stub().take("one")).events).toHaveLength(1);
});

test("an owed letter is sent in batches, sent again until it is recorded, and tells all", async () => {
  for (let index = 0; index < 120; index += 1) await stub().admit(address, event(`e${index}`));
  for (let flight = 0; flight < 3; flight += 1) await settleAll(refused);
  expect(await stub().status()).toMatchObject({
    counts: { admitted: 120, settled: 0, dead: 120, inFlight: 0 },
    lettersOwed: 120,
    attempts: { "permanent:forbidden": 120 },
  });
  const nowMs = Date.now() + 1;
  const first = await ringAt(nowMs);
  expect(first.batches).toEqual([100, 20]);
  const key = { id: "e0", digest: "digest-e0", generation: 0 };
  expect(first.letters).toContainEqual({
    kind: "rejection",
    origin: "inbox",
    inbox: address.name,
    ...key,
  });
  expect((await ringAt(nowMs + 29_000)).letters).toEqual([]);
  await evictDurableObject(stub());
  expect(await stub().letter(key)).toMatchObject({
    ...key,
    address,
    sequence: 0,
    body: '{"id":"e0"}',
    failure: { code: "forbidden" },
    attempts: 1,
  });
  await stub().letterRecorded([key, { ...key, id: "unknown" }, { ...key, id: "e1" }]);
  expect(await stub().letter(key)).toBeUndefined();
  expect((await ringAt(nowMs + 30_000)).letters).toHaveLength(119);
});

test("a dead event is readmitted once, comes late, and settles", async () => {
  await stub().admit(address, event("a"));
  await settleAll(refused);
  const key = { id: "a", digest: "digest-a", generation: 0 };
  expect(await stub().readmit({ ...key, digest: "other" })).toEqual({ kind: "unknown" });
  expect(await stub().readmit(key)).toEqual({ kind: "readmitted", generation: 1 });
  expect(await stub().readmit(key)).toEqual({ kind: "moved-on", status: "queued", generation: 1 });
  const { token, events } = work(await stub().take("one"));
  expect(events).toMatchObject([
    { sequence: 0, generation: 1, attempt: 2, effects: [{ effect: deliver, state: "pending" }] },
  ]);
  await stub().settle({ token, results: [{ sequence: 0, effects: [done] }], renew: false });
  expect(await stub().readmit({ ...key, generation: 1 })).toEqual({ kind: "already-landed" });
  expect(await stub().status()).toMatchObject({
    counts: { admitted: 1, settled: 1, dead: 0, inFlight: 0 },
    lettersOwed: 0,
  });
});

test("an operator pauses, resumes and skips, with reason and name in the log", async () => {
  for (const id of ["a", "b"]) await stub().admit(address, event(id));
  const { token } = work(await stub().take("one"));
  expect(await stub().pause("maintenance", "ada")).toMatchObject({
    status: "paused",
    reason: "ada: maintenance",
  });
  await stub().plan(token, [{ sequence: 0, effects: [deliver], failure: null }]);
  expect(await stub().skipHead("poison", "ada", 1)).toEqual({ kind: "not-head", head: 0 });
  expect(await stub().skipHead("poison", "ada", 0)).toMatchObject({
    kind: "skipped",
    status: { head: 1, counts: { dead: 1 } },
  });
  expect(await stub().settle({ token, results: [{ sequence: 0, effects: [done] }], renew: true })).toEqual({
    kind: "settled",
    next: { kind: "paused", reason: "maintenance" },
  });
  const status = await stub().resume("done", "ada");
  expect(status.events.map(({ kind, detail }) => ({ kind, detail }))).toEqual([
    { kind: "resumed", detail: "ada: done" },
    { kind: "skipped", detail: "event a, ada: poison" },
    { kind: "paused", detail: "ada: maintenance" },
  ]);
  expect(await stub().event("a")).toMatchObject({ status: "dead", failure: { code: "skipped" } });
  expect(work(await stub().take("two")).events.map(({ id }) => id)).toEqual(["b"]);
});

test("an inbox that nothing was admitted to answers, and stores nothing", async () => {
  expect(await stub().take("one")).toEqual({ kind: "empty" });
  expect(await stub().settle({ token: 1, results: [], renew: true })).toEqual({ kind: "stale" });
  expect(await stub().readmit({ id: "a", digest: "d", generation: 0 })).toEqual({ kind: "unknown" });
  expect(await stub().pause("why", "ada")).toMatchObject({ status: "live", nextSequence: 0 });
  await runInDurableObject(stub(), async (_, { storage }) => {
    const tables = storage.sql.exec(
      "SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'",
    );
    expect(tables.toArray()).toEqual([]);
    expect(await storage.getAlarm()).toBeNull();
  });
});

test("an inbox refuses what belongs to another one", async () => {
  const other = inboxOfShard("plain", "a", 4);
  await runInDurableObject(stub(), (inbox) => {
    if (!(inbox instanceof WebhookInbox)) throw new Error("no inbox");
    expect(() => inbox.admit(other, event("a"))).toThrow("another inbox's");
  });
  expect((await stub().status()).nextSequence).toBe(0);
});

test("a flight of large bodies ends before its answer is too large, and the rest follows", async () => {
  const body = "x".repeat(120_000);
  for (let index = 0; index < 8; index += 1) await stub().admit(address, { ...event(`e${index}`), body });
  const first = work(await stub().take("one"));
  expect(first.events.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
  await stub().plan(
    first.token,
    first.events.map(({ sequence }) => ({ sequence, effects: [deliver], failure: null })),
  );
  const settled = await stub().settle({
    token: first.token,
    results: first.events.map(({ sequence }) => ({ sequence, effects: [done] })),
    renew: true,
  });
  if (settled.kind !== "settled") throw new Error(settled.kind);
  expect(work(settled.next).events.map(({ sequence }) => sequence)).toEqual([4, 5, 6, 7]);
});

test("large plans of one flight are stored whole", async () => {
  for (let index = 0; index < 10; index += 1) await stub().admit(address, event(`e${index}`));
  const { token, events } = work(await stub().take("one"));
  const destination = "d".repeat(300_000);
  await stub().plan(
    token,
    events.map(({ sequence }) => ({ sequence, effects: [{ kind: "delivery", destination }], failure: null })),
  );
  await evictDurableObject(stub());
  const views = await stub().events(null, 10);
  expect(views.map(({ effects }) => effects[0]?.target.length)).toEqual(Array(10).fill(300_000));
});

test("a handler that asks for too much makes a dead letter", async () => {
  await stub().admit(address, event("a"));
  const { token } = work(await stub().take("one"));
  const effects = [{ kind: "delivery", destination: "d".repeat(1_100_000) } as const];
  await stub().plan(token, [{ sequence: 0, effects, failure: null }]);
  expect(await stub().event("a")).toMatchObject({ status: "dead", failure: { code: "handler_failed" } });
});

test("a source that is no longer configured keeps its events, with the usual policy", async () => {
  const gone = inboxOfKey("gone", "key");
  const inbox = env.WEBHOOK_INBOX.getByName(gone.name);
  await inbox.admit(gone, event("a"));
  expect(work(await inbox.take("one"))).toMatchObject({ address: gone, leaseMs: 60_000 });
});
