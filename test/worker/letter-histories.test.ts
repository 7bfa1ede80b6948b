import { env } from "cloudflare:workers";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { z } from "zod";
import { moveLetters } from "../../dlq/letter-changes.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { NOW, rows } from "./dlq-fixture.ts";
import { ANN, directive, letterFor, Operator } from "./letters-fixture.ts";

vi.spyOn(console, "warn").mockImplementation(() => undefined);

const DIRECTIVES = ["a", "b", "c"];
const letterRow = z.object({
  id: z.string(),
  state: z.enum(["open", "replaying", "resolved", "discarded"]),
  resolution: z.string().nullable(),
  directive_id: z.string(),
  generation: z.number(),
  replaced_by: z.string().nullable(),
});
type LetterRow = z.infer<typeof letterRow>;

/** What may happen: an operator's word, a replay, a lane's work, the chain's evidence, a tick of the cron. As likely as often as it stands here. */
const WHAT = [
  "record",
  "record",
  "record",
  "dies",
  "dies",
  "resubmit",
  "resubmit",
  "replay",
  "discard",
  "landed",
  "not-landed",
  "resubmit",
  "resubmit as another",
  "replay",
  "reconcile",
  "dies",
  "is sent",
  "confirmed",
  "reverted",
  "superseded",
] as const;

