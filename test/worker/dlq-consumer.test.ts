import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { consumeDeadLetters } from "../../dlq/consumer.ts";
import { letterAges } from "../../dlq/letter-gauges.ts";
import { letterDepth } from "../../dlq/letters.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { digestOf, encodePayload } from "../../domain/directive.ts";
import { encodeMessage } from "../../domain/message.ts";
import {
  ALICE,
  around,
  BOB,
  consume,
  CONTEXT,
  directive,
  failingLedger,
  FakeLanes,
  FakeMessage,
  laneLetter,
  NOW,
  onlyLetter,
  rejection,
  rows,
} from "./dlq-fixture.ts";

vi.spyOn(console, "warn").mockImplementation(() => undefined);
vi.spyOn(console, "error").mockImplementation(() => undefined);

describe("a rejection by a lane", () => {
  test("becomes a letter that says what the lane says, and the lane owes it no longer", async () => {
    const lanes = new FakeLanes(laneLetter(ALICE, "d1", { status: "review", attempts: 4 }));
    expect(await consume([new FakeMessage(rejection(ALICE, "d1"))], lanes)).toEqual(["ack"]);
    expect(lanes.owed).toEqual([]);
    expect(await onlyLetter()).toEqual({
      letter: {
        id: letterId({
          kind: "directive",
          lane: ALICE,
          directiveId: "d1",
          digest: "d".repeat(64),
          generation: 0,
        }),
        kind: "directive",
        state: "open",
        lane: ALICE,
        directiveId: "d1",
        digest: "d".repeat(64),
        generation: 0,
        sourceQueue: "directives",
        code: "execution_reverted",
        message: "the call reverts",
        firstFailureCode: "network_error",
        firstFailureAtMs: NOW - 5000,
        lastFailureAtMs: NOW - 1000,
        attempts: 4,
        directiveStatus: "review",
        sequence: 7,
        transactions: [{ hash: "0x01", sequence: 7, status: "refused" }],
        openedAtMs: NOW,
        updatedAtMs: NOW,
        refund: null,
        resolution: null,
        previous: null,
        next: null,
        replacedBy: null,
        replaces: null,
        replayId: null,
        body: '{"action":{"type":"evm.transaction"}}',
        bodyFormat: "json",
      },
      history: [{ atMs: NOW, actor: "lockstep", action: "opened", reason: "execution_reverted" }],
    });
  });

  test("that the lane does not owe is acked and leaves no letter", async () => {
    expect(await consume([new FakeMessage(rejection(ALICE, "d1"))])).toEqual(["ack"]);
    expect(await rows("SELECT 1 FROM letters")).toEqual([]);
  });

  test("that comes again before the lane heard of its letter leaves one letter with one history entry", async () => {
    const owed = laneLetter(ALICE, "d1");
    await consume([new FakeMessage(rejection(ALICE, "d1"))], new FakeLanes(owed));
    expect(await consume([new FakeMessage(rejection(ALICE, "d1"), "m2")], new FakeLanes(owed))).toEqual([
      "ack",
    ]);
    expect((await onlyLetter()).history).toHaveLength(1);
  });

  test("that two batches record at once leaves one letter with one history entry", async () => {
    const ends = await Promise.all(
      Array.from({ length: 8 }, () =>
        consume(
          [new FakeMessage(rejection(ALICE, "d1")), new FakeMessage(rejection(ALICE, "d1"), "m2")],
          new FakeLanes(laneLetter(ALICE, "d1")),
        ),
      ),
    );
    expect(ends.flat()).toEqual(Array.from({ length: 16 }, () => "ack"));
    expect((await onlyLetter()).history).toHaveLength(1);
    expect(await letterDepth(env.LEDGER)).toMatchObject({ open: 1, byLane: { [ALICE]: 1 } });
  });

  test("asks each lane once to forget all its letters of the batch", async () => {
    const ids = ["d1", "d2", "d3"];
    const lanes = new FakeLanes(
      ...[ALICE, BOB].flatMap((account) => ids.map((id) => laneLetter(account, id))),
    );
    await consume(
      [ALICE, BOB].flatMap((account) => ids.map((id) => new FakeMessage(rejection(account, id)))),
      lanes,
    );
    expect(lanes.calls.filter((call) => call.startsWith("letterRecorded")).toSorted()).toEqual([
      `letterRecorded ${ALICE}`,
      `letterRecorded ${BOB}`,
    ]);
    expect(lanes.owed).toEqual([]);
  });
});

