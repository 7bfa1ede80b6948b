import type { Tally } from "../reports.ts";

/** All Workers and objects of one local workerd share it: they are one isolate. */
let tally = empty();

/** To be added to. */
export function currentTally(): Tally {
  return tally;
}

/** The tally since the last call of this. */
export function takeTally(): Tally {
  const taken = tally;
  tally = empty();
  return taken;
}

/** Adds the time of one stage to the tally, whether it fails or not. */
export async function timed<Value>(stage: string, run: () => Promise<Value>): Promise<Value> {
  const begunMs = performance.now();
  try {
    return await run();
  } finally {
    addStage(stage, performance.now() - begunMs);
  }
}

export function addStage(stage: string, ms: number): void {
  const entry = (tally.stages[stage] ??= { calls: 0, ms: 0 });
  entry.calls += 1;
  entry.ms += ms;
}

function empty(): Tally {
  return {
    calls: {},
    rowsWritten: 0,
    rowsRead: 0,
    queueSends: 0,
    queueDeliveries: 0,
    queueBatches: 0,
    httpRequests: 0,
    ledgerStatements: 0,
    stages: {},
  };
}
