// `npm run bench`: Lockstep against baselines of the same run, on this machine. `-- --quick` measures less of each.
// Everything listens on 127.0.0.1, on free ports, and keeps its state in a folder of its own that is removed.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startAnvil } from "../ops/anvil.ts";
import { interruption } from "../ops/interruption.ts";
import { freePort } from "../ops/ports.ts";
import { startStack } from "../ops/stack.ts";
import { startBenchWorker, type BenchWorker } from "./bench-worker.ts";
import { fundedStrangers } from "./chain.ts";
import { busyShare } from "./cpu-time.ts";
import { startDevWorker } from "./dev-worker.ts";
import { SOURCE } from "./events.ts";
import { admissionLines } from "./part-admission.ts";
import { confirmedLines } from "./part-confirmed.ts";
import { costLines } from "./part-cost.ts";
import { laneLines } from "./part-lane.ts";
import { recordedLines, replayLines, watchedLines } from "./part-letters.ts";
import { filledConfirmedLines, filledLaneLines } from "./part-settled-rows.ts";
import { webhookCostLines, webhookLines } from "./part-webhooks.ts";
import { startCountingReceiver, type CountingReceiver } from "./receiver.ts";
import type { Tally } from "./reports.ts";
import { FULL, QUICK, type Sizes } from "./sizes.ts";
import type { Target } from "./submissions.ts";
import { shown, table, type Line } from "./table.ts";

const STRANGERS = 10;
const LIMIT_MS = 900_000;
const interrupted = interruption();
const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const sizes = values.quick ? QUICK : FULL;
const stateDir = mkdtempSync(join(tmpdir(), "lockstep-bench-"));
const devVars = join(stateDir, "dev.vars");
const webhookSecret = `whsec_${randomBytes(24).toString("base64")}`;
/** What has been started, last first. */
const running: { readonly stop: () => Promise<void> }[] = [];
const begunMs = performance.now();

try {
  const busy = await busyShare(2000);
  const others = `${Math.round(busy * 100)} % of the cores were busy with other work before it began`;
  if (busy > 0.1) console.error(`${others}: parts of (b) are held up by that, their baselines less so`);
  const { lines, tally } = await Promise.race([measure(sizes), untilStopped()]);
  const [processor] = cpus();
  console.log(`\n${table(lines)}`);
  console.log(`\nWhere the time of (d) went, ${shown(sizes.costed)} directives:\n\n${stages(tally)}`);
  console.log(
    `\n${availableParallelism()} cores (${processor?.model ?? "unknown"}), Node ${process.version}, ${seconds()} s; ${others}`,
  );
  if (lines.some(({ target }) => target?.met === false)) process.exitCode = 1;
} catch (error) {
  if (!interrupted.signal.aborted) console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  for (const part of running.splice(0)) await part.stop();
  rmSync(stateDir, { recursive: true, force: true });
}
process.exit(interrupted.exitCode() ?? process.exitCode);

async function measure(size: Sizes): Promise<{ readonly lines: readonly Line[]; readonly tally: Tally }> {
  const anvil = await started(startAnvil({ port: 0, blockTimeSeconds: 1, quiet: true }));
  const strangers = await fundedStrangers(anvil.url, STRANGERS);
  const receiver = await started(startCountingReceiver(SOURCE));
  // What is missing in it is added by whoever starts first.
  writeFileSync(devVars, `RECEIVER_URL=${receiver.url}\nPLAIN_WEBHOOK_SECRET=${webhookSecret}\n`);

  const product = await startProduct(anvil.url);
  say("confirmed transactions");
  const processes = { workers: product.workerdPids, chain: anvil.pid };
  const confirmed = await confirmedLines(product.target, processes, strangers, size);
  say("submissions");
  const admission = await admissionLines(product.target, size);
  say("webhook events");
  const webhooks = await besideBare((bare) =>
    webhookLines({ product: product.target, bare }, webhookSecret, receiver, size),
  );
  await product.stop();

  const worker = await started(startBenchWorker({ port: await freePort(), stateDir, chainUrl: anvil.url }));
  const inside = await measureInside(worker, receiver, size);
  await ended(worker);

  const again = await startProduct(anvil.url);
  say("confirmed transactions of a lane with a past");
  const filledConfirmed = await filledConfirmedLines(again.target, size);
  say("lists and depth");
  const watched = await watchedLines(again.target, size);
  say("replay");
  const replay = await replayLines(again.target, size);
  await again.stop();
  const { lane, cost, filledLane, webhookCost, recorded, tally } = inside;
  const settled = [...filledLane, ...filledConfirmed];
  const letters = [...recorded, ...watched, ...replay];
  return {
    lines: [
      ...[lane, confirmed, admission, cost, settled].flat(),
      ...[webhooks, webhookCost, letters].flat(),
    ],
    tally,
  };
}