describe("an introduction", () => {
  test("that no lane took becomes a letter with the directive's payload and the reason", async () => {
    const refused = encodeMessage({
      kind: "rejection",
      origin: "introduction",
      sourceQueue: "directives",
      messageId: "m0",
      code: "no_signer",
      message: "no signer for the account",
      attempts: 1,
      directive: directive(),
    });
    expect(await consume([new FakeMessage(refused)])).toEqual(["ack"]);
    const { letter } = await onlyLetter();
    expect(letter).toMatchObject({
      kind: "introduction",
      lane: ALICE,
      directiveId: "d9",
      digest: digestOf(directive()),
      sourceQueue: "directives",
      code: "no_signer",
      message: "no signer for the account",
      attempts: 1,
      firstFailureAtMs: NOW - 2000,
      lastFailureAtMs: NOW - 2000,
      directiveStatus: null,
      body: encodePayload(directive()),
    });
  });

  test("that the queue gave up is recorded whole, as exhausted", async () => {
    const body = encodeMessage({ kind: "directive", directive: directive() });
    expect(await consume([new FakeMessage(body)])).toEqual(["ack"]);
    const { letter } = await onlyLetter();
    expect(letter).toMatchObject({
      kind: "raw",
      code: "exhausted",
      lane: null,
      directiveId: "m1",
      body: JSON.stringify(body),
      bodyFormat: "json",
    });
    expect(letter.message).toContain("d9");
  });

  test("that the queue gave up says that somebody must refund by hand, as one that no lane took does", async () => {
    const manual = { ...directive(), metadata: { refund: "manual" } };
    const body = encodeMessage({ kind: "directive", directive: manual });
    expect(await consume([new FakeMessage(body)])).toEqual(["ack"]);
    expect((await onlyLetter()).letter).toMatchObject({ code: "exhausted", refund: "manual" });
    expect((await letterAges(env.LEDGER, NOW)).reconciliationRequired).toBe(1);
  });
});

test.each(["doorbell", "confirmation"] as const)("a %s is acked and leaves no letter", async (kind) => {
  expect(await consume([new FakeMessage(encodeMessage({ kind, account: ALICE }))])).toEqual(["ack"]);
  expect(await rows("SELECT 1 FROM letters")).toEqual([]);
});

describe("when something is away", () => {
  test("D1: every message with a letter is retried with a delay, none is acked, and the lane still owes", async () => {
    const lanes = new FakeLanes(laneLetter(ALICE, "d1"));
    const messages = [
      new FakeMessage(rejection(ALICE, "d1")),
      new FakeMessage(null, "m2"),
      new FakeMessage(encodeMessage({ kind: "doorbell", account: ALICE }), "m3"),
    ];
    expect(await consume(messages, lanes, failingLedger({ failures: 99, reads: false }))).toEqual([
      "retry",
      "retry",
      "ack",
    ]);
    expect(messages[0]?.delays[0]).toBeGreaterThan(0);
    expect(lanes.owed).toHaveLength(1);
    expect(
      await consume(
        messages.slice(0, 1).map(({ body }) => new FakeMessage(body)),
        lanes,
      ),
    ).toEqual(["ack"]);
    expect(lanes.owed).toEqual([]);
  });

  test("a lane, when asked for the facts: its messages are retried, the others are not held up", async () => {
    const lanes = new FakeLanes(laneLetter(ALICE, "d1"), laneLetter(BOB, "d1"));
    lanes.away[ALICE] = "letter";
    expect(
      await consume([new FakeMessage(rejection(ALICE, "d1")), new FakeMessage(rejection(BOB, "d1"))], lanes),
    ).toEqual(["retry", "ack"]);
    expect(await rows("SELECT lane FROM letters")).toEqual([{ lane: BOB }]);
  });

  test.each(["letter", "letterRecorded"] as const)(
    "a lane that never answers to %s: its message is retried, the others are recorded, paid and acked",
    async (call) => {
      const lanes = new FakeLanes(laneLetter(ALICE, "d1"), laneLetter(BOB, "d1"));
      lanes.hung[ALICE] = call;
      const messages = [new FakeMessage(rejection(ALICE, "d1")), new FakeMessage(rejection(BOB, "d1"))];
      await consumeDeadLetters({ queue: "directives-dlq", messages }, around(lanes), {
        ...CONTEXT,
        callMs: 20,
      });
      expect(messages.map(({ ends }) => ends)).toEqual([["retry"], ["ack"]]);
      expect(lanes.owed.map(({ account }) => account)).toEqual([ALICE]);
    },
  );

  test("a lane, when told of its letter: the message is retried, and then leaves one letter", async () => {
    const lanes = new FakeLanes(laneLetter(ALICE, "d1"), laneLetter(BOB, "d1"));
    lanes.away[ALICE] = "letterRecorded";
    expect(
      await consume([new FakeMessage(rejection(ALICE, "d1")), new FakeMessage(rejection(BOB, "d1"))], lanes),
    ).toEqual(["retry", "ack"]);
    delete lanes.away[ALICE];
    expect(await consume([new FakeMessage(rejection(ALICE, "d1"))], lanes)).toEqual(["ack"]);
    expect(lanes.owed).toEqual([]);
    expect(await rows("SELECT 1 FROM letters")).toHaveLength(2);
    expect(await rows("SELECT 1 FROM letter_history")).toHaveLength(2);
  });

  test("one transaction of D1's only: the letters are written one by one", async () => {
    expect(
      await consume(
        [new FakeMessage(1, "m1"), new FakeMessage(2, "m2")],
        new FakeLanes(),
        failingLedger({ failures: 1, reads: true }),
      ),
    ).toEqual(["ack", "ack"]);
    expect(await rows("SELECT 1 FROM letters")).toHaveLength(2);
  });
});

