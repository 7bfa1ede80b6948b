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

/** What one directive or event uses, on the average of a run. */
export interface Cost {
  readonly workerRequests: number;
  readonly objectRequests: number;
  readonly rowsWritten: number;
  readonly rowsRead: number;
  readonly queueOperations: number;
  readonly ledgerStatements: number;
}

export function costOf(tally: Tally, count: number): Cost {
  const calls = Object.values(tally.calls).reduce((sum, made) => sum + made, 0);
  return {
    workerRequests: (tally.httpRequests + tally.queueBatches) / count,
    objectRequests: calls / count,
    rowsWritten: tally.rowsWritten / count,
    rowsRead: tally.rowsRead / count,
    // A message is written once, read once for each delivery, and deleted once.
    queueOperations: (2 * tally.queueSends + tally.queueDeliveries) / count,
    ledgerStatements: tally.ledgerStatements / count,
  };
}

/** Dollars for a million of that cost. */
export function dollarsPerMillion(cost: Cost): number {
  return (
    cost.workerRequests * PRICES.workerRequests +
    cost.objectRequests * PRICES.objectRequests +
    cost.rowsWritten * PRICES.rowsWritten +
    cost.rowsRead * PRICES.rowsRead +
    cost.queueOperations * PRICES.queueOperations
  );
}

/** Two tallies, one after the other, as one. */
export function summed(first: Tally, then: Tally): Tally {
  const calls = { ...first.calls };
  for (const [method, count] of Object.entries(then.calls)) calls[method] = (calls[method] ?? 0) + count;
  const stages = { ...first.stages };
  for (const [stage, { calls: count, ms }] of Object.entries(then.stages)) {
    const before = stages[stage];
    stages[stage] = { calls: (before?.calls ?? 0) + count, ms: (before?.ms ?? 0) + ms };
  }
  return {
    calls,
    stages,
    rowsWritten: first.rowsWritten + then.rowsWritten,
    rowsRead: first.rowsRead + then.rowsRead,
    queueSends: first.queueSends + then.queueSends,
    queueDeliveries: first.queueDeliveries + then.queueDeliveries,
    queueBatches: first.queueBatches + then.queueBatches,
    httpRequests: first.httpRequests + then.httpRequests,
    ledgerStatements: first.ledgerStatements + then.ledgerStatements,
  };
}
