import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { ACTIONS, chance } from "../model/history.ts";
import { MirroredLane } from "../model/mirrored-lane.ts";
import { World } from "../model/world.ts";

test("the lane in SQLite, opened anew after each event, is the lane in memory over random histories", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const stub = env.SEQUENCER.getByName(`mirror-${seed}`);
    const differs = await runInDurableObject(stub, (_, state) => {
      const lane = new MirroredLane(state.storage.sql);
      const random = chance(seed);
      const world = new World(random, { lane, strict: seed % 2 === 0 });
      world.admitSome(3);
      for (let step = 0; step < 120 && lane.differs === null; step += 1)
        ACTIONS[world.pick(ACTIONS.length)]?.(world);
      return lane.differs ?? world.violations[0] ?? null;
    });
    expect(differs, `seed ${seed}`).toBeNull();
  }
});
