import { ApiError, type Client } from "../client.ts";
import type { RpcProxy } from "../rpc-proxy.ts";
import type { Stack } from "../stack.ts";
import { pause, waitUntil } from "../wait-until.ts";
import type { Step } from "./terminal.ts";
import type { Good, Traffic } from "./traffic.ts";

const BATCH = 25;
const CONCURRENT = 5;
/** How long the chain cannot be reached: long enough for look-ups to fail three times, and the lanes to degrade. */
const OUTAGE_MS = 5000;
const TICK_MS = 100;
const CRASH_BATCH = 20;
const RECOVER_WITHIN_MS = 20_000;

export interface Ways {
  readonly stack: Stack;
  readonly producer: Client;
  readonly proxy: RpcProxy;
  readonly signal: AbortSignal;
}

/** The first half of what must land, one by one, in batches and over the queue; with all poison but the conflicts. */
export async function sendFirstHalf(traffic: Traffic, ways: Ways): Promise<void> {
  const [batched] = halves(traffic, "http-batch");
  const [queued] = halves(traffic, "queue");
  await Promise.all([
    sendSingles(
      traffic.good.filter(({ source }) => source === "http-single"),
      ways,
    ),
    sendBatches(batched, ways),
    sendQueued(queued, ways),
    sendPoison(traffic, ways),
  ]);
}

/** The second half, while the chain cannot be reached. Everything is taken all the same. */
export async function sendDuringOutage(traffic: Traffic, ways: Ways, step: Step): Promise<void> {
  const [, batched] = halves(traffic, "http-batch");
  const [, queued] = halves(traffic, "queue");
  const startedAt = Date.now();
  ways.proxy.setDown(true);
  try {
    await Promise.all([sendBatches(batched, ways), sendQueued(queued, ways)]);
    while (Date.now() - startedAt < OUTAGE_MS && !ways.signal.aborted) {
      const { broken } = ways.proxy.counts;
      step.progress(`${batched.length + queued.length} more accepted, ${broken} calls to the chain broke`);
      await pause(TICK_MS);
    }
  } finally {
    ways.proxy.setDown(false);
  }
}

/** Known ids again: the same payload both ways, another payload both ways. Answers how HTTP took them. */
export async function sendRepeated(
  traffic: Traffic,
  { stack, producer }: Ways,
): Promise<{ readonly repeatedKnown: number; readonly conflict: number }> {
  const { status, receipts } = await producer.post(
    traffic.repeatedOverHttp.map(({ directive }) => directive),
  );
  await stack.send(traffic.repeatedOnQueue.map(({ directive }) => ({ directive })));
  const conflicts = traffic.poison.filter(({ code }) => code === "conflicting_payload");
  await stack.send(conflicts.flatMap(({ items }) => items));
  const conflict = await producer.post(traffic.conflictOverHttp.directive);
  return { repeatedKnown: status === 200 ? receipts.length : 0, conflict: conflict.status };
}

/**
 * Over HTTP, while the processes that run the Worker are killed. What was not answered is sent again, as a careful
 * producer does: the ids make that safe.
 */
export async function sendDuringCrash(traffic: Traffic, { stack, producer, signal }: Ways): Promise<void> {
  const goods = traffic.good.filter(({ source }) => source === "crash");
  const batches = groups(goods, CRASH_BATCH).map((group) => group.map(({ directive }) => directive));
  const [first = [], ...others] = batches;
  requireTaken(await producer.post(first));
  const killed = stack.killWorker();
  const sendUntilTaken = (batch: typeof first) =>
    waitUntil(() => producer.post(batch).then(takenOrRepeated, retryable), {
      what: "an answer of the killed Worker",
      withinMs: RECOVER_WITHIN_MS,
      everyMs: TICK_MS,
      signal,
      tail: stack.tail,
    });
  await Promise.all([killed, ...others.map(sendUntilTaken)]);
}

async function sendSingles(goods: readonly Good[], { producer, signal }: Ways): Promise<void> {
  for (const group of groups(goods, CONCURRENT)) {
    signal.throwIfAborted();
    await Promise.all(group.map(async ({ directive }) => requireTaken(await producer.post(directive))));
  }
}

export async function sendBatches(goods: readonly Good[], { producer, signal }: Ways): Promise<void> {
  for (const group of groups(goods, BATCH)) {
    signal.throwIfAborted();
    requireTaken(await producer.post(group.map(({ directive }) => directive)));
  }
}

async function sendQueued(goods: readonly Good[], { stack, signal }: Ways): Promise<void> {
  for (const group of groups(goods, BATCH)) {
    signal.throwIfAborted();
    await stack.send(group.map(({ directive }) => ({ directive })));
  }
}

async function sendPoison({ poison }: Traffic, { stack, producer }: Ways): Promise<void> {
  for (const { code, via, items } of poison) {
    if (code === "conflicting_payload") continue;
    if (via === "queue") {
      await stack.send(items);
      continue;
    }
    for (const item of items) {
      if ("directive" in item) requireTaken(await producer.post(item.directive));
    }
  }
}

function takenOrRepeated({ status }: { readonly status: number }): true {
  if (status !== 200) requireTaken({ status });
  return true;
}

/** A broken connection, or a Worker that is on its way up. */
function retryable(error: unknown): undefined {
  if (error instanceof ApiError && error.status < 500) throw error;
  return undefined;
}

function requireTaken({ status }: { readonly status: number }): void {
  if (status !== 202) throw new Error(`a new directive was answered with ${status}, not 202`);
}

function halves({ good }: Traffic, source: Good["source"]): readonly [readonly Good[], readonly Good[]] {
  const all = good.filter((one) => one.source === source);
  const middle = Math.ceil(all.length / 2);
  return [all.slice(0, middle), all.slice(middle)];
}

function groups<Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
