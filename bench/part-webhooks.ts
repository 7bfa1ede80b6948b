// (f) Webhook events: admitted and delivered, for one ordering key and for many, against a Worker that only verifies the
// signature; and what one costs.
import { randomUUID } from "node:crypto";
import { pause } from "../ops/wait-until.ts";
import type { BenchWorker } from "./bench-worker.ts";
import {
  admitThenDeliver,
  deliverEvents,
  postEvents,
  signedEvents,
  type DeliveredRun,
  type PostedRun,
} from "./events.ts";
import { costOf, dollarsPerMillion, summed } from "./prices.ts";
import type { CountingReceiver } from "./receiver.ts";
import type { Tally } from "./reports.ts";
import type { Sizes } from "./sizes.ts";
import type { Target } from "./submissions.ts";
import { median, percentile, shown, type Line } from "./table.ts";

const part = "f" as const;
const KEYS = 1000;
const MANY = `${shown(KEYS)} keys`;
const BARE = "bare Worker";

/** By then the alarms of very many inboxes have rung, three seconds after the last admission, and found nothing. */
const ALARMS_MS = 6000;

/** @param product runs during all of it, and so does the Worker at the URL `bare` */
export async function webhookLines(
  { product, bare }: { readonly product: Target; readonly bare: string },
  secret: string,
  receiver: CountingReceiver,
  sizes: Sizes,
): Promise<readonly Line[]> {
  const { url } = product;
  const one = keysOf(1);
  const many = keysOf(KEYS);
  const events = (keys: readonly string[]) => signedEvents(secret, keys, sizes.events);
  await postEvents(bare, signedEvents(secret, one, 200));
  await deliverEvents(url, signedEvents(secret, one, 200), receiver);
  const first = await deliverEvents(url, signedEvents(secret, many, KEYS), receiver);
  await pause(ALARMS_MS);
  const bares: PostedRun[] = [];
  const alone: DeliveredRun[] = [];
  const ones: DeliveredRun[] = [];
  const manies: DeliveredRun[] = [];
  for (let turn = 0; turn < sizes.repeats; turn += 1) {
    bares.push(await postEvents(bare, events(one)));
    for (const key of one) alone.push(await admitThenDeliver(product, key, events(one), receiver));
    ones.push(await deliverEvents(url, events(one), receiver));
    manies.push(await deliverEvents(url, events(many), receiver));
    await pause(ALARMS_MS);
  }
  const baseline = median(bares.map(({ perSecond }) => perSecond));
  const wrong = receiver.outOfOrder() + receiver.doubled();
  return [
    { part, what: `${BARE}: signature verified, 202`, value: baseline, unit: "events/s" },
    latencyLine(BARE, bares),
    ...keyLines("one key, paused meanwhile", alone, baseline),
    ...keyLines("one key", ones, baseline),
    ...keyLines(MANY, manies, baseline),
    ...keyLines(`${MANY}, the first event of each`, [first], baseline),
    {
      part,
      what: "delivered out of order, or twice, at the receiver",
      value: wrong,
      unit: "",
      target: { text: "0", met: wrong === 0 },
    },
  ];
}

function keyLines(what: string, runs: readonly DeliveredRun[], baseline: number): readonly Line[] {
  const admitted = median(runs.map(({ perSecond }) => perSecond));
  const delivered = median(runs.map(({ deliveredPerSecond }) => deliveredPerSecond));
  const rate = { part, unit: "events/s", against: BARE };
  return [
    { ...rate, what: `${what}: admitted`, value: admitted, ratio: admitted / baseline },
    latencyLine(what, runs),
    { ...rate, what: `${what}: delivered`, value: delivered, ratio: delivered / baseline },
  ];
}

function latencyLine(what: string, runs: readonly PostedRun[]): Line {
  const latencies = runs.flatMap((run) => run.latencies).toSorted((left, right) => left - right);
  const [p50, p99] = [shown(percentile(latencies, 0.5)), shown(percentile(latencies, 0.99))];
  return { part, what: `${what}: p50 / p99 of a request`, value: `${p50} / ${p99}`, unit: "ms" };
}

/**
 * What an event costs, on the bench's Worker. Posted in hundreds, each delivered before the next: an inbox rings again for
 * what waits for three seconds, and how much does is a matter of the machine.
 */
export async function webhookCostLines(
  worker: BenchWorker,
  secret: string,
  receiver: CountingReceiver,
  { costedEvents }: Sizes,
): Promise<readonly Line[]> {
  const lines: Line[] = [];
  for (const keys of [keysOf(1), keysOf(costedEvents)]) {
    const deliver = async (events: number): Promise<void> => {
      const all = signedEvents(secret, keys, events);
      for (let start = 0; start < events; start += 100)
        await deliverEvents(worker.url, all.slice(start, start + 100), receiver);
    };
    await deliver(keys.length);
    await quiet(worker);
    await deliver(costedEvents);
    lines.push(...costLines(keys.length === 1 ? "one key" : "a key each", await quiet(worker), costedEvents));
  }
  return lines;
}

/** An inbox's alarm rings three seconds after the last admission, and finds nothing. */
const QUIET_MS = 5000;

/** The tally since the last one, when nothing has been counted for a while. */
async function quiet(worker: BenchWorker): Promise<Tally> {
  let tally = await worker.tally();
  for (;;) {
    await pause(QUIET_MS);
    const more = await worker.tally();
    if (Object.keys(more.calls).length === 0) return tally;
    tally = summed(tally, more);
  }
}

function costLines(what: string, tally: Tally, events: number): readonly Line[] {
  const cost = costOf(tally, events);
  const unit = "an event";
  const calls = Object.entries(tally.calls).map(([method, count]) => `${method} ${count}`);
  return [
    { part, what: `${what}: calls of inbox and index, alarms included`, value: cost.objectRequests, unit },
    { part, what: `${what}: of ${shown(events)} events`, value: calls.join(", "), unit: "" },
    { part, what: `${what}: rows written, alarms included`, value: cost.rowsWritten, unit },
    { part, what: `${what}: rows read`, value: cost.rowsRead, unit },
    { part, what: `${what}: queue operations`, value: cost.queueOperations, unit },
    { part, what: `${what}: Worker requests (HTTP and queue batches)`, value: cost.workerRequests, unit },
    { part, what: `${what}: D1 statements`, value: cost.ledgerStatements, unit },
    {
      part,
      what: `${what}: price, duration not counted`,
      value: dollarsPerMillion(cost),
      unit: "$ a million",
    },
  ];
}

/** Keys that nobody had before. */
function keysOf(count: number): readonly string[] {
  const run = randomUUID().slice(0, 8);
  return Array.from({ length: count }, (_, index) => `cus_${run}_${index}`);
}
