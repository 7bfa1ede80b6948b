import type { Tally } from "./reports.ts";

/**
 * Workers Paid, in dollars a million, beyond what the plan includes. Sources:
 * https://developers.cloudflare.com/workers/platform/pricing/,
 * https://developers.cloudflare.com/durable-objects/platform/pricing/,
 * https://developers.cloudflare.com/queues/platform/pricing/.
 * Not in it: duration of Durable Objects, CPU time of Workers, storage.
 */
export const PRICES = {
  workerRequests: 0.3,
  objectRequests: 0.15,
  rowsWritten: 1,
  rowsRead: 0.001,
  queueOperations: 0.4,
};

/** What one directive uses, on the average of a run. */
export interface Cost {
  readonly workerRequests: number;
  readonly objectRequests: number;
  readonly rowsWritten: number;
  readonly rowsRead: number;
  readonly queueOperations: number;
  readonly ledgerStatements: number;
}

export function costOf(tally: Tally, directives: number): Cost {
  const calls = Object.values(tally.calls).reduce((sum, count) => sum + count, 0);
  return {
    workerRequests: (tally.httpRequests + tally.queueBatches) / directives,
    objectRequests: calls / directives,
    rowsWritten: tally.rowsWritten / directives,
    rowsRead: tally.rowsRead / directives,
    // A message is written once, read once for each delivery, and deleted once.
    queueOperations: (2 * tally.queueSends + tally.queueDeliveries) / directives,
    ledgerStatements: tally.ledgerStatements / directives,
  };
}

/** Dollars for a million directives of that cost. */
export function dollarsPerMillion(cost: Cost): number {
  return (
    cost.workerRequests * PRICES.workerRequests +
    cost.objectRequests * PRICES.objectRequests +
    cost.rowsWritten * PRICES.rowsWritten +
    cost.rowsRead * PRICES.rowsRead +
    cost.queueOperations * PRICES.queueOperations
  );
}
