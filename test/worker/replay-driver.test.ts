import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { CALL_BOUNDS } from "../../dlq/call-bounds.ts";
import { recordLetters, type LedgerDatabase } from "../../dlq/ledger.ts";
import { commandReplay, reviveReplays } from "../../dlq/replay-commands.ts";
import { readDriver } from "../../dlq/replay-driver-store.ts";
import { spacingAfter } from "../../dlq/replay-pace.ts";
import {
  claimedLetters,
  claimPage,
  commitDecisions,
  sentLetters,
  waitingLetters,
} from "../../dlq/replay-page-store.ts";
import { newLetter, rows } from "./dlq-fixture.ts";
import { ALICE, Arena, BOB, INBOX, numbers, shown, states } from "./replay-fixture.ts";

test("a page reads no more rows of a replay of 3,000 letters than of one of 300", async () => {
  const read: number[] = [];
  for (const letters of [300, 3000]) {
    const arena = new Arena();
    await env.LEDGER.exec("DELETE FROM letters");
    await arena.fill(ALICE, letters);
    const { id } = await arena.begin({ ratePerSecond: 20 });
    const driver = { replay: id, number: 1 };
    let rowsRead = 0;
    const statement = (sql: string) => {
      const all = (bound: D1PreparedStatement) => async () => {
        const result = await bound.all();
        rowsRead += result.meta.rows_read;
        return result;
      };
      const prepared = env.LEDGER.prepare(sql);
      return { bind: (...values: unknown[]) => ({ all: all(prepared.bind(...values)) }) };
    };
    const db: LedgerDatabase = {
      prepare: (sql) => statement(sql) as unknown as D1PreparedStatement,
      batch: async (statements) => env.LEDGER.batch(statements),
    };
    const quota = { letters: 20, perLane: 20 };
    const page = await waitingLetters(db, driver, quota, arena.nowMs);
    const spacing = spacingAfter(page, { perSecond: 20, perLanePerSecond: 20 }, arena.nowMs);
    const ordinals = page.map(({ ordinal }) => ordinal);
    await claimPage(env.LEDGER, driver, { ordinals, after: "", token: "t", spacing, nowMs: arena.nowMs });
    await claimedLetters(db, driver, 500, arena.nowMs);
    const decisions = page.map(({ ordinal, letterId: of }) => ({
      ordinal,
      letterId: of,
      outcome: "sent" as const,
      detail: null,
      letter: null,
    }));
    const commit = {
      decisions,
      from: "waiting" as const,
      lanes: { answered: [ALICE], failed: [] },
      watch: null,
      nowMs: arena.nowMs,
    };
    const counted: LedgerDatabase = {
      prepare: (sql) => env.LEDGER.prepare(sql),
      batch: async (statements) => {
        const results = await env.LEDGER.batch(statements);
        rowsRead += results.reduce((sum, { meta }) => sum + meta.rows_read, 0);
        return results as never;
      },
    };
    await commitDecisions(counted, driver, commit);
    await readDriver(db, driver);
    expect(await sentLetters(db, driver, 0, 500)).toHaveLength(20);
    read.push(rowsRead);
  }
  expect(read[1]).toBeLessThanOrEqual((read[0] ?? 0) + 50);
  expect(read[0]).toBeLessThan(1000);
});

