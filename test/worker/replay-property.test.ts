import { reset, applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { CALL_BOUNDS } from "../../dlq/call-bounds.ts";
import { commandReplay, reviveReplays, type ReplayParams } from "../../dlq/replay-commands.ts";
import { driveReplay } from "../../dlq/replay-driver.ts";
import { readReplay } from "../../dlq/replay-store.ts";
import { replayReport } from "../../dlq/replay-progress.ts";
import config from "../../lockstep.config.ts";
import { rows } from "./dlq-fixture.ts";
import { Caller, interleavedLanes, interleavedLedger, type Fate } from "./replay-interleaving.ts";
import { ALICE, Arena, BOB } from "./replay-fixture.ts";

const LETTERS = 12;

type Move =
  | { readonly kind: "let"; readonly who: number; readonly fate: Fate }
  | { readonly kind: "revive" }
  | { readonly kind: "pause" | "resume" | "cancel" }
  | { readonly kind: "end"; readonly which: number; readonly status: "confirmed" | "dead" | "review" };

const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 300,
    arbitrary: fc.record({
      kind: fc.constant("let" as const),
      who: fc.nat(5),
      fate: fc.oneof(
        { weight: 12, arbitrary: fc.constant("works" as const) },
        { weight: 1, arbitrary: fc.constantFrom("lost", "refused", "dies before", "dies after" as const) },
      ),
    }),
  },
  { weight: 15, arbitrary: fc.constant({ kind: "revive" as const }) },
  { weight: 5, arbitrary: fc.constant({ kind: "pause" as const }) },
  { weight: 10, arbitrary: fc.constant({ kind: "resume" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "cancel" as const }) },
  {
    weight: 40,
    arbitrary: fc.record({
      kind: fc.constant("end" as const),
      which: fc.nat(LETTERS - 1),
      status: fc.constantFrom("confirmed", "confirmed", "dead", "review"),
    }),
  },
) as fc.Arbitrary<Move>;

/** A replay with several drivers at once, each of whose calls is let through, lost or cut off by the test. */
class Stage {
  readonly arena = new Arena();
  readonly callers: Caller[] = [];
  id = "";

  async open(): Promise<void> {
    await this.arena.fill(ALICE, LETTERS / 2);
    await this.arena.fill(BOB, LETTERS / 2);
    this.arena.lanes.get(ALICE, "d00001").status = "confirmed";
    this.arena.lanes.get(BOB, "d00001").status = "review";
    this.id = (await this.arena.begin({ ratePerSecond: 3, perLanePerSecond: 2 })).id;
    await this.staff();
  }

  /** Every driver that was started since gets a caller of its own. */
  async staff(): Promise<void> {
    for (const params of this.arena.drivers.splice(0)) {
      const caller = new Caller();
      this.callers.push(caller);
      caller.start(() => this.#drive(params, caller));
      await caller.rest();
    }
  }

  async #drive({ replay, driver: number }: ReplayParams, caller: Caller): Promise<void> {
    const targets = {
      ...this.arena.env,
      LEDGER: interleavedLedger(env.LEDGER, caller),
      SEQUENCER: interleavedLanes(this.arena.lanes, caller),
    };
    const wait = (delayMs: number) => {
      this.arena.nowMs += delayMs;
      return Promise.resolve();
    };
    // Who dies in a call hangs in it, and must not come back to life.
    const bounds = { ...CALL_BOUNDS, callMs: 3_600_000 };
    for (;;) {
      const tools = { config, bounds, now: () => this.arena.nowMs, wait };
      const turn = await driveReplay(targets, { replay, number }, tools);
      if (turn.ended) return;
      await wait(turn.delayMs + 1);
    }
  }

