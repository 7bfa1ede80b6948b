// `npm run demo`: a real chain, the Worker with all its bindings, a receiver of webhooks; real traffic, poison of each
// kind, an outage, a storm of dead letters, their replay, a crash in the middle of it. Ends with tables read back from the
// chain, the receiver and the ledger; exit code 1 when a number is off.
// Variables: PORT and CHAIN_PORT (free ones), STATE_DIR (a temporary folder, removed afterwards; a given one is kept).
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockstepClient } from "./client.ts";
import { deployContracts, startReading } from "./demo/chain-facts.ts";
import { destinationOf } from "./demo/destination.ts";
import { ALL_ACCOUNTS, curableLetters, expectedAdmissions, hopelessLetters, planDemo } from "./demo/plan.ts";
import { readBack } from "./demo/read-back.ts";
import { reportText } from "./demo/report.ts";
import { sendBatches, sendDuringCrash, sendDuringOutage, sendFirstHalf, sendRepeated } from "./demo/send.ts";
import { readLanes, settle, type Goal, type Settling } from "./demo/settle.ts";
import { fillWithLetters, planCures, planRest, removeCauses, replay, type StormWays } from "./demo/storm.ts";
import { BREAKER_ACCOUNT } from "./demo/storm-traffic.ts";
import { startStep } from "./demo/terminal.ts";
import { ACCOUNTS, REFUSED_ACCOUNT } from "./demo/traffic.ts";
import { guaranteesOf, tablesOf } from "./demo/verdict.ts";
import {
  halfOf,
  sendEvents,
  sendSpurious,
  spuriousRequests,
  type WebhookAnswers,
} from "./demo/webhook-send.ts";
import { ensureDevVars } from "./dev-vars.ts";
import { interruption } from "./interruption.ts";
import { freePort, LOOPBACK, parsePort } from "./ports.ts";
import { startReceiver, type Receiver } from "./receiver.ts";
import { startRpcProxy, type RpcProxy } from "./rpc-proxy.ts";
import { startStack, type Stack } from "./stack.ts";

/** After so long with work still in flight, the numbers tell what is missing. */
const GIVE_UP_MS = 90_000;
/** It is a minute where Lockstep is deployed. */
const CRON_EVERY_SECONDS = 3;

interface Parts {
  readonly stack: Stack;
  readonly proxy: RpcProxy;
  readonly receiver: Receiver;
  readonly signal: AbortSignal;
}

