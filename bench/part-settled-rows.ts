// (e) The same lane with a past: (a) and (b) beside a lane that has settled very many directives, in turns.
import type { BenchWorker } from "./bench-worker.ts";
import type { Naming } from "./reports.ts";
import { perSecond, unsignedAccount } from "./part-lane.ts";
import { FILLED, UNFILLED } from "./part-confirmed.ts";
import type { Sizes } from "./sizes.ts";
import { confirmedRun, type ConfirmedRun, type Target } from "./submissions.ts";
import { median, shown, type Line } from "./table.ts";

const NEW = unsignedAccount(3);
const OLD = unsignedAccount(4);

/** Of a new lane's rate, with no margin for more than the noise of one machine. */
const FLAT = 0.8;
/** A hundred ids at random lie on a hundred pages of an index of a million: each is read, and written anew. */
const SCATTERED = 0.5;
const CASES = [
  { batch: 100, ids: "by-time", target: FLAT },
  { batch: 100, ids: "random", target: SCATTERED },
  { batch: 1, ids: "random", target: FLAT },
] as const satisfies readonly { batch: number; ids: Naming; target: number }[];

/** Fills one lane of each kind, and measures the one that only the bench works. */
export async function filledLaneLines(worker: BenchWorker, sizes: Sizes): Promise<readonly Line[]> {
  await worker.lane(NEW, 100, 1000);
  await worker.lane(OLD, 100, 1000);
  await worker.fill(OLD, sizes.settledRows);
  await worker.fill(FILLED.id, sizes.settledRows);
  const lines: Line[] = [];
  for (const { batch, ids, target } of CASES) {
    const rates: { fresh: number[]; filled: number[] } = { fresh: [], filled: [] };
    const sequences = batch === 1 ? sizes.laneSequencesPerTurn / 10 : sizes.laneSequencesPerTurn;
    for (let turn = 0; turn < sizes.turns; turn += 1) {
      rates.fresh.push(perSecond(await worker.lane(NEW, batch, sequences, ids)));
      rates.filled.push(perSecond(await worker.lane(OLD, batch, sequences, ids)));
    }
    const what = `one lane, batch ${batch}, with its confirmations, ids ${ids === "random" ? "at random" : "by time"}`;
    lines.push(...flat(what, "sequences/s", median(rates.fresh), median(rates.filled), sizes, target));
  }
  return lines;
}

/** On the product's own Worker, after `filledLaneLines`. */
export async function filledConfirmedLines(target: Target, sizes: Sizes): Promise<readonly Line[]> {
  await confirmedRun(target, [FILLED, UNFILLED], 100);
  const fresh: ConfirmedRun[] = [];
  const filled: ConfirmedRun[] = [];
  for (let turn = 0; turn < sizes.repeats; turn += 1) {
    fresh.push(await confirmedRun(target, [UNFILLED], sizes.oneAccount));
    filled.push(await confirmedRun(target, [FILLED], sizes.oneAccount));
  }
  const rate = (runs: readonly ConfirmedRun[]) => median(runs.map((run) => run.perSecond));
  return flat("one account, confirmed", "tx/s", rate(fresh), rate(filled), sizes, FLAT);
}

function flat(
  what: string,
  unit: string,
  fresh: number,
  filled: number,
  sizes: Sizes,
  least: number,
): readonly Line[] {
  const rows = `${shown(sizes.settledRows)} settled rows`;
  return [
    { part: "e", what: `${what}, new lane`, value: fresh, unit },
    {
      part: "e",
      what: `${what}, ${rows}`,
      value: filled,
      unit,
      against: "new lane",
      ratio: filled / fresh,
      target: { text: `≥ ${least} ×`, met: filled / fresh >= least },
    },
  ];
}