/** What is measured from inside: on the bench's own Worker. */
async function measureInside(worker: BenchWorker, receiver: CountingReceiver, size: Sizes) {
  say("one lane");
  const lane = await laneLines(worker, size);
  say("cost");
  const { lines: cost, tally } = await costLines(worker, size);
  say("one lane with a past");
  const filledLane = await filledLaneLines(worker, size);
  say("cost of webhook events");
  const webhookCost = await webhookCostLines(worker, webhookSecret, receiver, size);
  say("letters");
  const recorded = await recordedLines(worker, size);
  return { lane, cost, filledLane, webhookCost, recorded, tally };
}

/** While the baseline of webhook events runs. */
async function besideBare<Answer>(run: (url: string) => Promise<Answer>): Promise<Answer> {
  const bare = await started(
    startDevWorker({
      config: "wrangler.bare.jsonc",
      port: await freePort(),
      stateDir: join(stateDir, "bare"),
      devVars,
    }),
  );
  const answer = await run(bare.url);
  await ended(bare);
  return answer;
}

/** Lockstep as `npm start` runs it, on a chain that runs already and on the lanes that are there. */
async function startProduct(chainUrl: string) {
  const stack = await started(
    startStack({
      port: await freePort(),
      chainPort: null,
      chainUrl,
      stateDir,
      devVars,
      fresh: false,
      withSender: false,
      quiet: true,
      log: () => undefined,
      signal: interrupted.signal,
    }),
  );
  const target: Target = stack;
  return { target, workerdPids: stack.workerdPids, stop: () => ended(stack) };
}

async function started<Part extends { stop(): Promise<void> }>(starting: Promise<Part>): Promise<Part> {
  const part = await starting;
  running.unshift(part);
  return part;
}

async function ended(part: { stop(): Promise<void> }): Promise<void> {
  running.splice(running.indexOf(part), 1);
  await part.stop();
}

/** Rejects at a signal, and when the whole takes longer than it ever should. */
function untilStopped(): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (why: string) => () => reject(new Error(why));
    interrupted.signal.addEventListener("abort", stop("interrupted"));
    AbortSignal.timeout(LIMIT_MS).addEventListener("abort", stop(`not done within ${LIMIT_MS / 1000} s`));
  });
}

function say(what: string): void {
  console.error(`${String(seconds()).padStart(4)} s  ${what}`);
}

function seconds(): number {
  return Math.round((performance.now() - begunMs) / 1000);
}

/** Wall time by stage for 100 directives. Stages overlap: three flights of a lane are under way at once. */
function stages({ stages: all }: Tally): string {
  const rows = Object.entries(all)
    .toSorted(([, left], [, right]) => right.ms - left.ms)
    .map(([name, { calls, ms }]) => [name, String(calls), shown((ms / sizes.costed) * 100)]);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(["stage", "calls", "ms for 100 directives"]),
    line(["---", "--:", "--:"]),
    ...rows.map(line),
  ].join("\n");
}
