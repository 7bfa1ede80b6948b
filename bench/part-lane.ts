// (a) One lane by itself: sequences a second, and what 100 callers at once wait.
import type { BenchWorker } from "./bench-worker.ts";
import type { Sizes } from "./sizes.ts";
import { percentile, shown, type Line } from "./table.ts";

const STAGGER_MS = 400;
const STAGGER = `stagger of ${STAGGER_MS} ms`;
const CALLERS = 100;

/** Accounts that nobody signs for: doorbells of their lanes are acknowledged, and no chain is asked for them. */
export function unsignedAccount(index: number): string {
  return `eip155:31337:0x${(0xbe9c00 + index).toString(16).padStart(40, "0")}`;
}

export async function laneLines(worker: BenchWorker, sizes: Sizes): Promise<readonly Line[]> {
  const stagger = await worker.stagger(sizes.staggerCallers, STAGGER_MS);
  const baseline = perSecond(stagger);
  await worker.lane(unsignedAccount(0), 100, sizes.laneSequences / 10);
  const hundreds = await worker.lane(unsignedAccount(0), 100, sizes.laneSequences);
  const singles = await worker.lane(unsignedAccount(1), 1, sizes.laneSingles);
  const callers = await worker.callers(unsignedAccount(2), CALLERS, sizes.callerRounds);
  const flights = { sequences: hundreds.sequences, ms: hundreds.ms - hundreds.confirmMs };
  // The baseline gives a number to whoever asks and keeps nothing of the asker: this is the like of it.
  const given = { sequences: hundreds.sequences, ms: flights.ms - hundreds.admitMs };
  const faults = [hundreds, singles, callers].map(({ duplicates, gaps }) => duplicates + gaps);
  const wrong = faults.reduce((sum, count) => sum + count, 0);
  const p99 = percentile(callers.latencies, 0.99);
  return [
    { part: "a", what: `baseline: ${STAGGER}, any batch`, value: baseline, unit: "sequences/s" },
    {
      part: "a",
      what: "one lane, batch 100: taken, recorded, settled",
      value: perSecond(given),
      unit: "sequences/s",
      against: STAGGER,
      ratio: perSecond(given) / baseline,
      target: { text: "≥ 5,000 ×", met: perSecond(given) / baseline >= 5000 },
    },
    {
      part: "a",
      what: "the same with the admission of their directives",
      value: perSecond(flights),
      unit: "sequences/s",
      against: STAGGER,
      ratio: perSecond(flights) / baseline,
    },
    {
      part: "a",
      what: "and with its confirmations",
      value: perSecond(hundreds),
      unit: "sequences/s",
      against: STAGGER,
      ratio: perSecond(hundreds) / baseline,
    },
    {
      part: "a",
      what: "one lane, batch 1",
      value: perSecond(singles),
      unit: "sequences/s",
      against: STAGGER,
      ratio: perSecond(singles) / baseline,
    },
    {
      part: "a",
      what: `${CALLERS} callers at once, one sequence each: p50`,
      value: percentile(callers.latencies, 0.5),
      unit: "ms",
    },
    {
      part: "a",
      what: `${CALLERS} callers at once, one sequence each: p99`,
      value: p99,
      unit: "ms",
      against: `${STAGGER}: ${shown((CALLERS * STAGGER_MS) / 1000)} s`,
      ratio: p99 / (CALLERS * STAGGER_MS),
      target: { text: "< 1 s", met: p99 < 1000 },
    },
    {
      part: "a",
      what: "duplicates and gaps in all of these",
      value: wrong,
      unit: "",
      target: { text: "0", met: wrong === 0 },
    },
  ];
}

export function perSecond({ sequences, ms }: { readonly sequences: number; readonly ms: number }): number {
  return (sequences / ms) * 1000;
}
