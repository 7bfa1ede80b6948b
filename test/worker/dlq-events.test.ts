import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { consumeDeadLetters } from "../../dlq/consumer.ts";
import { registerInbox } from "../../dlq/lane-registry.ts";
import type { LedgerDatabase } from "../../dlq/ledger.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { inboxOfKey, inboxOfShard } from "../../domain/inbox-name.ts";
import { encodeMessage, type Body } from "../../domain/message.ts";
import type { InboxLetter } from "../../domain/webhook-event.ts";
import {
  ALICE,
  around,
  CONTEXT,
  directive,
  failingLedger,
  FakeInboxes,
  FakeLanes,
  FakeMessage,
  laneLetter,
  NOW,
  onlyLetter,
  rejection,
  rows,
} from "./dlq-fixture.ts";

vi.spyOn(console, "warn").mockImplementation(() => undefined);

const CUSTOMER = inboxOfKey("polar", "customer: 1");
const SHARD = inboxOfShard("polar", "e1", 4);
const KEY = { id: "e1", digest: "d".repeat(64), generation: 0 };

function eventLetter(given: Partial<InboxLetter> = {}): InboxLetter {
  return {
    ...KEY,
    address: CUSTOMER,
    sequence: 7,
    body: '{"type":"order.paid","amount":1e2}',
    failure: { code: "forbidden", message: "the destination answered HTTP 403", atMs: NOW - 1000 },
    firstFailure: { code: "endpoint_timeout", message: "late", atMs: NOW - 5000 },
    attempts: 3,
    admittedAtMs: NOW - 9000,
    ...given,
  };
}

function ledger(): LedgerDatabase {
  return env.LEDGER;
}

function eventRejection(address = CUSTOMER, key: Partial<typeof KEY> = {}): Body {
  return encodeMessage({ kind: "rejection", origin: "inbox", inbox: address.name, ...KEY, ...key });
}

async function consume(
  bodies: readonly unknown[],
  inboxes: FakeInboxes,
  { lanes = new FakeLanes(), LEDGER = ledger(), notifies = true } = {},
): Promise<string[]> {
  const messages = bodies.map((body, index) => new FakeMessage(body, `m${index}`));
  await consumeDeadLetters({ queue: "webhook-events-dlq", messages }, around(lanes, LEDGER, inboxes), {
    ...CONTEXT,
    notifies,
  });
  return messages.map(({ ends }) => ends.join("+"));
}