const step = fc.record({
  what: fc.constantFrom(...WHAT),
  which: fc.nat(20),
  /** At which of its steps it is cut off; most are not. Before the sixth, nothing has been changed by any. */
  cut: fc.oneof(
    { weight: 2, arbitrary: fc.constant(Number.POSITIVE_INFINITY) },
    fc.integer({ min: 6, max: 14 }),
  ),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

async function letters(): Promise<readonly LetterRow[]> {
  return z
    .array(letterRow)
    .parse(
      await rows(
        "SELECT id, state, resolution, directive_id, generation, replaced_by FROM letters ORDER BY seq",
      ),
    );
}

/** The dead-letter queue: every letter that the lane owes reaches the ledger. */
async function record({ lanes }: Operator): Promise<void> {
  for (const { id, state } of lanes.lane(ANN).directives.values())
    if (state === "dead" || state === "review" || state === "reverted") await letterFor(lanes, ANN, id);
}

async function take(operator: Operator, { what, which }: Step): Promise<void> {
  const known = await letters();
  const letter = known[which % Math.max(1, known.length)];
  const all = [...operator.lanes.lane(ANN).directives.values()];
  const on = all[which % all.length]?.id ?? "a";
  const id = letter?.id ?? "none";
  switch (what) {
    case "record":
      return record(operator);
    case "discard":
      return void (await operator.act(id, "discard"));
    case "landed":
    case "not-landed":
      return void (await operator.act(id, "resolve", { outcome: what }));
    case "resubmit":
    case "resubmit as another": {
      const action = { type: "evm.transaction", to: `0x${"c".repeat(40)}`, value: "2" };
      const edited = `${letter?.directive_id ?? "x"}${what === "resubmit" ? "-1" : "-2"}`;
      return void (await operator.act(id, "resubmit", { id: edited, action }));
    }
    case "replay": {
      if (letter === undefined) return;
      const change = { from: ["open"], to: "replaying", replayId: "r1", action: "replay" } as const;
      const moved = await moveLetters(env.LEDGER, [
        { id, ...change, actor: "ann", reason: "fixed", atMs: NOW },
      ]);
      const digest = operator.lanes.lane(ANN).directive(letter.directive_id)?.digest ?? "";
      const key = { id: letter.directive_id, digest, generation: letter.generation };
      if (moved.has(id)) await operator.lanes.getByName(ANN).readmit(key, null);
      return;
    }
    case "reconcile":
      return void (await operator.call("/v1/dlq/reconcile", {}));
    case "dies":
      return operator.lanes.kill(ANN, on);
    case "is sent":
      return operator.lanes.review(ANN, on);
    case "confirmed":
    case "reverted":
      return operator.lanes.end(ANN, on, what);
    case "superseded":
      // Only what is under review dies by evidence: what is at work goes back to the backlog.
      return operator.lanes.statusOf(ANN, on) === "review" ? operator.lanes.end(ANN, on, "dead") : undefined;
  }
}

async function check(
  before: readonly LetterRow[],
  entries: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const now = await letters();
  const counted = await rows(
    "SELECT state, SUM(letters) AS letters FROM letter_counts WHERE letters > 0 GROUP BY state ORDER BY state",
  );
  expect(counted).toEqual(
    await rows("SELECT state, COUNT(*) AS letters FROM letters GROUP BY state ORDER BY state"),
  );
  expect(
    await rows(
      "SELECT letter_id FROM letter_history GROUP BY letter_id HAVING MIN(number) <> 1 OR MAX(number) <> COUNT(*)",
    ),
  ).toEqual([]);
  expect(
    await rows(
      "SELECT number FROM letter_history WHERE trim(actor) = '' OR trim(reason) = '' OR trim(action) = ''",
    ),
  ).toEqual([]);
  expect(
    now.filter(
      ({ state, resolution }) => (state === "resolved" || state === "discarded") !== (resolution !== null),
    ),
  ).toEqual([]);
  const history = new Map(
    z
      .array(z.object({ letter_id: z.string(), entries: z.number() }))
      .parse(await rows("SELECT letter_id, COUNT(*) AS entries FROM letter_history GROUP BY letter_id"))
      .map((row) => [row.letter_id, row.entries]),
  );
  for (const letter of before) {
    const later = now.find(({ id }) => id === letter.id);
    if (letter.state === "resolved" || letter.state === "discarded")
      expect(later, "an ended letter changed").toMatchObject({
        state: letter.state,
        resolution: letter.resolution,
      });
    else if (later?.state !== letter.state)
      expect(history.get(letter.id) ?? 0, "a change without an entry").toBeGreaterThan(
        entries.get(letter.id) ?? 0,
      );
  }
  return history;
}

test("after any history of operators, replays, evidence and crashes, letters end once, say who and why, and agree with their lane", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      await env.LEDGER.batch(
        ["letters", "letter_history", "edits", "reconcile_scans", "letter_counts"].map((table) =>
          env.LEDGER.prepare(`DELETE FROM ${table}`),
        ),
      );
      const operator = new Operator();
      for (const id of DIRECTIVES) operator.lanes.admit(directive(id));
      let history: ReadonlyMap<string, number> = new Map();
      for (const one of steps) {
        const before = await letters();
        operator.cut.steps = 0;
        operator.cut.at = one.cut;
        // What is cut off outside the HTTP application, as a replay may be, is thrown here.
        await take(operator, one).catch((error: unknown) => expect(String(error)).toContain("cut off"));
        operator.cut.at = Number.POSITIVE_INFINITY;
        history = await check(before, history);
      }

      // Faults end: what is owed is recorded, what evidence says is asked for.
      await record(operator);
      for (let round = 0; round < 2; round += 1) await operator.call("/v1/dlq/reconcile", {});
      const lane = operator.lanes.lane(ANN);
      for (const { id, state, resolution, directive_id, generation, replaced_by } of await letters()) {
        const at = lane.directive(directive_id);
        const name = `${id}: ${state} ${resolution}, its directive is ${at?.state} in generation ${at?.generation}`;
        if (at?.state === "confirmed" || at?.state === "replaced")
          expect(["resolved", "discarded"], name).toContain(state);
        if (resolution === "landed") expect(at?.state, name).toBe("confirmed");
        if (resolution === "replaced") {
          expect(at?.state, name).toBe("replaced");
          expect(lane.directive(replaced_by ?? "")?.id, name).toBe(replaced_by);
        }
        if (resolution === "failed-again") expect(at?.generation, name).toBeGreaterThan(generation);
      }
      // An edit takes the place of one directive, and a directive's place is taken by one edit.
      for (const { id, state } of lane.directives.values())
        expect(
          [`${id}-1`, `${id}-2`].filter((edited) => lane.directive(edited) !== undefined).length,
          id,
        ).toBe(state === "replaced" ? 1 : 0);
      // Every dead directive is in a letter that somebody may act on, unless it was given up or is about to be sent.
      const known = await letters();
      for (const { id, digest, state, generation } of lane.directives.values()) {
        if (state !== "dead" && state !== "reverted") continue;
        const key = { kind: "directive", lane: ANN, directiveId: id, digest, generation } as const;
        expect(known.find((letter) => letter.id === letterId(key))?.state, id).not.toBe("resolved");
      }
    }),
    { numRuns: 40, seed: 20_261_121 },
  );
}, 240_000);