/** Answers whether every number is as it must be. */
async function demo({ stack, proxy, receiver, signal }: Parts): Promise<boolean> {
  const plan = planDemo(`demo-${randomBytes(4).toString("hex")}`);
  const { traffic, webhooks, storm } = plan;
  const producer = lockstepClient({ url: stack.url, token: stack.producerToken });
  const operator = lockstepClient({ url: stack.url, token: stack.operatorToken });
  const destination = destinationOf(receiver, plan);
  await deployContracts(stack.chainUrl, { reverter: traffic.reverter, vault: storm.vault });
  // An earlier run over the same state may have left the breaker of this lane near its end.
  await operator.commandLane(REFUSED_ACCOUNT.id, "resume", "the demo begins");
  const chainReader = await startReading(stack.chainUrl);
  const [lanesBefore, depthBefore] = await Promise.all([readLanes(operator), operator.depth()]);
  const startedAt = new Date().toISOString();
  const ways: StormWays = { stack, producer, proxy, signal, operator, destination, startedAt };
  const webhookAnswers: WebhookAnswers = { known: 0, spurious: { sent: 0, refused: 0 } };
  const { customers, redelivered } = webhooks;
  const settling = (): Settling => ({
    stack,
    operator,
    destination,
    before: { lanes: lanesBefore, openLetters: depthBefore.letters.open },
    deadline: Date.now() + GIVE_UP_MS,
    signal,
  });

  const sending = startStep("send");
  await Promise.all([
    sendFirstHalf(traffic, ways),
    // Their lane tries with delays, until its breaker opens.
    sendBatches(storm.held, ways),
    sendEvents(halfOf(customers, "first"), redelivered, ways, webhookAnswers),
  ]);
  sending.done("half of everything accepted, and poison of each kind");

  const outage = startStep("outage");
  destination.setDown(true);
  await Promise.all([
    sendDuringOutage(traffic, ways, outage),
    sendEvents(halfOf(customers, "second"), redelivered, ways, webhookAnswers),
    sendSpurious(spuriousRequests(webhooks, ways), ways, webhookAnswers),
  ]);
  destination.setDown(false);
  outage.done(`the other half accepted; ${proxy.counts.broken} calls to the chain broke`);

  const repeating = startStep("repeat");
  const answers = await sendRepeated(traffic, ways);
  const again = traffic.repeatedOverHttp.length + traffic.repeatedOnQueue.length;
  repeating.done(`${again} sent again, 2 more with another payload`);

  const storming = startStep("storm");
  await fillWithLetters(storm, ways, webhookAnswers);
  const letters = hopelessLetters(plan) + curableLetters(plan);
  // The local queues are memory: the crash comes when they hold nothing but doorbells.
  const calm = await settle(
    settling(),
    {
      accounts: ACCOUNTS,
      admissions:
        expectedAdmissions(plan, ACCOUNTS) - traffic.good.filter(({ source }) => source === "crash").length,
      handled: customers.reduce((sum, { events }) => sum + events.length, 0) - webhooks.refused.events.length,
      letters,
    },
    storming,
  );
  const { byCode } = (await operator.depth()).letters;
  storming.done(
    calm ? `${letters} dead letters under ${Object.keys(byCode).length} codes` : "gave up waiting",
  );

  const planning = startStep("plan");
  await removeCauses(storm, ways);
  const cures = await planCures(ways);
  const matched = cures.reduce((sum, each) => sum + each.matched, 0);
  planning.done(`causes removed; ${cures.length} plans for ${matched} letters`);

  const replaying = startStep("replay");
  const unhelped: Goal = {
    accounts: ALL_ACCOUNTS,
    admissions: expectedAdmissions(plan, ALL_ACCOUNTS),
    handled: plan.events.length,
    letters: hopelessLetters(plan),
  };
  const cured = await replay(cures, "the causes are gone", ways, replaying, () =>
    sendDuringCrash(traffic, ways),
  );
  const recovered = await settle(settling(), unhelped, replaying);
  const landed = cured.reports.reduce((sum, report) => sum + report.landed, 0);
  replaying.done(recovered ? `${landed} landed, workerd killed in the middle` : "gave up waiting");

  const trying = startStep("the rest");
  const rest = await planRest(ways);
  const tried = rest.reduce((sum, each) => sum + each.matched, 0);
  const refused = rest.flatMap((each) => Object.values(each.refused)).reduce((sum, count) => sum + count, 0);
  const left = await replay(rest, "to see what is left", ways, trying);
  const back = await settle(settling(), unhelped, trying);
  trying.done(
    back ? `${tried} tried once more, and back; ${refused} refused by the plan` : "gave up waiting",
  );

  const reading = startStep("read back");
  const found = await readBack({
    plan,
    operator,
    chainReader,
    startedAt,
    signal,
    arrivals: receiver.arrivals,
    before: { lanes: lanesBefore, depth: depthBefore },
    heard: { answers, webhookAnswers, replays: { cures: cured, rest: left } },
  });
  reading.done(
    `${found.chain.mined.length} transactions, ${found.arrivals.length} deliveries, ${found.letters.length} letters`,
  );
  const tables = tablesOf(found);
  const guarantees = guaranteesOf(found);
  console.log(reportText(tables, guarantees));
  return (
    calm && recovered && back && [...tables.flatMap(({ rows }) => rows), ...guarantees].every(({ ok }) => ok)
  );
}

async function main(signal: AbortSignal): Promise<boolean> {
  const { PORT, CHAIN_PORT, STATE_DIR } = process.env;
  const port = PORT === undefined ? await freePort() : parsePort(PORT, "PORT");
  const chainPort = CHAIN_PORT === undefined ? await freePort() : parsePort(CHAIN_PORT, "CHAIN_PORT");
  const stateDir = STATE_DIR ?? mkdtempSync(join(tmpdir(), "lockstep-demo-"));
  const proxy = await startRpcProxy({
    target: `http://${LOOPBACK}:${chainPort}`,
    refuseAddresses: [REFUSED_ACCOUNT.address, BREAKER_ACCOUNT.address],
  });
  const devVars = join(stateDir, "dev.vars");
  const receiver = await startReceiver({ secret: ensureDevVars(devVars).webhookSecrets.receiver });
  let stack: Stack | null = null;
  try {
    console.log("\n  Lockstep demo\n");
    const booting = startStep("boot");
    stack = await startStack({
      port,
      chainPort,
      stateDir,
      chainUrl: proxy.url,
      receiverUrl: receiver.url,
      devVars,
      fresh: false,
      withSender: true,
      cronEverySeconds: CRON_EVERY_SECONDS,
      quiet: true,
      log: (line) => booting.progress(line),
      signal,
    });
    booting.done("a chain, the Worker, a sender and a receiver");
    return await demo({ stack, proxy, receiver, signal });
  } catch (error) {
    if (stack === null) throw error;
    // What ended explains what went wrong with the rest.
    const reason = stack.failure() ?? (error instanceof Error ? error.message : String(error));
    throw new Error(reason.includes(stack.tail()) ? reason : `${reason}${stack.tail()}`, { cause: error });
  } finally {
    await stack?.stop();
    await Promise.all([proxy.stop(), receiver.stop()]);
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
