import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  eventReceiptSchema,
  eventReportSchema,
  eventsPageSchema,
  inboxesPageSchema,
  inboxReportSchema,
} from "../../domain/api-webhooks.ts";
import { inboxOfKey, parseInbox } from "../../domain/inbox-name.ts";
import { call, errorFields, FakeBindings, problemOf, registered } from "./producers-fixture.ts";
import { GITHUB, NOW_MS, signedPost } from "./webhooks-fixture.ts";

const SOURCE = GITHUB.name;
const path = (rest: string) => `/v1/webhooks/${SOURCE}/${rest}`;
const reason = { reason: " the receiver is repaired " };

/** Admits over HTTP, so that inboxes and index hold what a request puts there. */
async function admit(bindings: FakeBindings, id: string, key: string | null, atMs = NOW_MS): Promise<string> {
  vi.mocked(Date.now).mockReturnValue(atMs);
  const body = JSON.stringify({ id, ...(key === null ? {} : { customer: key }) });
  const { path: to, init } = signedPost(GITHUB, { body });
  const response = await call(bindings, "POST", to, { token: null, body, headers: init.headers });
  expect(response.status).toBe(202);
  bindings.inboxes.opened.length = 0;
  return eventReceiptSchema.parse(await response.json()).inbox;
}

/** Every page of a list of events, each at most `limit` long. */
async function pages(bindings: FakeBindings, query: string, limit: number): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const next: string = cursor === null ? "" : `&cursor=${cursor}`;
    const response = await call(bindings, "GET", path(`events?limit=${limit}${query}${next}`));
    expect(response.status).toBe(200);
    const page = eventsPageSchema.parse(await response.json());
    expect(page.events.length).toBeLessThanOrEqual(limit);
    ids.push(...page.events.map(({ id }) => id));
    expect(page.nextCursor).not.toBe(cursor ?? "");
    cursor = page.nextCursor;
  } while (cursor !== null);
  return ids;
}

beforeEach(() => {
  vi.spyOn(Date, "now").mockReturnValue(NOW_MS);
  registered.length = 0;
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the events of one inbox", () => {
  test("are told newest first, with ISO times, without their payloads", async () => {
    const bindings = new FakeBindings();
    await admit(bindings, "evt_0", "cus_1");
    await admit(bindings, "evt_1", "cus_1", NOW_MS + 1000);
    await admit(bindings, "other", "cus_2");
    const response = await call(bindings, "GET", path("events?key=cus_1"));
    const page: unknown = await response.json();
    expect(eventsPageSchema.parse(page)).toEqual(page);
    expect(page).toMatchObject({
      events: [
        {
          id: "evt_1",
          source: SOURCE,
          key: "cus_1",
          inbox: `webhook:${SOURCE}:cus_1`,
          sequence: 1,
          status: "dead",
          attempts: 3,
          generation: 1,
          failure: { code: "delivery_refused", at: "2021-02-25T15:02:12.000Z" },
          admittedAt: "2021-02-25T15:02:11.000Z",
        },
        { id: "evt_0", sequence: 0 },
      ],
      nextCursor: null,
    });
    expect(JSON.stringify(page)).not.toContain("customer");
  });

  test.each([1, 2, 3, 7, 100])("come whole in pages of %i", async (limit) => {
    const bindings = new FakeBindings();
    const ids = Array.from({ length: 7 }, (_, index) => `evt_${index}`);
    for (const id of ids) await admit(bindings, id, "cus_1");
    expect(await pages(bindings, "&key=cus_1", limit)).toEqual(ids.toReversed());
  });

  test("are those of the shard that is named", async () => {
    const bindings = new FakeBindings();
    const inbox = await admit(bindings, "evt_0", null);
    const shard = inbox.split("#")[1];
    expect(await pages(bindings, `&shard=${shard}`, 10)).toEqual(["evt_0"]);
  });

  test("are none where nothing was admitted", async () => {
    expect(await pages(new FakeBindings(), "&key=nobody", 10)).toEqual([]);
  });
});

