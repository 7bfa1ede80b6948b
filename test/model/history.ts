import type { World } from "./world.ts";

/** A small generator of its own: fast-check gives the seed, so that a failing history is found again. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What may happen next, each as likely as often as it stands here. */
export const ACTIONS: readonly ((world: World) => void)[] = [
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
  (world) => world.chain.deliver(),
  (world) => world.chain.lose(),
  (world) => world.chain.mine(1 + world.pick(3)),
  (world) => world.chain.mine(1),
  (world) => world.chain.drop(),
  (world) => world.chain.foreign(),
  (world) => world.chain.reorg(),
  (world) => world.readmitSome(),
  (world) => world.burnSome(),
  (world) => world.lookUpFails(),
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
