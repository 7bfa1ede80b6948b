import { z } from "zod";

/** What goes wrong in a round, beside the kills: requests to the node; the chain as well; and its newest blocks too. */
export const SCENARIOS = ["requests", "chain", "reorgs"] as const;
export type Scenario = (typeof SCENARIOS)[number];

export const roundSchema = z.object({
  scenario: z.enum(SCENARIOS),
  /** SIGKILLs of the Workers. */
  kills: z.int().positive(),
  /** Of the dice: which request meets which fault depends on the machine as well. */
  seed: z.int(),
});
export type Round = Readonly<z.infer<typeof roundSchema>>;

export const roundReportSchema = roundSchema.extend({
  /** One sentence for each guarantee that did not hold: none is as it should be. */
  faults: z.array(z.string()),
  directives: z.number(),
  /** How often a directive was sent, by any way. */
  sends: z.number(),
  confirmed: z.number(),
  dead: z.number(),
  /** From the end of the faults until nothing was in flight. For information. */
  recoverySeconds: z.number(),
  /** How often each fault of the chain happened. */
  chainFaults: z.record(z.string(), z.number()),
  /** How often each fault of the endpoint was dealt, and how often none. */
  requests: z.record(z.string(), z.number()),
});
export type RoundReport = Readonly<z.infer<typeof roundReportSchema>>;

/** Of rounds with reorgs: none reaches the block at the final depth, and what stays away is soon sent at a higher fee. */
export const REORG_POLICY = { confirmations: 4, bumpAfterSeconds: 4 } as const;

const MOST_KILLS = 40;

/** Rounds that have so many kills together, at least one of each scenario. */
export function planRounds(kills: number, seed: number): readonly Round[] {
  const rounds = Math.max(SCENARIOS.length, Math.ceil(kills / MOST_KILLS));
  return Array.from({ length: rounds }, (_, index) => ({
    scenario: SCENARIOS[index % SCENARIOS.length] ?? "requests",
    kills: Math.ceil(kills / rounds),
    seed: seed + index,
  }));
}