describe("the events of a source", () => {
  test("come whole in pages, newest first, over all keys and shards and moments that are shared", async () => {
    const event = fc.record({ key: fc.constantFrom(null, "a", "b"), atMs: fc.integer({ min: 0, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 25 }),
        fc.integer({ min: 1, max: 9 }),
        async (events, limit) => {
          const bindings = new FakeBindings();
          for (const [index, { key, atMs }] of events.entries()) {
            await admit(bindings, `evt_${index}`, key, NOW_MS + atMs);
          }
          const expected = events
            .map(({ atMs }, index) => ({ id: `evt_${index}`, atMs }))
            .toSorted((left, right) => right.atMs - left.atMs || (left.id < right.id ? 1 : -1));
          expect(await pages(bindings, "", limit)).toEqual(expected.map(({ id }) => id));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("go on where all that is left is in one part of the index", async () => {
    const bindings = new FakeBindings();
    for (let index = 0; index < 40; index += 1) await admit(bindings, `evt_${index}`, null, NOW_MS + index);
    const [kept, ...others] = bindings.inboxes.index.keys();
    for (const name of others) bindings.inboxes.index.delete(name);
    const ids = bindings.inboxes.index.get(kept ?? "")?.map(({ id }) => id) ?? [];
    expect(ids.length).toBeGreaterThan(1);
    expect(await pages(bindings, "", ids.length - 1)).toEqual(ids.toReversed());
    expect(await pages(bindings, "", 1)).toEqual(ids.toReversed());
  });

  test("leave out what only the index heard of, and the pages go on", async () => {
    const bindings = new FakeBindings();
    for (let index = 0; index < 6; index += 1)
      await admit(bindings, `evt_${index}`, `cus_${index}`, NOW_MS + index);
    for (const lost of [5, 3, 2]) bindings.inboxes.events.delete(`webhook:${SOURCE}:cus_${lost}`);
    expect(await pages(bindings, "", 2)).toEqual(["evt_4", "evt_1", "evt_0"]);
  });

  test("are read from at most 50 inboxes at once", async () => {
    const bindings = new FakeBindings();
    for (let index = 0; index < 120; index += 1) await admit(bindings, `evt_${index}`, `cus_${index}`);
    expect(await pages(bindings, "", 100)).toHaveLength(120);
    expect(bindings.inboxes.mostAtOnce).toBe(50);
  });
});

describe("one event", () => {
  test("is told with its effects and its audit trail", async () => {
    const bindings = new FakeBindings();
    await admit(bindings, "evt_0", "cus_1");
    const report: unknown = await (await call(bindings, "GET", path("events/evt_0"))).json();
    expect(eventReportSchema.parse(report)).toEqual(report);
    expect(report).toMatchObject({
      id: "evt_0",
      inbox: `webhook:${SOURCE}:cus_1`,
      effects: [{ kind: "delivery", target: "receiver", account: null, state: "failed" }],
      audit: [{ at: "2021-02-25T15:02:10.000Z", what: "admitted", status: null, latencyMs: null }],
    });
  });

  test("is found by the index, by its key, by its shard, and by its id alone where it has no key", async () => {
    const bindings = new FakeBindings();
    await admit(bindings, "a/b?c#d%e", "cus_1");
    const shard = (await admit(bindings, "evt_2", null)).split("#")[1];
    const id = encodeURIComponent("a/b?c#d%e");
    const status = async (rest: string) => (await call(bindings, "GET", path(`events/${rest}`))).status;
    expect(await status(id)).toBe(200);
    bindings.inboxes.index.clear();
    expect(await status(id)).toBe(404);
    expect(await status(`${id}?key=cus_1`)).toBe(200);
    expect(await status(`${id}?key=cus_2`)).toBe(404);
    expect(await status("evt_2")).toBe(200);
    expect(await status(`evt_2?shard=${shard}`)).toBe(200);
    expect(await status(`evt_2?shard=${(Number(shard) + 1) % 16}`)).toBe(404);
  });
});

describe("an inbox", () => {
  test.each(["cus_1", "a/b?c#d=é %2F&x", "..", ".", "k".repeat(300)])(
    "is found by its key: %j",
    async (key) => {
      const bindings = new FakeBindings();
      const name = await admit(bindings, "evt_0", key);
      const query = new URLSearchParams({ key }).toString();
      const report: unknown = await (await call(bindings, "GET", path(`inbox?${query}`))).json();
      expect(inboxReportSchema.parse(report)).toEqual(report);
      expect(report).toMatchObject({
        inbox: name,
        source: SOURCE,
        status: "waiting",
        nextSequence: 1,
        events: [{ at: "2021-02-25T15:02:10.000Z", kind: "paused", detail: "ada: maintenance" }],
      });
      expect(bindings.inboxes.opened).toEqual([name]);
      expect(parseInbox(name)).toEqual(inboxOfKey(SOURCE, key));
    },
  );

  test.each([
    ["pause", "pause"],
    ["resume", "resume"],
    ["skip", "skipHead"],
  ])("takes %s with a reason, and learns who asked", async (command, kind) => {
    const bindings = new FakeBindings();
    for (const id of ["evt_0", "evt_1"]) await admit(bindings, id, "cus_1");
    const response = await call(bindings, "POST", path(`inbox/${command}?key=cus_1`), { body: reason });
    expect(response.status).toBe(200);
    expect(inboxReportSchema.parse(await response.json()).inbox).toBe(`webhook:${SOURCE}:cus_1`);
    const name = `webhook:${SOURCE}:cus_1`;
    expect(bindings.inboxes.commands).toEqual([
      { kind, name, reason: "the receiver is repaired", actor: "ada" },
    ]);
  });

  test("gives up the event that was meant, and no other", async () => {
    const bindings = new FakeBindings();
    for (const id of ["evt_0", "evt_1"]) await admit(bindings, id, "cus_1");
    const skip = (sequence: unknown) =>
      call(bindings, "POST", path("inbox/skip?key=cus_1"), { body: { ...reason, sequence } });
    const passed = await problemOf(await skip(7));
    expect(passed.status).toBe(409);
    expect(passed.detail).toContain("Event 7 is not the head: the others wait for event 0.");
    const wrong = await problemOf(await skip("7"));
    expect(wrong.errors?.map(({ field }) => field)).toEqual(["sequence"]);
    expect(bindings.inboxes.commands).toEqual([]);
    expect((await skip(0)).status).toBe(200);
    expect(bindings.inboxes.commands).toHaveLength(1);
  });

  test("with nothing to skip is 409", async () => {
    const bindings = new FakeBindings();
    await admit(bindings, "evt_0", "cus_1");
    const response = await call(bindings, "POST", path("inbox/skip?key=cus_1"), { body: reason });
    expect((await problemOf(response)).status).toBe(409);
    expect(bindings.inboxes.commands).toEqual([]);
  });

  test.each([{}, { reason: "" }, { reason: "x", force: true }])("takes no command for %j", async (body) => {
    const bindings = new FakeBindings();
    await admit(bindings, "evt_0", "cus_1");
    const response = await call(bindings, "POST", path("inbox/pause?key=cus_1"), { body });
    expect(response.status).toBe(400);
    expect(bindings.inboxes.commands).toEqual([]);
  });

  test.each([
    ["GET", "inbox", {}],
    ["POST", "inbox/pause", { body: reason }],
    ["POST", "inbox/resume", { body: reason }],
    ["POST", "inbox/skip", { body: reason }],
  ])(
    "to which nothing was ever admitted is 404 for %s %s, and is not told to do anything",
    async (method, to, options) => {
      const bindings = new FakeBindings();
      for (const query of ["key=nobody", "shard=0", "shard=255"]) {
        const response = await call(bindings, method, path(`${to}?${query}`), options);
        expect((await problemOf(response)).status).toBe(404);
      }
      expect(bindings.inboxes.commands).toEqual([]);
    },
  );

  test("is listed a page at a time, in the order of the names", async () => {
    const bindings = new FakeBindings();
    for (const key of ["c", "a", "b"]) await admit(bindings, `evt_${key}`, key);
    registered.push(
      ...["a", "b", "c"].map((key) => inboxOfKey(SOURCE, key).name),
      inboxOfKey("s0", "a").name,
    );
    const keys: (string | null)[] = [];
    let next: string | null = "";
    while (next !== null) {
      const query = new URLSearchParams({ limit: "2", after: next }).toString();
      const response = await call(bindings, "GET", path(`inboxes?${query}`));
      const page = inboxesPageSchema.parse(await response.json());
      keys.push(...page.inboxes.map(({ key }) => key));
      next = page.next;
    }
    expect(keys).toEqual(["a", "b", "c"]);
  });
});

test.each(["events", "events/evt_0", "inboxes", "inbox?key=a"])(
  "an unknown source is 404, and nothing is asked: %s",
  async (rest) => {
    for (const name of ["nobody", "S4", "__proto__"]) {
      const bindings = new FakeBindings();
      expect((await problemOf(await call(bindings, "GET", `/v1/webhooks/${name}/${rest}`))).status).toBe(404);
      expect(bindings.inboxes.opened).toEqual([]);
    }
  },
);

test("Lockstep's own source has inboxes as any other", async () => {
  const bindings = new FakeBindings();
  expect((await call(bindings, "GET", "/v1/webhooks/lockstep/events?key=a")).status).toBe(200);
});

describe("wrong parameters are 400, each named", () => {
  test.each([
    ["events?limit=0", ["limit"]],
    ["events?limit=101", ["limit"]],
    ["events?limit=1.5", ["limit"]],
    ["events?limit=x&verbose=1", ["limit", "verbose"]],
    ["events?key=", ["key"]],
    ["events?key=a&key=b", ["key"]],
    ["events?key=a&shard=1", ["shard"]],
    ["events?shard=-1", ["shard"]],
    ["events?shard=256", ["shard"]],
    ["events?cursor=", ["cursor"]],
    ["events?cursor=00.0000000000000000", ["cursor"]],
    ["events?__proto__=1", ["__proto__"]],
    ["events/evt_0?key=a&shard=1", ["shard"]],
    ["events/evt_0?limit=1", ["limit"]],
    ["inboxes?limit=0", ["limit"]],
    ["inboxes?key=a", ["key"]],
    ["inbox", ["key"]],
    ["inbox?key=a&shard=1", ["shard"]],
    ["inbox?source=a", ["key", "source"]],
  ])("%s", async (rest, fields) => {
    const bindings = new FakeBindings();
    const response = await call(bindings, "GET", path(rest));
    expect(response.status).toBe(400);
    expect((await errorFields(response)).toSorted()).toEqual(fields);
    expect(bindings.inboxes.opened).toEqual([]);
  });

  test("a cursor is good for its own list alone", async () => {
    const bindings = new FakeBindings();
    for (const id of ["evt_0", "evt_1"]) await admit(bindings, id, "cus_1");
    const cursorOf = async (query: string) => {
      const response = await call(bindings, "GET", path(`events?limit=1${query}`));
      return eventsPageSchema.parse(await response.json()).nextCursor ?? "none";
    };
    const [ofInbox, ofSource] = [await cursorOf("&key=cus_1"), await cursorOf("")];
    for (const [query, cursor] of [
      ["", ofInbox],
      ["&key=cus_2", ofInbox],
      ["&key=cus_1", ofSource],
      ["&key=cus_1", `${ofInbox.slice(0, -1)}${ofInbox.endsWith("0") ? "1" : "0"}`],
    ]) {
      const response = await call(bindings, "GET", path(`events?cursor=${cursor}${query}`));
      expect(await errorFields(response)).toEqual(["cursor"]);
    }
  });
});
