import fc from "fast-check";
import { expect, test } from "vitest";
import { World } from "../model/world.ts";

const RUNS = Number(process.env["MODEL_RUNS"] ?? 3000);

/** A small generator of its own: fast-check gives the seed, so that a failing history is found again. */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const ACTIONS: readonly ((world: World) => void)[] = [
  (world) => world.admitSome(1 + world.pick(4)),
  (world) => world.admitAgain(),
  (world) => world.begin(),
  (world) => world.begin(),
  (world) => void world.step(true),
  (world) => void world.step(true),
  (world) => void world.step(true),
  (world) => void world.step(true),
  (world) => void world.step(true),
  (world) => void world.step(true),
  (world) => world.crash(),
  (world) => world.deliver(),
  (world) => world.lose(),
  (world) => world.mine(1 + world.pick(3)),
  (world) => world.mine(1),
  (world) => world.drop(),
  (world) => world.foreign(),
  (world) => world.lookUp(),
  (world) => world.tell(),
  (world) => world.tell(),
  (world) => world.alarm(world.pick(3) === 0),
  (world) => world.alarm(false),
  (world) => {
    world.nowMs += 100 + world.pick(3000);
  },
  (world) => {
    world.nowMs += 12_000;
  },
];

test("every history of crashes, late sends, foreign transactions and lost messages keeps G1, G2 and G3, and ends", () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(fc.nat(ACTIONS.length - 1), { minLength: 20, maxLength: 120 }), (seed, actions) => {
      const world = new World(chance(seed));
      world.admitSome(2);
      for (const action of actions) {
        ACTIONS[action]?.(world);
        expect(world.violations).toEqual([]);
      }
      expect(world.calm(), "when faults stop, every directive comes to an end").toBe(true);
      world.checkEnd();
      expect(world.violations).toEqual([]);
    }),
    { numRuns: RUNS },
  );
});
