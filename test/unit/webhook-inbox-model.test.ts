import fc from "fast-check";
import { expect, test } from "vitest";
import { INBOX_ACTIONS, INBOX_KINDS, inboxFault } from "../model/inbox-attack.ts";

/** `npm test` runs the same histories each time; the soak runs others, and more of them. */
const RUNS = Number(process.env["MODEL_RUNS"] ?? 20_000);
const SEED = Number(process.env["MODEL_SEED"] ?? 20_261_120);

test("every history of crashes, zombies, late arrivals, lost answers, pauses, skips and replays keeps G3 and G4, and ends", () => {
  const actions = fc.array(fc.nat(INBOX_ACTIONS.length - 1), { minLength: 20, maxLength: 140 });
  fc.assert(
    fc.property(fc.integer(), actions, fc.constantFrom(...INBOX_KINDS), (seed, history, kind) => {
      expect(inboxFault(seed, history, kind)).toBeNull();
    }),
    { numRuns: RUNS, seed: SEED },
  );
}, 3_600_000);
