// (g) Dead letters: recorded, listed and counted among very many, and replayed.
import { ANVIL_ACCOUNTS, type AnvilAccount } from "../ops/anvil-accounts.ts";
import { waitUntil } from "../ops/wait-until.ts";
import type { BenchWorker } from "./bench-worker.ts";
import { nonces } from "./chain.ts";
import { FILLED_CODES, filledLane, KILLED_CODE, OPENED_EVERY_MS, RARE_CODE } from "./filled-ledger.ts";
import { letterCalls, type LetterCalls } from "./letters.ts";
import type { Sizes } from "./sizes.ts";
import type { Target } from "./submissions.ts";
import { percentile, shown, type Line } from "./table.ts";

const part = "g" as const;
/** Accounts whose lanes neither (c) has paused nor (e) has filled. */
const REPLAYED = ANVIL_ACCOUNTS.slice(5, 10);
/** Letters a second: a redrive of Amazon SQS takes at most so many. */
const REDRIVE_PER_SECOND = 500;
const REDRIVE = `a redrive of ${REDRIVE_PER_SECOND} letters/s`;
/** The most that the API takes: far more than there is. */
const UNTHROTTLED = 5000;
const RECORDED_WITHIN_MS = 120_000;
const REPLAYED_WITHIN_MS = 180_000;
const POLL_MS = 50;

/** On the bench's Worker: records letters, and leaves the ledger full, with what `replayLines` replays in it. */
export async function recordedLines(worker: BenchWorker, sizes: Sizes): Promise<readonly Line[]> {
  const calls = letterCalls(worker.url, worker.operatorToken);
  const recorded = async (run: () => Promise<unknown>, count: number): Promise<number> => {
    const before = (await calls.depth()).letters.open;
    const begunMs = performance.now();
    await run();
    await waitUntil(async () => ((await calls.depth()).letters.open >= before + count ? true : undefined), {
      what: `${count} letters more`,
      withinMs: RECORDED_WITHIN_MS,
      everyMs: POLL_MS,
    });
    return (count / (performance.now() - begunMs)) * 1000;
  };
  const sequences = await nonces(worker.chainUrl, REPLAYED);
  const each = sizes.replayedEach;
  await recorded(() => worker.deadLetters(200), 200);
  const raw = await recorded(() => worker.deadLetters(sizes.recorded), sizes.recorded);
  const killed = await recorded(
    () => Promise.all(REPLAYED.map(({ id }, index) => worker.kill(id, each, sequences[index] ?? 0))),
    each * REPLAYED.length,
  );
  await worker.fillLedger(sizes.letters);
  return [
    { part, what: "unreadable messages, from their queue into the ledger", value: raw, unit: "letters/s" },
    {
      part,
      what: `directives of ${REPLAYED.length} lanes that die, from their refusal into the ledger`,
      value: killed,
      unit: "letters/s",
    },
  ];
}

/** On the product's own Worker, after `recordedLines`. */
export async function watchedLines(target: Target, sizes: Sizes): Promise<readonly Line[]> {
  const calls = letterCalls(target.url, target.operatorToken);
  const filters = filtersOf(sizes.letters);
  const middle = new Date(Date.now() - (sizes.letters / 2) * OPENED_EVERY_MS).toISOString();
  const first: Timing[] = [];
  const deep: Timing[] = [];
  for (const { name, query } of filters) {
    const page = { limit: "100", ...query };
    first.push({ name, latencies: await timed(() => calls.list(page), sizes.asked) });
    // The cursor of a page in the middle: what lies before it is as long as what lies behind.
    const lower = { ...page, to: middle };
    const cursor = "from" in query ? null : await calls.list({ ...lower, limit: "1" });
    if (cursor !== null)
      deep.push({ name, latencies: await timed(() => calls.list({ ...lower, cursor }), sizes.asked) });
  }
  const depth = await timed(() => calls.depth(), sizes.asked);
  const metrics = await timed(() => calls.metrics(), sizes.asked);
  const among = `${shown(sizes.letters)} letters`;
  const soon = { text: "p99 < 100 ms", within: 100 };
  return [
    timingLine(`${among}: first page of 100, ${first.length} filters`, first, soon),
    timingLine(`${among}: a page from the middle on, ${deep.length} filters`, deep, soon),
    timingLine(`${among}: depth`, [{ name: "depth", latencies: depth }], soon),
    timingLine(`${among}: /metrics`, [{ name: "metrics", latencies: metrics }]),
  ];
}

interface Timing {
  readonly name: string;
  readonly latencies: readonly number[];
}

