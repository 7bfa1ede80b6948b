// (e) The same lane with a past: (a) and (b) beside a lane that has settled very many directives, in turns.
import type { BenchWorker } from "./bench-worker.ts";
import { perSecond, unsignedAccount } from "./part-lane.ts";
import { FILLED, UNFILLED } from "./part-confirmed.ts";
import type { Sizes } from "./sizes.ts";
import { confirmedRun, type ConfirmedRun, type Target } from "./submissions.ts";
import { median, shown, type Line } from "./table.ts";

const NEW = unsignedAccount(3);
const OLD = unsignedAccount(4);

/** Fills one lane of each kind, and measures the one that only the bench works. */
export async function filledLaneLines(worker: BenchWorker, sizes: Sizes): Promise<readonly Line[]> {
  await worker.lane(NEW, 100, 1000);
  await worker.lane(OLD, 100, 1000);
  await worker.fill(OLD, sizes.settledRows);
  await worker.fill(FILLED.id, sizes.settledRows);
  const lines: Line[] = [];
  for (const batch of [100, 1]) {
    const rates: { fresh: number[]; filled: number[] } = { fresh: [], filled: [] };
    const sequences = batch === 1 ? sizes.laneSequencesPerTurn / 10 : sizes.laneSequencesPerTurn;
    for (let turn = 0; turn < sizes.turns; turn += 1) {
      rates.fresh.push(perSecond(await worker.lane(NEW, batch, sequences)));
      rates.filled.push(perSecond(await worker.lane(OLD, batch, sequences)));
    }
    const what = `one lane, batch ${batch}, with its confirmations`;
    lines.push(...flat(what, "sequences/s", median(rates.fresh), median(rates.filled), sizes));
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
  return flat("one account, confirmed", "tx/s", rate(fresh), rate(filled), sizes);
}

function flat(what: string, unit: string, fresh: number, filled: number, sizes: Sizes): readonly Line[] {
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
      target: { text: "≥ 0.8 ×", met: filled / fresh >= 0.8 },
    },
  ];
}