describe("an operator", () => {
  const by = (arena: Arena, id: string, reason = "why") => ({ id, actor: "eve", reason, nowMs: arena.nowMs });

  test("pauses a replay, which sends nothing more but still says what became of what was sent, and resumes it", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 100);
    const { id } = await arena.begin({ ratePerSecond: 10 });
    await arena.turn();
    expect(await commandReplay(arena.env, "pause", by(arena, id))).toMatchObject({
      value: { status: "paused" },
    });
    const sent = arena.lanes.readmissions.size;
    arena.settle("confirmed");
    await arena.drive();
    expect(arena.lanes.readmissions.size).toBe(sent);
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 100 - sent, landed: sent });
    expect(await reviveReplays(arena.env, arena.nowMs + 3_600_000)).toBe(0);
    expect(await commandReplay(arena.env, "resume", by(arena, id))).toMatchObject({
      value: { status: "running" },
    });
    expect(arena.drivers).toHaveLength(2);
    for (let index = 0; index < 10; index += 1) await arena.turn();
    arena.settle("confirmed");
    await arena.drive();
    expect(await shown(arena, id)).toMatchObject({ status: "done", landed: 100 });
    expect(await rows("SELECT actor, action, reason FROM replay_history ORDER BY number")).toEqual([
      { actor: "eve", action: "pause", reason: "why" },
      { actor: "eve", action: "resume", reason: "why" },
    ]);
  });

  test("cancels a replay: what waited is open at once, what was sent is watched to its end", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 100);
    const { id } = await arena.begin({ ratePerSecond: 10 });
    await arena.turn();
    const sent = arena.lanes.readmissions.size;
    const cancelled = await commandReplay(arena.env, "cancel", by(arena, id, "wrong cause"));
    expect(cancelled).toMatchObject({ value: { status: "cancelling", waiting: 0, returned: 100 - sent } });
    expect(await states()).toEqual([
      { state: "open", resolution: null, letters: 100 - sent },
      { state: "replaying", resolution: null, letters: sent },
    ]);
    expect((await arena.turn()).ended).toBe(false);
    arena.settle("confirmed");
    await arena.drive();
    expect(await shown(arena, id)).toMatchObject({ status: "cancelled", landed: sent, returned: 100 - sent });
    expect(await rows("SELECT 1 FROM letters WHERE state = 'replaying'")).toEqual([]);
    expect(await rows("SELECT DISTINCT actor, reason FROM letter_history WHERE action = 'returned'")).toEqual(
      [{ actor: "eve", reason: "wrong cause" }],
    );
    expect(await commandReplay(arena.env, "cancel", by(arena, id))).toMatchObject({ ok: true });
    expect(await commandReplay(arena.env, "resume", by(arena, id))).toEqual({
      ok: false,
      error: "it is cancelled",
    });
    expect(await commandReplay(arena.env, "pause", by(arena, "none"))).toBeNull();
  });

  test("may plan and run the returned letters again", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 10);
    const { id } = await arena.begin();
    await commandReplay(arena.env, "cancel", by(arena, id));
    await arena.drive();
    const second = await arena.begin();
    await arena.turn();
    arena.settle("confirmed");
    await arena.drive();
    expect(await shown(arena, second.id)).toMatchObject({ status: "done", landed: 10 });
  });
});

