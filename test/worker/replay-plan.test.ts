import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { recordLetters } from "../../dlq/ledger.ts";
import { makePlan } from "../../dlq/plan.ts";
import { readPlan } from "../../dlq/plan-store.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { encodePayload } from "../../domain/directive.ts";
import { directive, newLetter, NOW, rows } from "./dlq-fixture.ts";
import { ALICE, Arena, BOB, INBOX, POLICY, shown, states } from "./replay-fixture.ts";

describe("a plan", () => {
  test("lists the oldest open letters up to the limit, and says that there are more", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 30);
    const plan = await arena.plan({ filter: {}, limit: 10 });
    expect(plan).toMatchObject({
      matched: 10,
      byCode: { execution_reverted: 10 },
      byLane: { [ALICE]: 10 },
      refused: {},
      truncated: true,
    });
    const listed = await rows(
      "SELECT l.directive_id FROM plan_letters p JOIN letters l ON l.id = p.letter_id ORDER BY p.ordinal",
    );
    expect(listed.map((row) => row["directive_id"])).toEqual(
      Array.from({ length: 10 }, (_, index) => `d0000${index}`),
    );
    expect(await readPlan(env.LEDGER, plan.id)).toEqual(plan);
  });

  test("has one digest for one list of letters, and another for another", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 12);
    const [first, again, fewer] = [
      await arena.plan(),
      await arena.plan(),
      await arena.plan({ filter: {}, limit: 11 }),
    ];
    expect(again.digest).toBe(first.digest);
    expect(fewer.digest).not.toBe(first.digest);
    expect(first.truncated).toBe(false);
  });

  test("refuses by reason what may not be sent again", async () => {
    const payload = (expiresAt: number) => encodePayload({ ...directive(), expiresAtMs: expiresAt });
    await recordLetters(env.LEDGER, [
      newLetter({ directiveId: "review", directiveStatus: "review" }),
      newLetter({ directiveId: "reverted", directiveStatus: "reverted" }),
      newLetter({ directiveId: "expired", body: payload(NOW - 1) }),
      newLetter({ directiveId: "in time", body: payload(NOW + 3_600_000) }),
      // The last time that a directive may name.
      newLetter({ directiveId: "late", body: payload(Date.UTC(9999, 11, 31, 23, 59, 59, 999)) }),
      newLetter({ directiveId: "often", generation: 3 }),
      newLetter({
        directiveId: "text",
        kind: "raw",
        lane: null,
        bodyFormat: "text",
        body: "[object Object]",
      }),
      newLetter({ directiveId: "pruned", body: "" }),
    ]);
    const arena = new Arena();
    expect(await arena.plan()).toMatchObject({
      matched: 3,
      refused: { undetermined: 1, reverted: 1, expired: 1, unreadable: 1, "over-max-replays": 1 },
    });
    expect(await arena.plan({ filter: {}, force: true })).toMatchObject({
      matched: 4,
      refused: { undetermined: 1, reverted: 1, expired: 1, unreadable: 1 },
    });
  });

  test("takes each filter, and all that are given together", async () => {
    await recordLetters(env.LEDGER, [
      newLetter({ directiveId: "a", lane: ALICE, openedAtMs: NOW - 50 }),
      newLetter({ directiveId: "b", lane: BOB, code: "gave_up", openedAtMs: NOW - 40 }),
      newLetter({
        directiveId: "c",
        kind: "raw",
        lane: null,
        sourceQueue: "webhook-events",
        openedAtMs: NOW - 30,
      }),
      newLetter({ directiveId: "d", lane: ALICE, openedAtMs: NOW + 5000 }),
    ]);
    await env.LEDGER.prepare("UPDATE letters SET state = 'resolved' WHERE directive_id = 'e'").run();
    const arena = new Arena();
    const matched = async (filter: object) => {
      const plan = await arena.plan({ filter });
      const found = await env.LEDGER.prepare(
        "SELECT l.directive_id AS id FROM plan_letters p JOIN letters l ON l.id = p.letter_id WHERE p.plan_id = ? ORDER BY p.ordinal",
      )
        .bind(plan.id)
        .all();
      return found.results.map((row) => row["id"]).join("");
    };
    expect(await matched({})).toBe("abc");
    expect(await matched({ lane: ALICE })).toBe("a");
    expect(await matched({ code: "gave_up" })).toBe("b");
    expect(await matched({ kind: "raw" })).toBe("c");
    expect(await matched({ sourceQueue: "directives" })).toBe("ab");
    expect(await matched({ from: new Date(NOW - 40).toISOString() })).toBe("bc");
    expect(await matched({ to: new Date(NOW - 40).toISOString() })).toBe("a");
    expect(await matched({ lane: ALICE, code: "gave_up" })).toBe("");
    const ids = [letterId(newLetter({ directiveId: "b", lane: BOB }))];
    expect(await matched({ ids })).toBe("b");
    expect(await matched({ ids, kind: "raw" })).toBe("");
  });

  test("takes what the ledger has in review and has landed since, and its replay sends nothing", async () => {
    const arena = new Arena();
    const review = ["landed", "open", "away"].map((directiveId) =>
      newLetter({
        directiveId,
        lane: directiveId === "away" ? BOB : ALICE,
        directiveStatus: "review",
        generation: 3,
      }),
    );
    await recordLetters(env.LEDGER, review);
    arena.lanes.put(ALICE, "landed", { status: "confirmed", generation: 3 });
    arena.lanes.put(ALICE, "open", { status: "review", generation: 3 });
    arena.lanes.away.add(BOB);
    const plan = await arena.plan();
    expect(plan).toMatchObject({ matched: 1, byLane: { [ALICE]: 1 }, refused: { undetermined: 2 } });
    const landed = letterId(newLetter({ directiveId: "landed", lane: ALICE, generation: 3 }));
    expect((await arena.plan({ filter: { ids: [landed] } })).matched).toBe(1);
    const replay = await arena.run(plan);
    if (!replay.ok) throw new Error(replay.error.kind);
    await arena.drive();
    expect(await shown(arena, replay.value.id)).toMatchObject({
      status: "done",
      total: 1,
      landed: 1,
      alreadyLanded: 1,
      sent: 0,
    });
    expect(arena.lanes.readmissions.size).toBe(0);
  });

  test("names what is wrong with a filter, and ids that no letter has", async () => {
    const wrong = async (filter: object) => {
      const plan = await makePlan(
        env.LEDGER,
        { filter },
        { policy: POLICY, actor: "ops", nowMs: NOW, landedReviews: () => Promise.resolve([]) },
      );
      return plan.ok ? [] : plan.error.map(({ field }) => field);
    };
    expect(await wrong({ code: "nope", lane: "me" })).toEqual(["filter.code", "filter.lane"]);
    expect(await wrong({ from: "2030-01-02T00:00:00Z", to: "2030-01-01T00:00:00Z" })).toEqual([
      "filter.from",
    ]);
    expect(await wrong({ ids: ["0123"] })).toEqual(["filter.ids"]);
    expect(await wrong({ lane: INBOX })).toEqual([]);
  });
});

