import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { inboxOfKey } from "../../domain/inbox-name.ts";
import type { IndexProtocol } from "../../domain/webhook-event.ts";
import type { WebhookIndex } from "../../durable-objects/webhook-index.ts";

const stub = (): DurableObjectStub<WebhookIndex> & IndexProtocol => env.WEBHOOK_INDEX.getByName("plain#0");
const inbox = (key: string) => inboxOfKey("plain", key).name;
const DAY_MS = 24 * 3600 * 1000;

test("an event is found by its id, after a restart too, and what was never noted is not", async () => {
  const entry = { id: "a", inbox: inbox("one"), admittedAtMs: Date.now() };
  await stub().note(entry);
  await stub().note({ ...entry, admittedAtMs: entry.admittedAtMs + 5 });
  await evictDurableObject(stub());
  expect(await stub().find("a")).toEqual(entry);
  expect(await stub().find("b")).toBeUndefined();
});

test("an id that came to another inbox later is found there", async () => {
  const atMs = Date.now();
  await stub().note({ id: "a", inbox: inbox("one"), admittedAtMs: atMs });
  await stub().note({ id: "a", inbox: inbox("two"), admittedAtMs: atMs + 1 });
  await stub().note({ id: "a", inbox: inbox("one"), admittedAtMs: atMs });
  expect(await stub().find("a")).toEqual({ id: "a", inbox: inbox("two"), admittedAtMs: atMs + 1 });
});

test("the latest come newest first, in pages that miss and double none, with equal times too", async () => {
  const atMs = Date.now();
  const ids = ["a", "b", "c", "d", "e"];
  for (const [index, id] of ids.entries())
    await stub().note({ id, inbox: inbox("one"), admittedAtMs: atMs + Math.floor(index / 2) });
  const seen: string[] = [];
  for (let page = await stub().latest(null, 2); page.length > 0;) {
    seen.push(...page.map(({ id }) => id));
    page = await stub().latest(page.at(-1) ?? null, 2);
  }
  expect(seen).toEqual(ids.toReversed());
});

test("entries are forgotten after thirty days, a thousand at a ring", async () => {
  const nowMs = Date.now();
  await stub().note({ id: "fresh", inbox: inbox("one"), admittedAtMs: nowMs });
  await runInDurableObject(stub(), (_, { storage }) => {
    for (let index = 0; index < 1500; index += 1)
      storage.sql.exec(
        "INSERT INTO entries (id, admitted_ms, inbox) VALUES (?, ?, ?)",
        `old-${index}`,
        nowMs - 31 * DAY_MS,
        inbox("one"),
      );
  });
  const left = () =>
    runInDurableObject(stub(), (_, { storage }) =>
      storage.sql.exec("SELECT count(*) AS n FROM entries").one(),
    );
  await runDurableObjectAlarm(stub());
  expect(await left()).toEqual({ n: 501 });
  await runDurableObjectAlarm(stub());
  expect(await left()).toEqual({ n: 1 });
  expect(await stub().find("fresh")).toBeDefined();
  const alarmMs = await runInDurableObject(stub(), (_, { storage }) => storage.getAlarm());
  expect(alarmMs).toBe(nowMs + 30 * DAY_MS);
});
