// `npm run demo`: a real chain, the Worker with all its bindings, real traffic, poison of each kind,
// a chain outage, a crash. Ends with a table read back from the chain and the ledger; exit code 1 when a number is off.
// Variables: PORT and CHAIN_PORT (free ones), STATE_DIR (a temporary folder, removed afterwards; a given one is kept).
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockstepClient } from "./client.ts";
import { deployReverter, startReading } from "./demo/chain-facts.ts";
import { reportText } from "./demo/report.ts";
import { sendDuringCrash, sendDuringOutage, sendFirstHalf, sendRepeated } from "./demo/send.ts";
import { readLanes, readLetters, settle } from "./demo/settle.ts";
import { startStep } from "./demo/terminal.ts";
import { planTraffic, REFUSED_ACCOUNT, type Source } from "./demo/traffic.ts";
import { guaranteesOf, tableOf } from "./demo/verdict.ts";
import { interruption } from "./interruption.ts";
import { freePort, LOOPBACK, parsePort } from "./ports.ts";
import { startRpcProxy, type RpcProxy } from "./rpc-proxy.ts";
import { startStack, type Stack } from "./stack.ts";
import { pause } from "./wait-until.ts";

/** Two blocks and a delivery: time for an effect that must not come. */
const QUIET_MS = 2500;
const READS_AT_ONCE = 10;
/** After so long with work still in flight, the numbers tell what is missing. Half of it is for the part before the crash. */
const GIVE_UP_MS = 40_000;

/** Answers whether every number is as it must be. */
async function demo(stack: Stack, proxy: RpcProxy, signal: AbortSignal): Promise<boolean> {
  const run = `demo-${randomBytes(4).toString("hex")}`;
  const traffic = planTraffic(run);
  const producer = lockstepClient({ url: stack.url, token: stack.producerToken });
  const operator = lockstepClient({ url: stack.url, token: stack.operatorToken });
  const ways = { stack, producer, proxy, signal };
  await deployReverter(stack.chainUrl, traffic.reverter);
  const chainReader = await startReading(stack.chainUrl);
  const before = await readLanes(operator);
  const begunAt = Date.now();
  const startedAt = new Date(begunAt).toISOString();

  const count = (source: Source) => traffic.good.filter((good) => good.source === source).length;
  const sending = startStep("send");
  await sendFirstHalf(traffic, ways);
  sending.done("half of the directives accepted, and poison of each kind");

  const outage = startStep("outage");
  await sendDuringOutage(traffic, ways, outage);
  outage.done(`the other half accepted while ${proxy.counts.broken} calls to the chain broke`);

  const repeating = startStep("repeat");
  const answers = await sendRepeated(traffic, ways);
  const again = traffic.repeatedOverHttp.length + traffic.repeatedOnQueue.length;
  repeating.done(`${again} sent again, 2 more with another payload`);

  const about = { stack, operator, traffic, before, run, startedAt, deadline: begunAt + GIVE_UP_MS, signal };
  // The local queues are memory: the crash comes when they hold nothing but doorbells.
  const settling = startStep("settle");
  const calm = traffic.good.filter(({ source }) => source !== "crash");
  const half = begunAt + GIVE_UP_MS / 2;
  const settled = await settle({ ...about, traffic: { ...traffic, good: calm }, deadline: half }, settling);
  settling.done(settled ? `${calm.length} landed, nothing in flight` : "gave up waiting");

  const crash = startStep("crash");
  await sendDuringCrash(traffic, ways);
  const recovered = await settle(about, crash);
  crash.done(
    recovered ? `workerd killed with ${count("crash")} on their way: all landed` : "gave up waiting",
  );

  const reading = startStep("read back");
  await pause(QUIET_MS);
  const [chain, letters, after] = await Promise.all([
    chainReader.read(traffic),
    readLetters(about),
    readLanes(operator),
  ]);
  const reports = new Map<string, Awaited<ReturnType<typeof operator.directive>>>();
  for (let start = 0; start < traffic.good.length; start += READS_AT_ONCE) {
    signal.throwIfAborted();
    const group = traffic.good
      .slice(start, start + READS_AT_ONCE)
      .map(async ({ directive: { account, id } }) => {
        reports.set(id, await operator.directive(account, id));
      });
    await Promise.all(group);
  }
  reading.done(`${chain.mined.length} transactions, ${letters.length} letters, ${after.size} lanes`);

  const lanes = new Map(
    Array.from(after, ([id, lane]) => [id, { before: before.get(id) ?? lane, after: lane }] as const),
  );
  const found = { traffic, chain, letters, reports, lanes, answers };
  const rows = tableOf(found);
  const guarantees = guaranteesOf(found);
  console.log(reportText(rows, guarantees));
  return recovered && [...rows, ...guarantees].every(({ ok }) => ok);
}

async function main(signal: AbortSignal): Promise<boolean> {
  const { PORT, CHAIN_PORT, STATE_DIR } = process.env;
  const port = PORT === undefined ? await freePort() : parsePort(PORT, "PORT");
  const chainPort = CHAIN_PORT === undefined ? await freePort() : parsePort(CHAIN_PORT, "CHAIN_PORT");
  const stateDir = STATE_DIR ?? mkdtempSync(join(tmpdir(), "lockstep-demo-"));
  const proxy = await startRpcProxy({
    target: `http://${LOOPBACK}:${chainPort}`,
    refuseAddress: REFUSED_ACCOUNT.address,
  });
  let stack: Stack | null = null;
  try {
    console.log("\n  Lockstep demo\n");
    const booting = startStep("boot");
    stack = await startStack({
      port,
      chainPort,
      stateDir,
      chainUrl: proxy.url,
      fresh: false,
      withSender: true,
      quiet: true,
      log: (line) => booting.progress(line),
      signal,
    });
    booting.done("a chain, the Worker, and a second one with the queue bound");
    return await demo(stack, proxy, signal);
  } catch (error) {
    if (stack === null) throw error;
    // What ended explains what went wrong with the rest.
    const reason = stack.failure() ?? (error instanceof Error ? error.message : String(error));
    throw new Error(reason.includes(stack.tail()) ? reason : `${reason}${stack.tail()}`, { cause: error });
  } finally {
    await stack?.stop();
    await proxy.stop();
    if (STATE_DIR === undefined) rmSync(stateDir, { recursive: true, force: true });
  }
}

const interrupted = interruption();
try {
  process.exitCode = (await main(interrupted.signal)) ? 0 : 1;
} catch (error) {
  if (!interrupted.signal.aborted)
    console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
process.exit(interrupted.exitCode() ?? process.exitCode);