describe("running a plan", () => {
  test("claims every letter at once, with who and why in its history, and starts one driver", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 20);
    const replay = await arena.begin();
    expect(replay).toMatchObject({ status: "running", total: 20, waiting: 20, actor: "ops" });
    expect(await states()).toEqual([{ state: "replaying", resolution: null, letters: 20 }]);
    expect(
      await rows(
        "SELECT actor, action, reason, COUNT(*) AS n FROM letter_history WHERE number = 2 GROUP BY 1, 2, 3",
      ),
    ).toEqual([{ actor: "ops", action: "replay", reason: "the cause is gone", n: 20 }]);
    expect(arena.drivers).toEqual([{ replay: replay.id, driver: 1 }]);
  });

  test("again answers the same replay and starts nothing", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 3);
    const plan = await arena.plan();
    const [first, again] = [await arena.run(plan), await arena.run(plan)];
    expect(first).toEqual(again);
    expect(arena.drivers).toHaveLength(1);
    expect(await rows("SELECT id FROM replays")).toHaveLength(1);
  });

  test("with another digest is refused", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 3);
    const plan = await arena.plan();
    expect(await arena.run({ ...plan, digest: "0".repeat(64) })).toMatchObject({
      error: { kind: "wrong-digest" },
    });
    expect(await arena.run({ ...plan, id: "none" })).toMatchObject({ error: { kind: "unknown-plan" } });
  });

  test("whose letters have changed is refused with what changed, and claims nothing", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 3);
    const plan = await arena.plan();
    await env.LEDGER.prepare("UPDATE letters SET state = 'discarded' WHERE directive_id = 'd00001'").run();
    expect(await arena.run(plan)).toEqual({
      ok: false,
      error: {
        kind: "changed",
        count: 1,
        letters: [{ id: letterId(newLetter({ lane: ALICE, directiveId: "d00001" })), state: "discarded" }],
      },
    });
    expect(await rows("SELECT 1 FROM letters WHERE state = 'replaying'")).toEqual([]);
    expect(arena.drivers).toEqual([]);
  });

  test("beside another over the same letters: one wins, whichever comes first", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 40);
    const plans = [await arena.plan(), await arena.plan({ filter: {}, limit: 5 })];
    const runs = await Promise.all(plans.map((plan) => arena.run(plan)));
    expect(runs.filter(({ ok }) => ok)).toHaveLength(1);
    expect(runs.find(({ ok }) => !ok)).toMatchObject({ error: { kind: "changed" } });
    expect(await rows("SELECT DISTINCT replay_id FROM letters WHERE state = 'replaying'")).toHaveLength(1);
  });
});