function timingLine(
  what: string,
  timings: readonly Timing[],
  target?: { readonly text: string; readonly within: number },
): Line {
  const all = timings.flatMap(({ latencies }) => latencies).toSorted((left, right) => left - right);
  const p99 = percentile(all, 0.99);
  const slowest = timings
    .map(({ name, latencies }) => ({ name, p50: percentile(latencies, 0.5) }))
    .toSorted((left, right) => right.p50 - left.p50)[0];
  const ofWhich = timings.length > 1 && slowest !== undefined;
  return {
    part,
    what: `${what}: p50 / p99`,
    value: `${shown(percentile(all, 0.5))} / ${shown(p99)}`,
    unit: ofWhich ? `ms (p50 of ${slowest.name}: ${shown(slowest.p50)})` : "ms",
    ...(target === undefined ? {} : { target: { text: target.text, met: p99 < target.within } }),
  };
}

/** Calls that are not counted: what runs for the first time is compiled, and read from the disk. */
const WARM_UP = 5;

/** One after another. Milliseconds, ascending. */
async function timed(call: () => Promise<unknown>, times: number): Promise<readonly number[]> {
  for (let turn = 0; turn < WARM_UP; turn += 1) await call();
  const latencies: number[] = [];
  for (let turn = 0; turn < times; turn += 1) {
    const begunMs = performance.now();
    await call();
    latencies.push(performance.now() - begunMs);
  }
  return latencies.toSorted((left, right) => left - right);
}

function filtersOf(
  letters: number,
): readonly { readonly name: string; readonly query: Record<string, string> }[] {
  const [code] = FILLED_CODES;
  const spanMs = letters * OPENED_EVERY_MS;
  const from = new Date(Date.now() - spanMs / 4).toISOString();
  const to = new Date(Date.now() - spanMs / 8).toISOString();
  return [
    { name: "no filter", query: {} },
    { name: "state", query: { state: "open" } },
    { name: "state and code", query: { state: "open", code } },
    { name: "kind", query: { kind: "event" } },
    { name: "lane", query: { lane: filledLane(7) } },
    { name: "lane and state", query: { lane: filledLane(7), state: "resolved" } },
    { name: "a rare code", query: { code: RARE_CODE } },
    { name: "a span of time", query: { state: "open", from, to } },
  ];
}

/** On the product's own Worker: plans and replays what `recordedLines` left dead, with nothing to hold it back. */
export async function replayLines(target: Target, sizes: Sizes): Promise<readonly Line[]> {
  const calls = letterCalls(target.url, target.operatorToken);
  const total = sizes.replayedEach * REPLAYED.length;
  const before = await nonces(target.chainUrl, REPLAYED);
  const planBegunMs = performance.now();
  const plan = await calls.plan({ code: KILLED_CODE });
  const planMs = performance.now() - planBegunMs;
  if (plan.matched !== total) throw new Error(`the plan has ${plan.matched} of ${total} letters`);
  const begunMs = performance.now();
  const id = await calls.replay(plan, UNTHROTTLED);
  const sentSeconds = await replayed(calls, id, begunMs, ({ waiting }) => waiting === 0);
  const endSeconds = await replayed(calls, id, begunMs, ({ status }) => status === "done");
  const report = await calls.progress(id);
  const wrong =
    Math.abs(report.landed - total) + (await unlike(target, before, REPLAYED, sizes.replayedEach));
  const sent = total / sentSeconds;
  return [
    { part, what: `plan of ${shown(total)} of the letters`, value: planMs, unit: "ms" },
    {
      part,
      what: `replay of ${shown(total)} letters, unthrottled: sent`,
      value: sent,
      unit: "letters/s",
      against: REDRIVE,
      ratio: sent / REDRIVE_PER_SECOND,
      target: { text: "≥ 1 ×", met: sent >= REDRIVE_PER_SECOND },
    },
    {
      part,
      what: "the same until each is confirmed on the chain, and its letter closed",
      value: total / endSeconds,
      unit: "letters/s",
      against: REDRIVE,
      ratio: total / endSeconds / REDRIVE_PER_SECOND,
    },
    {
      part,
      what: "not landed exactly once, by the replay and the chain",
      value: wrong,
      unit: "",
      target: { text: "0", met: wrong === 0 },
    },
  ];
}

/** Seconds since `begunMs`, when the replay has come so far. */
async function replayed(
  calls: LetterCalls,
  id: string,
  begunMs: number,
  isThere: (report: Awaited<ReturnType<LetterCalls["progress"]>>) => boolean,
): Promise<number> {
  await waitUntil(async () => (isThere(await calls.progress(id)) ? true : undefined), {
    what: "the end of the replay",
    withinMs: REPLAYED_WITHIN_MS,
    everyMs: POLL_MS,
  });
  return (performance.now() - begunMs) / 1000;
}

/** Transactions that the chain has too many or too few. */
async function unlike(
  { chainUrl }: Target,
  before: readonly number[],
  accounts: readonly AnvilAccount[],
  each: number,
): Promise<number> {
  const after = await nonces(chainUrl, accounts);
  return after.reduce((sum, nonce, index) => sum + Math.abs(nonce - (before[index] ?? 0) - each), 0);
}