  async play(given: Move): Promise<void> {
    switch (given.kind) {
      case "let": {
        const waiting = this.callers.filter(({ isWaiting }) => isWaiting);
        return waiting[given.who % Math.max(1, waiting.length)]?.let(given.fate);
      }
      case "revive":
        this.arena.nowMs += 60_000;
        await reviveReplays(this.arena.env, this.arena.nowMs);
        return this.staff();
      case "pause":
      case "resume":
      case "cancel":
        await commandReplay(this.arena.env, given.kind, {
          id: this.id,
          actor: "eve",
          reason: "why",
          nowMs: this.arena.nowMs,
        });
        return this.staff();
      case "end": {
        const directive = [...this.arena.lanes.directives.values()][given.which];
        const ends =
          directive?.status === "queued" || (directive?.status === "review" && directive.generation > 0);
        if (directive !== undefined && ends) directive.status = given.status;
      }
    }
  }

  /** The numbers add up, and are those of the letters. */
  async observe(): Promise<string> {
    const replay = await readReplay(env.LEDGER, this.id, this.arena.nowMs);
    if (replay === null) throw new Error("the replay is gone");
    const { total, waiting, inFlight, landed, failedAgain, refused, returned, status } = replayReport(
      replay,
      this.arena.nowMs,
    );
    expect(waiting + inFlight + landed + failedAgain + refused + returned).toBe(total);
    expect(
      await rows("SELECT outcome, COUNT(*) AS letters FROM replay_letters GROUP BY outcome ORDER BY outcome"),
    ).toEqual(await rows("SELECT outcome, letters FROM replay_counts WHERE letters > 0 ORDER BY outcome"));
    expect(await rows("SELECT 1 FROM letters WHERE state = 'replaying'")).toHaveLength(waiting + inFlight);
    return status;
  }

  /** Everything works from here on, and every directive comes to an end. */
  async close(): Promise<void> {
    await this.play({ kind: "resume" });
    for (let index = 0; index < 100; index += 1) {
      await this.play({ kind: "revive" });
      for (let calls = 0; calls < 60; calls += 1) {
        for (const caller of this.callers) if (caller.isWaiting) await caller.let("works");
        for (let which = 0; which < LETTERS; which += 1)
          await this.play({ kind: "end", which, status: "confirmed" });
      }
      if (["done", "cancelled"].includes(await this.observe())) return;
    }
    throw new Error("the replay does not end");
  }
}

test("two drivers at once, crashes after any call, pauses and a cancellation: nothing is sent twice, nothing stays behind", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 40, maxLength: 160 }), async (moves) => {
      await reset();
      await applyD1Migrations(env.LEDGER, env.TEST_MIGRATIONS);
      const stage = new Stage();
      await stage.open();
      for (const [index, given] of moves.entries()) {
        await stage.play(given);
        if (index % 8 === 0 || given.kind === "cancel") await stage.observe();
      }
      await stage.close();
      const { lanes } = stage.arena;
      expect([...lanes.readmissions.values()].filter((times) => times > 1)).toEqual([]);
      expect(await rows("SELECT 1 FROM letters WHERE state = 'replaying'")).toEqual([]);
      for (const row of await rows(
        "SELECT r.outcome, l.lane, l.directive_id, l.state, l.resolution FROM replay_letters r JOIN letters l ON l.id = r.letter_id",
      )) {
        const { status, generation } = lanes.get(String(row["lane"]), String(row["directive_id"]));
        expect({ ...row, status, generation }).toMatchObject(
          {
            landed: { state: "resolved", resolution: "landed", status: "confirmed", generation: 1 },
            "already-landed": { state: "resolved", resolution: "landed", status: "confirmed", generation: 0 },
            "failed-again": { state: "resolved", resolution: "failed-again", status: "dead", generation: 1 },
            refused: { state: "open", resolution: null, status: "review", generation: 0 },
            returned: { state: "open", resolution: null, generation: 0 },
          }[String(row["outcome"])] ?? { state: "of no outcome" },
        );
      }
    }),
    { numRuns: 25, seed: 20261121, endOnFailure: true },
  );
}, 120_000);
