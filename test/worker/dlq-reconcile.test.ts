import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import type { FailedDirective } from "../../dlq/directive-failed.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { moveLetters } from "../../dlq/letter-changes.ts";
import { reconcileLetters, type ReconcileScope } from "../../dlq/reconcile.ts";
import { letterId } from "../../domain/dead-letter.ts";
import type { AccountId } from "../../domain/ids.ts";
import { newLetter, NOW, rows } from "./dlq-fixture.ts";
import {
  ANN,
  BEN,
  cutLedger,
  directive,
  eventView,
  letterFor,
  MemoryInboxes,
  MemoryLanes,
  shown,
} from "./letters-fixture.ts";

vi.spyOn(console, "warn").mockImplementation(() => undefined);

const QUIET: ReconcileScope = { ids: null, actor: "lockstep", tell: null };

function around(lanes: MemoryLanes, inboxes = new MemoryInboxes()) {
  return { LEDGER: cutLedger(lanes.cut), SEQUENCER: lanes, WEBHOOK_INBOX: inboxes };
}

const run = (lanes: MemoryLanes, scope: Partial<ReconcileScope> = {}, inboxes = new MemoryInboxes()) =>
  reconcileLetters(around(lanes, inboxes), { ...QUIET, ...scope }, NOW + 5000);

async function inReview(lanes: MemoryLanes, id: string, account: AccountId = ANN): Promise<string> {
  lanes.admit(directive(id, "1", account));
  lanes.review(account, id);
  return letterFor(lanes, account, id, { code: "unauthorized", refund: "manual" });
}

async function dead(lanes: MemoryLanes, id: string, account: AccountId = ANN): Promise<string> {
  lanes.admit(directive(id, "1", account));
  lanes.kill(account, id);
  return letterFor(lanes, account, id);
}

const replay = (...ids: string[]) =>
  moveLetters(
    env.LEDGER,
    ids.map((id) => ({
      id,
      from: ["open"],
      to: "replaying",
      replayId: "r1",
      actor: "ann",
      action: "replay",
      reason: "fixed",
      atMs: NOW,
    })),
  );

describe("a letter in review", () => {
  test("closes as landed when the lane confirms its directive, with the lane's word in its history", async () => {
    const lanes = new MemoryLanes();
    const id = await inReview(lanes, "a");
    expect(await run(lanes)).toEqual({ checked: 1, outcomes: { unchanged: 1 } });
    lanes.end(ANN, "a", "confirmed");
    expect(await run(lanes)).toEqual({ checked: 1, outcomes: { landed: 1 } });
    const { letter, history } = await shown(id);
    expect(letter).toMatchObject({ state: "resolved", resolution: "landed" });
    expect(history.at(-1)).toEqual({
      atMs: NOW + 5000,
      actor: "lockstep",
      action: "landed",
      reason: "the lane says: confirmed",
    });
    expect(await run(lanes)).toEqual({ checked: 0, outcomes: {} });
  });

  test.each(["dead", "reverted"] as const)(
    "says that its directive is %s, stays open, and tells whoever must refund, once",
    async (end) => {
      const lanes = new MemoryLanes();
      const id = await inReview(lanes, "a");
      lanes.end(ANN, "a", end);
      const told: FailedDirective[] = [];
      const tell = async (failed: FailedDirective) => void told.push(failed);
      expect(await run(lanes, { tell })).toEqual({ checked: 1, outcomes: { updated: 1 } });
      const { letter, history } = await shown(id);
      expect(letter).toMatchObject({
        state: "open",
        directiveStatus: end,
        code: end === "dead" ? "unauthorized" : "reverted",
        transactions: [{ hash: "0xa", status: end === "dead" ? "superseded" : "reverted" }],
      });
      expect(history).toHaveLength(2);
      expect(told).toMatchObject([{ letterId: id, account: ANN, id: "a", status: end }]);
      expect(await run(lanes, { tell })).toEqual({ checked: 1, outcomes: { unchanged: 1 } });
      expect(told).toHaveLength(1);
    },
  );

  test("whose failure nobody could be told of stays as it is, and is told the next time", async () => {
    const lanes = new MemoryLanes();
    const id = await inReview(lanes, "a");
    lanes.end(ANN, "a", "dead");
    const away = () => Promise.reject(new Error("away"));
    expect((await run(lanes, { tell: away })).outcomes).toEqual({ unavailable: 1 });
    expect((await shown(id)).letter.directiveStatus).toBe("review");
    expect((await run(lanes, { tell: async () => undefined })).outcomes).toEqual({ updated: 1 });
  });
});

