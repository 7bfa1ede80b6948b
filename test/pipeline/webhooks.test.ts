import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { waitUntil } from "../../ops/wait-until.ts";
import { postSigned, PROVIDERS, signed, type SignedRequest } from "../../ops/webhook-providers.ts";
import {
  allEvents,
  atOnce,
  disorderOf,
  eventOf,
  eventsOf,
  handled,
  handledOf,
  send,
  shuffled,
  type Receipt,
  type TestEvent,
} from "./events.ts";
import { ACCOUNTS, recipient, startLockstep, type Lockstep } from "./lockstep.ts";

let lockstep: Lockstep;

beforeAll(async () => {
  lockstep = await startLockstep();
});
afterAll(() => lockstep.close());
beforeEach(() => lockstep.receiver.behave(() => 204));

/** The delays of a key's failed attempts come one after another, and on a busy machine each is late. */
const WITHIN_MS = 240_000;

/** A third of all attempts fails, by a die of its own for each: but no more than two of one event. */
function fails(body: string, attempt: number): boolean {
  const die = createHash("sha256").update(`${body} ${attempt}`).digest().readUInt32BE() / 2 ** 32;
  return attempt <= 2 && die < 1 / 3;
}

test(
  "2,000 events of 50 keys, shuffled and redelivered, a third of the attempts failing, are handled in admission order, once, and as one directive each",
  async () => {
    const wei = "1500";
    const keys = Array.from({ length: 50 }, (_, index) => `many-${index}`);
    const events = keys.flatMap((key, place) =>
      Array.from({ length: 40 }, (_, index): TestEvent => {
        const id = `${key}-${index}`;
        if (place % 5 > 0)
          return eventOf(PROVIDERS[place % 4] ?? "plain", { id, key, type: "order.updated" });
        const metadata = { lockstep_to: recipient(4, place * 100 + index), lockstep_wei: wei };
        return eventOf("polar", { id, key, type: "order.paid", metadata });
      }),
    );
    const paid = events.filter(({ type }) => type === "order.paid");
    const { receiver, chain, operator } = lockstep;
    receiver.behave(({ body, attempt }) => {
      if (!fails(body, attempt)) return 204;
      return attempt === 1 ? 503 : "hang-up";
    });
    const twice = events.filter((_, index) => index % 3 === 0);
    const receipts = new Map<string, Receipt[]>();
    await atOnce(40, shuffled([...events, ...twice, ...twice.slice(0, 100)], 7), async (event) => {
      const receipt = await send(lockstep, event);
      receipts.set(event.body, [...(receipts.get(event.body) ?? []), receipt]);
    });
    await handled(lockstep, events, WITHIN_MS);

    // Of an event that was sent several times, one answer says that it is new, and all name one place.
    const said = events.map(({ body }) => receipts.get(body) ?? []);
    expect(said.filter((group) => group.filter(({ duplicate }) => !duplicate).length !== 1)).toEqual([]);
    expect(said.filter((group) => new Set(group.map(({ sequence }) => sequence)).size !== 1)).toEqual([]);
    expect(
      keys.flatMap((key) =>
        disorderOf(
          lockstep,
          key,
          events.filter((event) => event.key === key),
        ),
      ),
    ).toEqual([]);
    const failed = receiver.arrivals.filter(({ reply }) => reply !== 204).length;
    expect(failed / receiver.arrivals.length).toBeGreaterThan(0.2);

    const lane = await lockstep.settled(ACCOUNTS[0]?.account ?? "", paid.length);
    expect(lane.counts).toEqual({ admitted: paid.length, settled: paid.length, dead: 0, inFlight: 0 });
    const balances = await Promise.all(
      paid.map(({ metadata }) =>
        chain.getBalance({ address: `0x${(metadata?.["lockstep_to"] ?? "0x").slice(2)}` }),
      ),
    );
    expect(new Set(balances.map(String))).toEqual(new Set([wei]));
    expect((await operator.depth()).letters.open).toBe(0);
  },
  WITHIN_MS + 60_000,
);