describe("a rejection by an inbox", () => {
  test("becomes a letter that says what the inbox says, and the inbox owes it no longer", async () => {
    const inboxes = new FakeInboxes(eventLetter());
    expect(await consume([eventRejection()], inboxes)).toEqual(["ack"]);
    expect(inboxes.owed).toEqual([]);
    const { letter, history } = await onlyLetter();
    expect(letter).toMatchObject({
      id: letterId({
        kind: "event",
        lane: CUSTOMER.name,
        directiveId: "e1",
        digest: KEY.digest,
        generation: 0,
      }),
      kind: "event",
      state: "open",
      lane: "webhook:polar:customer: 1",
      directiveId: "e1",
      sourceQueue: "webhook-events",
      code: "forbidden",
      message: "the destination answered HTTP 403",
      firstFailureCode: "endpoint_timeout",
      firstFailureAtMs: NOW - 5000,
      lastFailureAtMs: NOW - 1000,
      attempts: 3,
      directiveStatus: null,
      sequence: 7,
      transactions: [],
      body: '{"type":"order.paid","amount":1e2}',
      bodyFormat: "json",
    });
    expect(history).toHaveLength(1);
  });

  test("whose event has no body any more is a letter all the same", async () => {
    expect(await consume([eventRejection()], new FakeInboxes(eventLetter({ body: "" })))).toEqual(["ack"]);
    expect((await onlyLetter()).letter).toMatchObject({ body: "", bodyFormat: "text" });
  });

  test("of a shard names the shard as its lane", async () => {
    await consume([eventRejection(SHARD)], new FakeInboxes(eventLetter({ address: SHARD })));
    expect((await onlyLetter()).letter.lane).toBe(SHARD.name);
  });

  test("that the inbox does not owe is acked and leaves no letter", async () => {
    expect(
      await consume([eventRejection(CUSTOMER, { generation: 1 })], new FakeInboxes(eventLetter())),
    ).toEqual(["ack"]);
    expect(await rows("SELECT 1 FROM letters")).toEqual([]);
  });

  test("is retried while D1 is away, and the inbox still owes", async () => {
    const inboxes = new FakeInboxes(eventLetter());
    const LEDGER = failingLedger({ failures: 99, reads: false });
    expect(await consume([eventRejection()], inboxes, { LEDGER })).toEqual(["retry"]);
    expect(inboxes.owed).toHaveLength(1);
    expect(inboxes.calls).not.toContain(`letterRecorded ${CUSTOMER.name}`);
  });

  test.each(["letter", "letterRecorded"] as const)(
    "is retried while the inbox is away at %s, and then leaves one letter with one history entry",
    async (away) => {
      const inboxes = new FakeInboxes(eventLetter());
      inboxes.away = away;
      expect(await consume([eventRejection()], inboxes)).toEqual(["retry"]);
      inboxes.away = null;
      expect(await consume([eventRejection()], inboxes)).toEqual(["ack"]);
      expect(inboxes.owed).toEqual([]);
      expect((await onlyLetter()).history).toHaveLength(1);
    },
  );

  test("of a later generation is another letter", async () => {
    await consume([eventRejection()], new FakeInboxes(eventLetter()));
    await consume(
      [eventRejection(CUSTOMER, { generation: 1 })],
      new FakeInboxes(eventLetter({ generation: 1 })),
    );
    expect(await rows("SELECT generation FROM letters ORDER BY generation")).toEqual([
      { generation: 0 },
      { generation: 1 },
    ]);
  });
});

test("a doorbell of an inbox that died leaves nothing, and what cannot be read is recorded whole", async () => {
  const doorbell = encodeMessage({ kind: "inbox-doorbell", inbox: CUSTOMER.name });
  const inboxes = new FakeInboxes(eventLetter());
  expect(
    await consume([doorbell, "poison", new Uint8Array([1, 2, 255]).buffer, eventRejection()], inboxes),
  ).toEqual(["ack", "ack", "ack", "ack"]);
  expect(await rows("SELECT kind, source_queue, body FROM letters ORDER BY kind, body")).toEqual([
    { kind: "event", source_queue: "webhook-events", body: eventLetter().body },
    { kind: "raw", source_queue: "webhook-events", body: '"poison"' },
    { kind: "raw", source_queue: "webhook-events", body: "AQL/" },
  ]);
});