describe("a letter that was replayed", () => {
  test("waits until its directive has come to an end", async () => {
    const lanes = new MemoryLanes();
    const id = await dead(lanes, "a");
    await replay(id);
    expect((await run(lanes)).outcomes).toEqual({ unchanged: 1 });
    const { digest } = (await shown(id)).letter;
    await lanes.getByName(ANN).readmit({ id: "a", digest, generation: 0 }, null);
    expect((await run(lanes)).outcomes).toEqual({ unchanged: 1 });
    lanes.review(ANN, "a");
    expect((await run(lanes)).outcomes).toEqual({ unchanged: 1 });
    lanes.end(ANN, "a", "confirmed");
    expect((await run(lanes)).outcomes).toEqual({ landed: 1 });
  });

  test("and died again leads to its new letter, and that one back, whichever is written first", async () => {
    const lanes = new MemoryLanes();
    const [one, two] = [await dead(lanes, "a"), await dead(lanes, "b")];
    await replay(one, two);
    for (const id of ["a", "b"]) {
      const { digest } = lanes.lane(ANN).directive(id) ?? { digest: "" };
      await lanes.getByName(ANN).readmit({ id, digest, generation: 0 }, null);
      lanes.kill(ANN, id);
    }
    const nextOne = await letterFor(lanes, ANN, "a");
    expect((await run(lanes)).outcomes).toEqual({ "failed-again": 2, unchanged: 1 });
    const nextTwo = await letterFor(lanes, ANN, "b");
    for (const [before, after] of [
      [one, nextOne],
      [two, nextTwo],
    ] as const) {
      expect((await shown(before)).letter).toMatchObject({
        state: "resolved",
        resolution: "failed-again",
        next: after,
        replayId: "r1",
      });
      expect((await shown(after)).letter).toMatchObject({ state: "open", previous: before, generation: 1 });
    }
  });
});

describe("a letter of an event", () => {
  const inbox = "webhook:polar:c1";
  const event = newLetter({ kind: "event", lane: inbox, directiveId: "e1", directiveStatus: null });

  test("closes as settled by its inbox's word, and as failed again when it died once more", async () => {
    const inboxes = new MemoryInboxes();
    await recordLetters(env.LEDGER, [event, { ...event, directiveId: "e2" }]);
    inboxes.events.set(`${inbox} e1`, eventView("e1", { status: "settled" }));
    inboxes.events.set(`${inbox} e2`, eventView("e2", { generation: 1 }));
    const { outcomes } = await run(new MemoryLanes(), {}, inboxes);
    expect(outcomes).toEqual({ settled: 1, "failed-again": 1 });
    expect((await shown(letterId(event))).letter.resolution).toBe("settled");
    expect((await shown(letterId({ ...event, directiveId: "e2" }))).letter.next).toBe(
      letterId({ ...event, directiveId: "e2", generation: 1 }),
    );
  });

  test("closes as settled when its inbox has forgotten it: an inbox forgets nothing else", async () => {
    await recordLetters(env.LEDGER, [event]);
    expect((await run(new MemoryLanes())).outcomes).toEqual({ settled: 1 });
    const { letter, history } = await shown(letterId(event));
    expect(letter).toMatchObject({ state: "resolved", resolution: "settled" });
    expect(history.at(-1)?.reason).toBe("the inbox says: forgotten, as it does what is settled");
  });

  test("whose inbox is away stays, and is counted", async () => {
    const inboxes = new MemoryInboxes();
    inboxes.away = true;
    await recordLetters(env.LEDGER, [event]);
    expect(await run(new MemoryLanes(), {}, inboxes)).toEqual({ checked: 1, outcomes: { unavailable: 1 } });
  });
});

test("a lane that does not answer leaves its letters as they are; those of others close", async () => {
  const lanes = new MemoryLanes();
  const [away, here] = [await inReview(lanes, "a", ANN), await inReview(lanes, "b", BEN)];
  lanes.end(ANN, "a", "confirmed");
  lanes.end(BEN, "b", "confirmed");
  lanes.away.add(ANN);
  expect((await run(lanes)).outcomes).toEqual({ unavailable: 1, landed: 1 });
  expect((await shown(away)).letter.state).toBe("open");
  expect((await shown(here)).letter.state).toBe("resolved");
  lanes.away.clear();
  expect((await run(lanes)).outcomes).toEqual({ landed: 1 });
});

