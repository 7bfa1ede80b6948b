import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { eventReceiptSchema } from "../../domain/api-webhooks.ts";
import { createApp } from "../../producers/http.ts";
import { config, digest, FakeBindings, NO_REGISTRY, problemOf } from "./producers-fixture.ts";
import { AT, ID } from "./signatures-fixture.ts";
import {
  eventIdOf,
  GITHUB,
  MAX_BODY_BYTES,
  NOW_MS,
  SIGNED_SOURCES,
  signedPost,
  STANDARD,
  STRIPE,
  TOLERANCE_SECONDS,
  type Post,
  type SignedSource,
} from "./webhooks-fixture.ts";

const app = createApp(config, NO_REGISTRY);

async function send(bindings: FakeBindings, path: string, init: RequestInit): Promise<Response> {
  return app.request(path, init, bindings.env);
}

const post = (bindings: FakeBindings, source: SignedSource, given?: Post) => {
  const { path, init } = signedPost(source, given);
  return send(bindings, path, init);
};

const receiptOf = async (response: Response) => {
  expect(response.status).toBe(202);
  return eventReceiptSchema.parse(await response.json());
};

/** The answer is a problem of the status, and no inbox, index or queue heard of the request. */
async function expectRefused(bindings: FakeBindings, response: Response, status: number): Promise<string> {
  const { detail } = await problemOf(response);
  expect(response.status).toBe(status);
  expect(bindings.inboxes.opened).toEqual([]);
  expect(bindings.inboxes.doorbells).toEqual([]);
  return detail;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const body = (fields: object = {}) => JSON.stringify({ id: "evt_1", customer: "cus_1", ...fields });

let logged: string[] = [];

beforeEach(() => {
  logged = [];
  vi.spyOn(Date, "now").mockReturnValue(NOW_MS);
  for (const level of ["warn", "error"] as const)
    vi.spyOn(console, level).mockImplementation((line: unknown) => void logged.push(String(line)));
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(SIGNED_SOURCES)("$scheme", (source) => {
  test("a genuine event is in the inbox of its key, and the consumer is rung", async () => {
    const bindings = new FakeBindings();
    const text = body();
    const receipt = await receiptOf(await post(bindings, source, { body: text }));
    const id = eventIdOf(source, "evt_1");
    const inbox = `webhook:${source.name}:cus_1`;
    expect(receipt).toEqual({ id, sequence: 0, duplicate: false, inbox });
    expect(bindings.inboxes.admitted).toEqual([
      {
        address: { source: source.name, key: "cus_1", name: inbox },
        event: { id, digest: digest(text), body: text, contentType: "application/json" },
      },
    ]);
    expect(bindings.inboxes.doorbells).toEqual([{ kind: "inbox-doorbell", inbox }]);
    expect([...bindings.inboxes.index.values()]).toEqual([[{ id, admittedAtMs: NOW_MS, inbox }]]);
    expect(logged).toEqual([]);
  });

  test("the same event again is a duplicate with the same sequence, and rings nobody", async () => {
    const bindings = new FakeBindings();
    const first = await receiptOf(await post(bindings, source, { body: body() }));
    const again = await receiptOf(await post(bindings, source, { body: body() }));
    expect(again).toEqual({ ...first, duplicate: true });
    expect(bindings.inboxes.doorbells).toHaveLength(1);
  });

  test("the secret of before a rotation is good while it is set, and not after", async () => {
    const old = { secret: source.old, body: body() };
    await receiptOf(await post(new FakeBindings(), source, old));
    for (const gone of [undefined, ""]) {
      const bindings = new FakeBindings();
      Object.assign(bindings.env, { [`${source.name}_OLD_SECRET`]: gone });
      await expectRefused(bindings, await post(bindings, source, old), 401);
      await receiptOf(await post(bindings, source, { body: body() }));
    }
  });

  test.each([
    ["forged with another secret", (): Post => ({ secret: "whsec_bm90IHRoZSBzZWNyZXQ=", body: body() }), {}],
    ["without its signature", (): Post => ({ body: body() }), { drop: source.header }],
    ["with a truncated signature", (): Post => ({ body: body() }), { cut: source.header }],
    ["with a truncated body", (): Post => ({ body: body() }), { body: body().slice(0, -1) }],
    ["with one byte more", (): Post => ({ body: body() }), { body: `${body()} ` }],
    ["with another customer", (): Post => ({ body: body() }), { body: body({ customer: "cus_2" }) }],
    ["emptied after it was signed", (): Post => ({ body: body() }), { body: "" }],
  ] as const)("an event %s is 401, and nothing of it is read", async (_, given, change) => {
    const bindings = new FakeBindings();
    const { path, init } = signedPost(source, given());
    const headers = new Headers(init.headers);
    if ("drop" in change) headers.delete(change.drop);
    if ("cut" in change) headers.set(change.cut, (headers.get(change.cut) ?? "").slice(0, -5));
    const parse = vi.spyOn(JSON, "parse");
    const response = await send(bindings, path, {
      ...init,
      headers,
      body: "body" in change ? change.body : init.body,
    });
    expect(parse).not.toHaveBeenCalled();
    await expectRefused(bindings, response, 401);
    const texts = logged.join("\n");
    for (const hidden of [source.secret, source.old, headers.get(source.header) ?? "none", "cus_"])
      expect(texts).not.toContain(hidden);
  });

  test.each([
    ["stale", AT - TOLERANCE_SECONDS - 1],
    ["from the future", AT + TOLERANCE_SECONDS + 1],
  ])("an event whose signature is %s is 401 where the scheme tells the time", async (word, at) => {
    const bindings = new FakeBindings();
    const response = await post(bindings, source, { at, body: body() });
    if (source.at === null) await receiptOf(response);
    else expect(await expectRefused(bindings, response, 401)).toContain(word);
  });

  test.each([-TOLERANCE_SECONDS, TOLERANCE_SECONDS])("%i s are within the tolerance", async (seconds) => {
    await receiptOf(await post(new FakeBindings(), source, { at: AT + seconds, body: body() }));
  });

  test.each<[string, string | Uint8Array]>([
    ["empty", ""],
    ["no JSON", "id=evt_1"],
    ["JSON that is cut off", body().slice(0, -1)],
    ["JSON with more behind it", `${body()}x`],
    ["JSON behind a byte order mark", `\uFEFF${body()}`],
    ["not UTF-8", Uint8Array.of(0x22, 0xe9, 0x22)],
    ["UTF-16", new Uint8Array(Buffer.from(body(), "utf16le"))],
  ])("a signed body that is %s is 400, and no inbox hears of it", async (_, wrong) => {
    const bindings = new FakeBindings();
    await expectRefused(bindings, await post(bindings, source, { body: wrong }), 400);
  });

  test("a signed body over the source's limit is 413, and one at it is taken", async () => {
    const at = body({ filler: "x".repeat(MAX_BODY_BYTES - body({ filler: "" }).length) });
    expect(at).toHaveLength(MAX_BODY_BYTES);
    await receiptOf(await post(new FakeBindings(), source, { body: at }));
    const bindings = new FakeBindings();
    await expectRefused(bindings, await post(bindings, source, { body: `${at} ` }), 413);
  });
});

describe("a body over the limit", () => {
  test.each([
    ["without content-length", {}],
    ["with a small one", { "content-length": "10" }],
    ["with one that is no number", { "content-length": "many" }],
  ])("is not read to its end, %s", async (_, headers) => {
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled += 1;
          controller.enqueue(new Uint8Array(1000));
        },
      },
      { highWaterMark: 0 },
    );
    const bindings = new FakeBindings();
    const init = { method: "POST", body: endless, duplex: "half", headers } as const;
    await expectRefused(bindings, await send(bindings, `/webhooks/${STRIPE.name}`, init), 413);
    expect(pulled).toBe(3);
  });

  test("is not read at all when its content-length says so", async () => {
    const { path, init } = signedPost(STRIPE, { headers: { "content-length": String(MAX_BODY_BYTES + 1) } });
    const bindings = new FakeBindings();
    await expectRefused(bindings, await send(bindings, path, init), 413);
  });
});

