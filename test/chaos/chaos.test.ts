import { expect, test } from "vitest";
import { play } from "./play.ts";
import { playInCopy } from "./play-copy.ts";
import { planRounds } from "./round.ts";

/** `npm test` plays a short plan with the same dice each time; the soak a long one with others. */
const KILLS = Number(process.env["CHAOS_KILLS"] ?? 24);
const SEED = Number(process.env["CHAOS_SEED"] ?? 20_261_120);

test.each(planRounds(KILLS, SEED))(
  "after $kills kills amid faults of $scenario (seed $seed), each directive has paid once or lies in the ledger, and no sequence is missing",
  async (round) => {
    const report = await (round.scenario === "reorgs" ? playInCopy(round) : play(round));
    console.log(JSON.stringify(report));
    expect(report.faults).toEqual([]);
    expect(report.confirmed).toBeGreaterThan(0);
    expect(report.dead).toBeGreaterThan(0);
  },
);
