import fc from "fast-check";
import { expect, test } from "vitest";
import { historyFault } from "../model/attack.ts";
import { ACTIONS } from "../model/history.ts";

/** `npm test` runs the same histories each time; the soak runs others, and more of them. */
const RUNS = Number(process.env["MODEL_RUNS"] ?? 20_000);
const SEED = Number(process.env["MODEL_SEED"] ?? 20_261_120);

test("every history of crashes, zombies, late sends, reorgs, foreign transactions, replays and lost messages keeps G1, G2 and G3, and ends", () => {
  const actions = fc.array(fc.nat(ACTIONS.length - 1), { minLength: 20, maxLength: 120 });
  fc.assert(
    fc.property(fc.integer(), actions, fc.boolean(), (seed, history, strict) => {
      expect(historyFault(seed, history, strict)).toBeNull();
    }),
    { numRuns: RUNS, seed: SEED },
  );
}, 3_600_000);