describe("a source that takes nothing", () => {
  test.each(["nobody", "lockstep", "S0", "__proto__", "s0%2Fx", "%zz"])("%s is 404", async (name) => {
    const bindings = new FakeBindings();
    const { init } = signedPost(STANDARD);
    await expectRefused(bindings, await send(bindings, `/webhooks/${name}`, init), 404);
  });

  test("is 503 while none of its secrets is set, and the log names the source alone", async () => {
    const bindings = new FakeBindings();
    const { init } = signedPost(GITHUB);
    await expectRefused(bindings, await send(bindings, "/webhooks/bare", init), 503);
    expect(logged).toEqual([
      JSON.stringify({
        at: "producers.webhooks",
        source: "bare",
        error: "there is no secret to verify with",
      }),
    ]);
  });

  test("is 503 while one of its secrets cannot be a key, and the log does not show it", async () => {
    const bindings = new FakeBindings();
    Object.assign(bindings.env, { [`${STANDARD.name}_OLD_SECRET`]: "whsec_not base64!" });
    await expectRefused(bindings, await post(bindings, STANDARD), 503);
    expect(logged.join("")).not.toContain("not base64!");
  });
});

describe("the event's id", () => {
  test.each([
    ["the header's that the signature vouches for", STANDARD, body(), ID],
    ["the body's", STRIPE, body({ id: "evt_é" }), null],
    ["the digest where the body has none", GITHUB, '{"customer":"cus_1"}', null],
    ["the digest where the body's is no text", GITHUB, body({ id: { a: 1 } }), null],
    ["the digest where the body is no object", GITHUB, "null", null],
    ["the body's number, in digits", STRIPE, body({ id: 42 }), "42"],
  ])("is %s", async (_, source, text, id) => {
    const receipt = await receiptOf(await post(new FakeBindings(), source, { body: text }));
    expect(receipt.id).toBe(id ?? digest(text));
  });
});