test("a thousand events behind a failing head burn no attempt and reach nobody, while another key flows", async () => {
  const { receiver, operator } = lockstep;
  const [head, ...followers] = eventsOf("plain", "jammed", 1001);
  if (head === undefined) throw new Error("no head");
  const others = eventsOf("plain", "free", 100);
  receiver.behave(({ key }) => (key === "jammed" ? 503 : 204));
  await send(lockstep, head);
  await atOnce(20, followers, async (event) => void (await send(lockstep, event)));
  await atOnce(5, others, async (event) => void (await send(lockstep, event)));
  await handled(lockstep, others);
  const attempts = () => receiver.arrivals.filter(({ key }) => key === "jammed");
  await waitUntil(() => (attempts().length >= 3 ? true : undefined), {
    what: "three attempts of the head",
    withinMs: 60_000,
  });

  expect(new Set(attempts().map(({ body }) => body))).toEqual(new Set([head.body]));
  const waiting = await allEvents(lockstep, "plain", "jammed");
  expect(waiting).toHaveLength(1001);
  const tried = waiting.filter((event) => event.attempts > 0).map(({ id }) => id);
  expect(tried).toEqual([head.id]);
  expect(waiting.filter(({ status }) => status !== "queued")).toEqual([]);
  expect((await operator.depth()).letters.open).toBe(0);

  receiver.behave(() => 204);
  await handled(lockstep, [head, ...followers]);
  expect(handledOf(lockstep, "jammed").map(({ body }) => body)[0]).toBe(head.body);
  expect(disorderOf(lockstep, "jammed", [head, ...followers])).toEqual([]);
  const after = await allEvents(lockstep, "plain", "jammed");
  expect(after.filter(({ id, attempts: made }) => id !== head.id && made !== 1)).toEqual([]);
});

test("what is forged, stale, early, altered, oversized, unreadable or for nobody is answered 4xx and leaves no row", async () => {
  const { stack, operator, receiver } = lockstep;
  const secrets = stack.webhookSecrets;
  const listed = async () =>
    Promise.all(PROVIDERS.map(async (provider) => (await allEvents(lockstep, provider)).length));
  const before = await listed();
  const arrivals = receiver.arrivals.length;
  const now = Math.floor(Date.now() / 1000);
  const wrong = `whsec_${Buffer.alloc(24, 9).toString("base64")}`;
  const answers: { readonly what: string; readonly status: number }[] = [];
  const tryOut = async (what: string, request: SignedRequest, path: string = request.provider) => {
    const answer = await fetch(`${stack.url}/webhooks/${path}`, {
      method: "POST",
      headers: request.headers,
      body: request.body,
    });
    answers.push({ what: `${what} ${path}`, status: answer.status });
    await answer.arrayBuffer();
  };
  for (const provider of PROVIDERS) {
    const event = eventOf(provider, { id: "spurious-1", key: "spurious", type: "order.updated" });
    const good = signed(provider, secrets[provider], event);
    await tryOut("401 another secret", signed(provider, wrong, event));
    await tryOut("401 altered body", { ...good, body: good.body.replace("spurious-1", "spurious-2") });
    await tryOut("401 truncated body", { ...good, body: good.body.slice(0, -1) });
    await tryOut("401 no signature", { ...good, headers: { "content-type": "application/json" } });
    await tryOut("401 a secret of another provider", signed(provider, secrets.receiver, event));
    await tryOut("404 unknown source", good, "nobody");
    await tryOut("404 Lockstep's own source", good, "lockstep");
    await tryOut(
      "413 too large",
      signed(provider, secrets[provider], {
        ...event,
        body: JSON.stringify({ ...JSON.parse(event.body), padding: "x".repeat(101 * 1024) }),
      }),
    );
    for (const [what, body] of [
      ["empty", ""],
      ["not JSON", "order=1"],
    ] as const)
      await tryOut(`4xx ${what}`, signed(provider, secrets[provider], { id: `spurious-${what}`, body }));
  }
  for (const provider of ["polar", "stripe"] as const) {
    const event = eventOf(provider, { id: "spurious-3", key: "spurious", type: "order.updated" });
    for (const at of [now - 310, now - 86_400, now + 320])
      await tryOut(`401 signed ${at - now} s from now`, signed(provider, secrets[provider], event, at));
  }
  const off = answers.filter(({ what, status }) =>
    what.startsWith("4xx") ? status < 400 || status >= 500 : !what.startsWith(String(status)),
  );
  expect(off).toEqual([]);
  expect(await listed()).toEqual(before);
  expect(receiver.arrivals).toHaveLength(arrivals);
  expect((await operator.depth()).letters.open).toBe(0);
});