test("a lane that hangs holds up no other, and is asked again at the next round", async () => {
  const lanes = new MemoryLanes();
  const [hung, here] = [await inReview(lanes, "a", ANN), await inReview(lanes, "b", BEN)];
  lanes.end(ANN, "a", "confirmed");
  lanes.end(BEN, "b", "confirmed");
  lanes.hung.add(ANN);
  const { outcomes } = await reconcileLetters(around(lanes), QUIET, NOW + 5000, 20);
  expect(outcomes).toEqual({ unavailable: 1, landed: 1 });
  expect((await shown(hung)).letter.state).toBe("open");
  expect((await shown(here)).letter.state).toBe("resolved");
  lanes.hung.clear();
  expect((await run(lanes)).outcomes).toEqual({ landed: 1 });
});

test("a lane is asked once for all of its letters, and none for letters that no lane can have", async () => {
  const lanes = new MemoryLanes();
  for (const id of ["a", "b", "c"]) await inReview(lanes, id);
  await recordLetters(env.LEDGER, [
    newLetter({ kind: "raw", lane: null }),
    newLetter({ kind: "introduction", lane: `eip155:31337:0x${"9".repeat(40)}` }),
  ]);
  lanes.asked.length = 0;
  await run(lanes);
  expect(lanes.asked).toEqual([ANN]);
});

test("asked for by their ids, only these letters are reconciled", async () => {
  const lanes = new MemoryLanes();
  const [one, two] = [await inReview(lanes, "a"), await inReview(lanes, "b")];
  lanes.end(ANN, "a", "confirmed");
  lanes.end(ANN, "b", "confirmed");
  expect(await run(lanes, { ids: [one, "nothing"], actor: "ann" })).toEqual({
    checked: 1,
    outcomes: { landed: 1 },
  });
  expect((await shown(one)).history.at(-1)?.actor).toBe("ann");
  expect((await shown(two)).letter.state).toBe("open");
});

test("page after page comes to every letter, and begins anew at the end", async () => {
  const lanes = new MemoryLanes();
  const letters = Array.from({ length: 450 }, (_, index) =>
    newLetter({
      directiveId: `d${index}`,
      openedAtMs: NOW + (index % 7),
      directiveStatus: index % 2 === 0 ? "review" : "dead",
      code: index % 3 === 0 ? "reverted" : "expired",
    }),
  );
  await recordLetters(env.LEDGER, letters);
  // 225 in review, 200 at a time; 450 that are open, 100 at a time.
  const checked: number[] = [];
  for (let tick = 0; tick < 5; tick += 1) checked.push((await run(lanes)).checked);
  expect(checked[0]).toBeGreaterThan(200);
  const asked = await rows("SELECT position FROM reconcile_scans ORDER BY scan");
  expect(asked).toHaveLength(3);
  for (const { directiveId } of letters) {
    const record = directive(directiveId, "1");
    lanes.admit(record);
    lanes.end(ANN, directiveId, "confirmed");
  }
  await env.LEDGER.prepare("UPDATE letters SET lane = ?, digest = ?")
    .bind(ANN, lanes.lane(ANN).directive("d0")?.digest ?? "")
    .run();
  for (let tick = 0; tick < 6; tick += 1) await run(lanes);
  expect(await rows("SELECT state, COUNT(*) AS letters FROM letters GROUP BY state")).toEqual([
    { state: "resolved", letters: 450 },
  ]);
});

test("a page reads no more rows among 2,000 letters than its own", async () => {
  await recordLetters(
    env.LEDGER,
    Array.from({ length: 2000 }, (_, index) =>
      newLetter({ directiveId: `d${index}`, openedAtMs: NOW + index, directiveStatus: "review" }),
    ),
  );
  let rowsRead = 0;
  const counted = {
    prepare: (sql: string) => env.LEDGER.prepare(sql),
    batch: async <Row>(statements: D1PreparedStatement[]) => {
      const results = await env.LEDGER.batch<Row>(statements);
      for (const { meta } of results) rowsRead += meta.rows_read;
      return results;
    },
  };
  const lanes = new MemoryLanes();
  for (let tick = 0; tick < 3; tick += 1)
    await reconcileLetters({ ...around(lanes), LEDGER: counted }, QUIET, NOW);
  expect(rowsRead).toBeLessThan(3 * 2 * 320);
});