describe("a mixed batch", () => {
  test("of 100 messages brings each to exactly one end, and one that SQL refuses holds up no other", async () => {
    // The ledger refuses a negative count of attempts.
    const lanes = new FakeLanes(
      laneLetter(ALICE, "poison", { attempts: -1 }),
      ...Array.from({ length: 40 }, (_, index) => laneLetter(index % 2 === 0 ? ALICE : BOB, `d${index}`)),
    );
    const bodies: unknown[] = [
      rejection(ALICE, "poison"),
      ...Array.from({ length: 40 }, (_, index) => rejection(index % 2 === 0 ? ALICE : BOB, `d${index}`)),
      ...Array.from({ length: 20 }, (_, index) => ({ json: `nonsense ${index}` })),
      ...Array.from({ length: 20 }, (_, index) =>
        encodeMessage({ kind: "directive", directive: directive(`gone${index}`) }),
      ),
      ...Array.from({ length: 18 }, () => encodeMessage({ kind: "doorbell", account: BOB })),
      rejection(BOB, "not owed"),
    ];
    const ends = await consume(
      bodies.map((body, index) => new FakeMessage(body, `m${index}`)),
      lanes,
    );
    expect(ends).toEqual(["retry", ...Array.from({ length: 99 }, () => "ack")]);
    expect(lanes.owed.map(({ id }) => id)).toEqual(["poison"]);
    expect(await letterDepth(env.LEDGER)).toMatchObject({
      open: 80,
      byCode: { execution_reverted: 40, malformed_message: 20, exhausted: 20 },
    });
    expect(await rows("SELECT 1 FROM letter_history")).toHaveLength(80);
  });

  test("of 100 messages of 128 KB is recorded whole", async () => {
    const body = { json: "x".repeat(128 * 1024 - 20) };
    const ends = await consume(Array.from({ length: 100 }, (_, index) => new FakeMessage(body, `m${index}`)));
    expect(ends).toEqual(Array.from({ length: 100 }, () => "ack"));
    const sizes = await rows("SELECT length(body) AS size, count(*) AS letters FROM letters GROUP BY 1");
    expect(sizes).toEqual([{ size: JSON.stringify(body).length, letters: 100 }]);
  });

  test("of the platform's own messages is acked and retried as the platform counts it", async () => {
    const lanes = new FakeLanes(laneLetter(ALICE, "d1"), laneLetter(BOB, "d1"));
    lanes.away[BOB] = "letter";
    const bodies = [null, rejection(ALICE, "d1"), rejection(BOB, "d1")];
    const batch = createMessageBatch(
      "directives-dlq",
      bodies.map((body, index) => ({ id: `m${index}`, timestamp: new Date(NOW), attempts: 3, body })),
    );
    const context = createExecutionContext();
    await consumeDeadLetters(batch, around(lanes), CONTEXT);
    const result = await getQueueResult(batch, context);
    expect(result.explicitAcks).toEqual(["m0", "m1"]);
    expect(result.retryMessages.map(({ msgId }) => msgId)).toEqual(["m2"]);
  });
});