test("an event's audit trail tells each attempt as the receiver saw it, and its redelivery is no second event", async () => {
  const { receiver, operator, stack } = lockstep;
  const event = eventOf("stripe", { id: "evt_audited", key: "audited", type: "order.updated" });
  receiver.behave(({ attempt }) => (attempt === 1 ? 503 : attempt === 2 ? 429 : 202));
  const first = await send(lockstep, event);
  await handled(lockstep, [event]);
  const settled = await waitUntil(
    async () => {
      const report = await operator.event("stripe", event.id);
      return report.status === "settled" ? report : undefined;
    },
    { what: "the event settled", withinMs: 30_000, tail: stack.tail },
  );
  expect(settled).toMatchObject({
    id: event.id,
    key: "audited",
    sequence: first.sequence,
    attempts: 3,
    generation: 0,
  });
  expect(settled.audit[0]?.what).toBe("admitted");
  expect(settled.audit.at(-1)?.what).toBe("settled");
  expect(settled.audit.flatMap(({ status }) => status ?? [])).toEqual([503, 429, 202]);
  expect(await send(lockstep, event)).toEqual({ ...first, duplicate: true });
  const again = await postSigned(stack.url, signed("stripe", stack.webhookSecrets.stripe, event));
  expect(again.status).toBe(202);
  expect(await operator.event("stripe", event.id)).toEqual(settled);
  expect(await allEvents(lockstep, "stripe", "audited")).toHaveLength(1);
  expect(handledOf(lockstep, "audited")).toHaveLength(1);
});

test("a destination's 403 makes a letter and the key goes on; its replay is late, says so, and keeps id and sequence", async () => {
  const { receiver, operator } = lockstep;
  const events = eventsOf("stripe", "forbidden-once", 5);
  const [, second] = events;
  if (second === undefined) throw new Error("no event");
  receiver.behave(({ body }) => (body === second.body ? 403 : 204));
  for (const event of events) await send(lockstep, event);
  await handled(
    lockstep,
    events.filter((event) => event !== second),
  );
  const letters = await waitUntil(
    async () => {
      const found = (await lockstep.letters()).filter(({ directiveId }) => directiveId === second.id);
      return found.length > 0 ? found : undefined;
    },
    { what: "the letter", withinMs: 30_000 },
  );
  expect(letters).toMatchObject([
    {
      kind: "event",
      state: "open",
      code: "forbidden",
      lane: "webhook:stripe:forbidden-once",
      sourceQueue: "webhook-events",
    },
  ]);
  expect(await operator.event("stripe", second.id)).toMatchObject({
    status: "dead",
    attempts: 1,
    failure: { code: "forbidden" },
  });
  receiver.behave(() => 204);
  const plan = await operator.createPlan({ filter: { lane: "webhook:stripe:forbidden-once" } });
  expect(plan).toMatchObject({ matched: 1, byCode: { forbidden: 1 } });
  const { id } = await operator.startReplay({
    plan: plan.id,
    digest: plan.digest,
    reason: "the rule was wrong",
  });
  await handled(lockstep, [second]);
  const own = receiver.arrivals.filter(({ body }) => body === second.body);
  expect(own.map(({ reply, replayed }) => [reply, replayed])).toEqual([
    [403, false],
    [204, true],
  ]);
  expect(new Set(own.map(({ webhookId, sequence }) => `${webhookId} ${sequence}`)).size).toBe(1);
  const report = await waitUntil(
    async () => {
      const now = await operator.replay(id);
      return now.status === "done" ? now : undefined;
    },
    { what: "the replay's end", withinMs: 90_000 },
  );
  expect(report).toMatchObject({ total: 1, landed: 1, failedAgain: 0, refused: 0 });
});