describe("a driver that dies", () => {
  test("is replaced once it is overdue, by the cron or by a look at the replay, and fenced off", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 10);
    const { id } = await arena.begin();
    expect(await reviveReplays(arena.env, arena.nowMs)).toBe(0);
    arena.nowMs += 15_001;
    expect(await reviveReplays(arena.env, arena.nowMs)).toBe(1);
    expect(await reviveReplays(arena.env, arena.nowMs)).toBe(0);
    arena.nowMs += 15_001;
    await shown(arena, id);
    expect(arena.drivers.map(({ driver }) => driver)).toEqual([1, 2, 3]);
    expect(await arena.turn(arena.drivers[0])).toMatchObject({ ended: true });
    expect(arena.lanes.calls).toEqual([]);
  });

  test("between a lane's answer and the ledger's: the next one finds what was sent, and sends it not again", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 10);
    arena.lanes.get(ALICE, "d00003").status = "confirmed";
    const { id } = await arena.begin();
    let batches = 0;
    arena.ledger = {
      prepare: (sql) => env.LEDGER.prepare(sql),
      batch: (statements) => {
        batches += 1;
        return batches === 2 ? Promise.reject(new Error("killed")) : env.LEDGER.batch(statements);
      },
    };
    await expect(arena.turn()).rejects.toThrow("killed");
    expect(arena.lanes.readmissions.size).toBe(9);
    arena.lanes.get(ALICE, "d00004").status = "confirmed";
    arena.nowMs += 60_000;
    await reviveReplays(arena.env, arena.nowMs);
    arena.settle("confirmed");
    await arena.drive();
    expect(new Set(arena.lanes.readmissions.values())).toEqual(new Set([1]));
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 10, alreadyLanded: 1 });
  });

  test("before the ledger hears of a page: what was sent, and is in review or reverted by then, is not said to be refused", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 4);
    arena.lanes.get(ALICE, "d00002").status = "review";
    const { id } = await arena.begin();
    let batches = 0;
    arena.ledger = {
      prepare: (sql) => env.LEDGER.prepare(sql),
      batch: (statements) => {
        batches += 1;
        return batches === 2 ? Promise.reject(new Error("killed")) : env.LEDGER.batch(statements);
      },
    };
    await expect(arena.turn()).rejects.toThrow("killed");
    arena.lanes.get(ALICE, "d00000").status = "review";
    arena.lanes.get(ALICE, "d00001").status = "reverted";
    await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ inFlight: 2, failedAgain: 1, refused: 1 });
    arena.lanes.get(ALICE, "d00000").status = "confirmed";
    arena.settle("confirmed");
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 2, failedAgain: 1, refused: 1 });
  });

  test("after claiming a page that is then cancelled: the page is carried through, and nothing stays in replaying", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 30);
    const { id } = await arena.begin({ ratePerSecond: 10 });
    arena.lanes.crash = () => {
      throw new Error("killed");
    };
    await arena.turn();
    arena.lanes.crash = () => undefined;
    await commandReplay(arena.env, "cancel", { id, actor: "eve", reason: "no", nowMs: arena.nowMs });
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 10, returned: 20 });
    for (let index = 0; index < 5; index += 1) await arena.turn();
    arena.settle("confirmed");
    await arena.drive();
    expect(await shown(arena, id)).toMatchObject({ status: "cancelled", landed: 10, returned: 20 });
    expect(await rows("SELECT 1 FROM letters WHERE state = 'replaying'")).toEqual([]);
  });
});

describe("a page that takes long", () => {
  test("in an inbox that answers slowly is written down bit by bit: whoever watches the replay replaces nobody", async () => {
    const arena = new Arena();
    const letters = Array.from({ length: 300 }, (_, index) =>
      newLetter({ kind: "event", lane: INBOX, directiveId: `e${index}`, directiveStatus: null }),
    );
    await recordLetters(env.LEDGER, letters);
    for (const { directiveId } of letters)
      arena.inboxes.events.set(`${INBOX} ${directiveId}`, { status: "dead", generation: 0 });
    const { id } = await arena.begin();
    const stub = arena.inboxes.getByName(INBOX);
    let asked = 0;
    const slow = async <Answer>(work: () => Promise<Answer>): Promise<Answer> => {
      asked += 1;
      arena.nowMs += 100;
      if (asked % 50 === 0) await shown(arena, id);
      return work();
    };
    vi.spyOn(arena.inboxes, "getByName").mockImplementation(() => ({
      readmit: (key) => slow(() => stub.readmit(key)),
      event: (of) => slow(() => stub.event(of)),
    }));
    for (let index = 0; index < 20 && (await shown(arena, id)).waiting > 0; index += 1) await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 0, inFlight: 300 });
    for (const { directiveId } of letters)
      arena.inboxes.events.set(`${INBOX} ${directiveId}`, { status: "settled", generation: 1 });
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 300 });
    expect(arena.drivers).toHaveLength(1);
  });

  test("because a lane never answers is written down for the others, and for it once it answers", async () => {
    const arena = new Arena();
    arena.bounds = { ...CALL_BOUNDS, callMs: 20 };
    await arena.fill(ALICE, 3);
    await arena.fill(BOB, 3);
    arena.lanes.hung.add(ALICE);
    const { id } = await arena.begin();
    await arena.turn();
    arena.settle("confirmed");
    for (let index = 0; index < 3; index += 1) await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 3, landed: 3 });
    arena.lanes.hung.clear();
    for (let index = 0; index < 5; index += 1) await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 0, inFlight: 3 });
    arena.lanes.hung.add(ALICE);
    await arena.turn();
    arena.lanes.hung.clear();
    arena.settle("confirmed");
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 6 });
  });
});
