import fc from "fast-check";
import { expect, test } from "vitest";
import { ACTIONS, chance } from "../model/history.ts";
import { World } from "../model/world.ts";

const RUNS = Number(process.env["MODEL_RUNS"] ?? 3000);

test("every history of crashes, late sends, foreign transactions and lost messages keeps G1, G2 and G3, and ends", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.nat(ACTIONS.length - 1), { minLength: 20, maxLength: 120 }),
      (seed, actions) => {
        const world = new World(chance(seed));
        world.admitSome(2);
        for (const action of actions) {
          ACTIONS[action]?.(world);
          world.check();
          expect(world.violations).toEqual([]);
        }
        const ended = world.calm();
        expect(world.violations).toEqual([]);
        expect(ended, "when faults stop, every directive comes to an end").toBe(true);
        world.checkEnd();
        expect(world.violations).toEqual([]);
      },
    ),
    { numRuns: RUNS },
  );
});
