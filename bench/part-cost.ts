// (d) What a directive costs on its way from HTTP to its confirmation, submitted in hundreds.
import { anvilAccount } from "../ops/anvil-accounts.ts";
import type { BenchWorker } from "./bench-worker.ts";
import { costOf, dollarsPerMillion } from "./prices.ts";
import type { Tally } from "./reports.ts";
import type { Sizes } from "./sizes.ts";
import { confirmedRun } from "./submissions.ts";
import { shown, type Line } from "./table.ts";

const ACCOUNT = anvilAccount(4);

export async function costLines(
  worker: BenchWorker,
  sizes: Sizes,
): Promise<{ readonly lines: readonly Line[]; readonly tally: Tally }> {
  await confirmedRun(worker, [ACCOUNT], 300);
  await worker.tally();
  await confirmedRun(worker, [ACCOUNT], sizes.costed);
  const tally = await worker.tally();
  const cost = costOf(tally, sizes.costed);
  const part = "d" as const;
  const unit = "a directive";
  const calls = Object.entries(tally.calls).map(([method, count]) => `${method} ${count}`);
  const lines: readonly Line[] = [
    {
      part,
      what: "Sequencer calls, alarms included",
      value: cost.objectRequests,
      unit,
      target: { text: "≤ 0.06", met: cost.objectRequests <= 0.06 },
    },
    { part, what: `of ${shown(sizes.costed)} directives`, value: calls.join(", "), unit: "" },
    {
      part,
      what: "rows written, alarms included",
      value: cost.rowsWritten,
      unit,
      target: { text: "≤ 6", met: cost.rowsWritten <= 6 },
    },
    { part, what: "rows read", value: cost.rowsRead, unit },
    { part, what: "queue operations", value: cost.queueOperations, unit },
    { part, what: "Worker requests (HTTP and queue batches)", value: cost.workerRequests, unit },
    {
      part,
      what: "D1 statements",
      value: cost.ledgerStatements,
      unit,
      target: { text: "0", met: cost.ledgerStatements === 0 },
    },
    { part, what: "price, duration not counted", value: dollarsPerMillion(cost), unit: "$ a million" },
  ];
  return { lines, tally };
}