describe("an event's inbox", () => {
  test("is a shard by its id where it has no key, so that a redelivery finds it", async () => {
    const bindings = new FakeBindings();
    const shards = new Set<string>();
    for (let index = 0; index < 50; index += 1) {
      const text = JSON.stringify({ id: `evt_${index}` });
      const first = await receiptOf(await post(bindings, STRIPE, { body: text }));
      const again = await receiptOf(await post(bindings, STRIPE, { body: text }));
      expect(again).toEqual({ ...first, duplicate: true });
      shards.add(first.inbox);
    }
    expect(shards.size).toBeGreaterThan(10);
    expect([...shards].every((name) => /^webhook:s2#([0-9]|1[0-5])$/.test(name))).toBe(true);
  });

  test.each(["a:b#1", "x y\n", "ключ", "../..", "\u{1F511}"])("has the key in its name: %j", async (key) => {
    const receipt = await receiptOf(
      await post(new FakeBindings(), STRIPE, { body: body({ customer: key }) }),
    );
    expect(receipt.inbox).toBe(`webhook:s2:${key}`);
  });

  test("is 500 where the function for the key throws, so that the provider sends again", async () => {
    const bindings = new FakeBindings();
    const { init } = signedPost({ ...GITHUB, secret: STANDARD.secret });
    await expectRefused(bindings, await send(bindings, "/webhooks/throwing", init), 500);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain("no customer in …");
  });
});

describe("what is stored", () => {
  test("is the body exactly as it came, poison and depth included", async () => {
    for (const text of [
      ` {\n"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"id":"p"}\t`,
      `{"id":"deep","x":${"[".repeat(900)}${"]".repeat(900)}}`,
      `{"id":"twice","id":"twice2","n":1e400,"big":12345678901234567890,"s":"\\ud800"}`,
    ]) {
      const bindings = new FakeBindings();
      await receiptOf(await post(bindings, GITHUB, { body: text }));
      expect(bindings.inboxes.admitted[0]?.event.body).toBe(text);
    }
    expect("polluted" in {}).toBe(false);
  });

  test.each([
    ["text/json; charset=utf-8", "text/json; charset=utf-8"],
    ["", "application/json"],
    [`a/${"b".repeat(300)}`, "application/json"],
    ["a/\u00e9", "application/json"],
  ])("has the content type %j as %j", async (given, stored) => {
    const bindings = new FakeBindings();
    await receiptOf(await post(bindings, GITHUB, { headers: { "content-type": given } }));
    expect(bindings.inboxes.admitted[0]?.event.contentType).toBe(stored);
  });
});

describe("a part that fails", () => {
  test("the inbox: 503 with a time to come back, and nobody is rung", async () => {
    const bindings = new FakeBindings();
    bindings.inboxes.failing.add("inbox");
    const response = await post(bindings, STRIPE);
    expect(response.headers.get("retry-after")).toBe("1");
    expect((await problemOf(response)).status).toBe(503);
    expect(bindings.inboxes.doorbells).toEqual([]);
  });

  test.each([
    ["index", 2],
    ["queue", 1],
  ] as const)("the %s: the event is admitted, and the log tells", async (part, lines) => {
    const bindings = new FakeBindings();
    bindings.inboxes.failing.add(part);
    await receiptOf(await post(bindings, STRIPE, { body: body() }));
    expect(bindings.inboxes.admitted).toHaveLength(1);
    expect(logged).toHaveLength(lines);
    expect(logged[0]).toContain(`${part} unavailable`);
    expect(logged.join("\n")).not.toContain("evt_1");
  });
});

test("shuffled and doubled, the events of a key are admitted once each, in the order of their first coming", async () => {
  const event = fc.record({ id: fc.integer({ min: 0, max: 15 }), customer: fc.integer({ min: 0, max: 2 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 30 }), async (sent) => {
      const bindings = new FakeBindings();
      const expected = new Map<string, string[]>();
      for (const { id, customer } of sent) {
        const key = `cus_${customer}`;
        const text = JSON.stringify({ id: `evt_${id}_${customer}`, customer: key });
        const { sequence } = await receiptOf(await post(bindings, STRIPE, { body: text }));
        const order = expected.get(key) ?? [];
        if (!order.includes(`evt_${id}_${customer}`)) order.push(`evt_${id}_${customer}`);
        expected.set(key, order);
        expect(sequence).toBe(order.indexOf(`evt_${id}_${customer}`));
      }
      const admitted = new Map<string, string[]>();
      for (const [name, events] of bindings.inboxes.events)
        admitted.set(
          name,
          events.map((one) => one.id),
        );
      expect(admitted).toEqual(new Map(Array.from(expected, ([key, ids]) => [`webhook:s2:${key}`, ids])));
    }),
    { numRuns: 50 },
  );
});

test("whatever is sent without a secret, the answer is 4xx and no inbox hears of it", async () => {
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "x-signature"];
  const value = fc.oneof(
    fc.constant(String(AT)),
    fc.constant(`t=${AT},v1=${"0".repeat(64)}`),
    fc.constant(`v1,${Buffer.alloc(32).toString("base64")}`),
    fc.string({ unit: fc.constantFrom("v", "1", "t", "=", ",", ".", " ", "a", "0", "/", "+") }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...SIGNED_SOURCES),
      fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] }),
      fc.oneof(fc.uint8Array({ maxLength: 2100 }), fc.json().map(bytes)),
      async ({ name }, headers, content) => {
        const bindings = new FakeBindings();
        const init = { method: "POST", headers: { ...headers }, body: new Uint8Array(content) };
        const response = await send(bindings, `/webhooks/${name}`, init);
        expect([401, 413]).toContain(response.status);
        expect(bindings.inboxes.opened).toEqual([]);
      },
    ),
    { numRuns: 500 },
  );
});