describe("a directive that somebody must refund", () => {
  const payload = JSON.stringify({
    action: { type: "evm.transaction" },
    metadata: { refund: "manual", order: 5 },
  });
  const refunds = () => rows("SELECT directive_id, refund FROM letters ORDER BY directive_id");

  test("is marked in the ledger, and told to the destination of operations once however often it comes", async () => {
    const inboxes = new FakeInboxes();
    const owed = laneLetter(ALICE, "d1", { payload });
    for (let time = 0; time < 2; time += 1) {
      const lanes = new FakeLanes(owed);
      expect(await consume([rejection(ALICE, "d1")], inboxes, { lanes })).toEqual(["ack"]);
      expect(lanes.owed).toEqual([]);
    }
    expect(await refunds()).toEqual([{ directive_id: "d1", refund: "manual" }]);
    expect(inboxes.admitted).toHaveLength(1);
    const { address, event } = inboxes.admitted[0]!;
    expect(address).toEqual(inboxOfKey("lockstep", ALICE));
    expect(event.id).toMatch(/^directive-failed:[0-9a-f]{32}$/);
    expect(JSON.parse(event.body)).toEqual({
      type: "directive.failed",
      timestamp: new Date(NOW - 1000).toISOString(),
      data: {
        account: ALICE,
        id: "d1",
        status: "dead",
        code: "execution_reverted",
        message: "the call reverts",
        sequence: 7,
        transactions: [{ hash: "0x01", sequence: 7, status: "refused" }],
        metadata: { refund: "manual", order: 5 },
      },
    });
  });

  test("is told when it reverted, and not while it may still land", async () => {
    const inboxes = new FakeInboxes();
    const lanes = new FakeLanes(
      laneLetter(ALICE, "d1", { payload, status: "review" }),
      laneLetter(ALICE, "d2", { payload, status: "reverted" }),
    );
    expect(await consume([rejection(ALICE, "d1"), rejection(ALICE, "d2")], inboxes, { lanes })).toEqual([
      "ack",
      "ack",
    ]);
    expect(
      inboxes.admitted.map(({ event }) => (JSON.parse(event.body) as { data: unknown }).data),
    ).toMatchObject([{ id: "d2", status: "reverted" }]);
    expect(await refunds()).toEqual([
      { directive_id: "d1", refund: "manual" },
      { directive_id: "d2", refund: "manual" },
    ]);
  });

  test("is retried while it cannot be told, and its lane owes the letter until it is", async () => {
    const inboxes = new FakeInboxes();
    inboxes.away = "admit";
    const lanes = new FakeLanes(laneLetter(ALICE, "d1", { payload }), laneLetter(ALICE, "d2"));
    const bodies = [rejection(ALICE, "d1"), rejection(ALICE, "d2")];
    expect(await consume(bodies, inboxes, { lanes })).toEqual(["retry", "ack"]);
    expect(lanes.owed.map(({ id }) => id)).toEqual(["d1"]);
    inboxes.away = null;
    expect(await consume(bodies.slice(0, 1), inboxes, { lanes })).toEqual(["ack"]);
    expect(lanes.owed).toEqual([]);
    expect(inboxes.admitted).toHaveLength(1);
  });

  test("that no lane took is dead too", async () => {
    const inboxes = new FakeInboxes();
    const refused = encodeMessage({
      kind: "rejection",
      origin: "introduction",
      sourceQueue: "directives",
      messageId: "m0",
      code: "no_signer",
      message: "no signer for the account",
      attempts: 1,
      directive: { ...directive(), metadata: { refund: "manual" } },
    });
    expect(await consume([refused], inboxes)).toEqual(["ack"]);
    expect(await refunds()).toEqual([{ directive_id: "d9", refund: "manual" }]);
    expect(inboxes.admitted).toHaveLength(1);
  });

  test.each([
    ["of another kind", { metadata: { refund: "automatic" } }],
    ["that is no text", { metadata: { refund: { manual: true } } }],
    ["in metadata that are no object", { metadata: ["manual"] }],
  ])("is not one by a refund %s", async (_, given) => {
    const inboxes = new FakeInboxes();
    const lanes = new FakeLanes(laneLetter(ALICE, "d1", { payload: JSON.stringify(given) }));
    expect(await consume([rejection(ALICE, "d1")], inboxes, { lanes })).toEqual(["ack"]);
    expect(await refunds()).toEqual([{ directive_id: "d1", refund: null }]);
    expect(inboxes.admitted).toEqual([]);
  });

  test("is told to nobody where nobody is to be told", async () => {
    const inboxes = new FakeInboxes();
    const lanes = new FakeLanes(laneLetter(ALICE, "d1", { payload }));
    expect(await consume([rejection(ALICE, "d1")], inboxes, { lanes, notifies: false })).toEqual(["ack"]);
    expect(inboxes.calls).toEqual([]);
    expect(await refunds()).toEqual([{ directive_id: "d1", refund: "manual" }]);
  });
});

test("an inbox is in the list of inboxes once, however often it is worked", async () => {
  await registerInbox(env.LEDGER, CUSTOMER, NOW);
  await registerInbox(env.LEDGER, CUSTOMER, NOW + 1);
  await registerInbox(env.LEDGER, SHARD, NOW);
  expect(await rows("SELECT * FROM inboxes ORDER BY name")).toEqual(
    [CUSTOMER, SHARD]
      .map(({ name }) => ({ name, source: "polar", registered_at: NOW }))
      .toSorted((left, right) => (left.name < right.name ? -1 : 1)),
  );
});
