import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ApiError } from "../../ops/client.ts";
import { anvilAccount } from "../../ops/anvil-accounts.ts";
import { LOOPBACK } from "../../ops/ports.ts";
import { startRpcProxy, type RpcProxy } from "../../ops/rpc-proxy.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import { recipient, startLockstep, transfer, type Lockstep } from "./lockstep.ts";
import { effectsOf, emptyVault, fillVault, killPayments, planAndRun, replayed, sumsOff } from "./vault.ts";

/** `npm test` replays 2,000; `npm run test:soak` all 10,000. */
const LETTERS = Number(process.env["REPLAY_LETTERS"] ?? 2000);
const KILLS = 5;
const RATE = 300;
const WITHIN_MS = 800_000;

let lockstep: Lockstep;
let proxy: RpcProxy | undefined;

beforeAll(async () => {
  lockstep = await startLockstep({
    cronEverySeconds: 3,
    chainUrl: async (port) => {
      proxy = await startRpcProxy({ target: `http://${LOOPBACK}:${port}` });
      return proxy.url;
    },
  });
});
afterAll(async () => {
  await lockstep.close();
  await proxy?.stop();
});
beforeEach(() => emptyVault(lockstep));

async function statesOf(group: number): Promise<Readonly<Record<string, number>>> {
  const states: Record<string, number> = {};
  for (const { state, directiveId } of await lockstep.letters()) {
    if (directiveId.startsWith(`payment-${group}-`)) states[state] = (states[state] ?? 0) + 1;
  }
  return states;
}

/** The status that the API answered instead of success. */
async function refusal(call: Promise<unknown>): Promise<ApiError> {
  const answer: unknown = await call.catch((error: unknown) => error);
  if (answer instanceof ApiError) return answer;
  throw new Error(`not refused: ${JSON.stringify(answer)}`);
}

test(
  `${LETTERS} letters replayed over five SIGKILLs: one effect each, each letter resolved, and the numbers add up`,
  async () => {
    const accounts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    const payments = await killPayments(lockstep, 10, LETTERS, accounts);
    await fillVault(lockstep);
    const { plan, id } = await planAndRun(lockstep, { code: "execution_reverted" }, RATE);
    expect(plan).toMatchObject({ matched: LETTERS, byCode: { execution_reverted: LETTERS }, refused: {} });
    let kills = 0;
    const off: string[] = [];
    const report = await replayed(lockstep, id, WITHIN_MS, async (now) => {
      off.push(...sumsOff(now));
      if (kills < KILLS && now.landed + now.inFlight >= (kills / KILLS) * 0.9 * LETTERS) {
        kills += 1;
        await lockstep.stack.killWorker();
      }
    });
    expect(kills).toBe(KILLS);
    expect(off).toEqual([]);
    expect(report).toMatchObject({
      status: "done",
      total: LETTERS,
      landed: LETTERS,
      failedAgain: 0,
      refused: 0,
      inFlight: 0,
      waiting: 0,
      returned: 0,
    });
    expect(await effectsOf(lockstep, payments)).toEqual({ 1: LETTERS });
    expect(await statesOf(10)).toEqual({ resolved: LETTERS });
    for (const index of accounts) {
      const account = anvilAccount(index);
      const lane = await lockstep.settled(account.id, LETTERS / accounts.length);
      expect(lane.counts).toMatchObject({ settled: LETTERS / accounts.length, dead: 0 });
      expect(await lockstep.chain.getTransactionCount({ address: account.address })).toBe(lane.nextSequence);
    }
  },
  WITHIN_MS + 300_000,
);

test("a directive that landed although the endpoint answered 401 is never sent again: no plan takes its letter, which evidence closes as landed", async () => {
  const account = anvilAccount(1).id;
  const id = "landed-all-the-same";
  const to = recipient(11, 0);
  // Without blocks no evidence can decide before the plan is made.
  await lockstep.rpc("evm_setIntervalMining", 0);
  proxy?.disown("eth_sendRawTransaction");
  await lockstep.post([transfer(account, id, to)]);
  const letter = await waitUntil(
    async () => (await lockstep.letters()).find(({ directiveId }) => directiveId === id),
    { what: "the letter", withinMs: 60_000, tail: lockstep.stack.tail },
  );
  expect(letter.code).toBe("unauthorized");
  proxy?.disown(null);
  const plan = await lockstep.operator.createPlan({ filter: { ids: [letter.id] } });
  expect(plan).toMatchObject({ matched: 0, refused: { undetermined: 1 } });
  await lockstep.rpc("evm_setIntervalMining", 1);
  const resolved = await waitUntil(
    async () =>
      (await lockstep.letters()).find((each) => each.directiveId === id && each.state === "resolved"),
    { what: "the letter resolved", withinMs: 90_000, tail: lockstep.stack.tail },
  );
  expect(resolved).toMatchObject({ id: letter.id, resolution: "landed" });
  const { status, transactions } = await lockstep.directive(account, id);
  expect(status).toBe("confirmed");
  expect(transactions.map((each) => each.status)).toEqual(["included"]);
  expect(await lockstep.chain.getBalance({ address: to })).toBe(1000n);
  expect((await lockstep.letters()).filter(({ directiveId }) => directiveId === id)).toHaveLength(1);
});

test("a plan whose letters have changed since is refused with what changed, and nothing is sent", async () => {
  const payments = await killPayments(lockstep, 12, 20, [2]);
  const lane = anvilAccount(2).id;
  const plan = await lockstep.operator.createPlan({ filter: { lane } });
  expect(plan.matched).toBe(20);
  const [first] = (await lockstep.letters()).filter(({ directiveId }) =>
    directiveId.startsWith("payment-12-"),
  );
  if (first === undefined) throw new Error("no letter");
  const discarded = await lockstep.call(`/v1/dlq/letters/${first.id}/discard`, {
    method: "POST",
    body: { reason: "paid by hand" },
  });
  expect(discarded.status).toBe(200);
  await fillVault(lockstep);
  const refused = await refusal(
    lockstep.operator.startReplay({ plan: plan.id, digest: plan.digest, reason: "too late" }),
  );
  expect(refused.status).toBe(409);
  expect(refused.message).toContain(first.id);
  const other = await refusal(
    lockstep.operator.startReplay({ plan: plan.id, digest: "0".repeat(64), reason: "another digest" }),
  );
  expect(other.status).toBe(409);
  expect(await effectsOf(lockstep, payments)).toEqual({ 0: 20 });
  expect(await statesOf(12)).toEqual({ open: 19, discarded: 1 });
});

test("of two replays over the same letters one is refused, and each letter is sent once", async () => {
  const payments = await killPayments(lockstep, 13, 100, [3]);
  await fillVault(lockstep);
  const lane = anvilAccount(3).id;
  const plans = await Promise.all([0, 1].map(() => lockstep.operator.createPlan({ filter: { lane } })));
  const runs = await Promise.allSettled(
    plans.map(({ id: plan, digest }) =>
      lockstep.operator.startReplay({
        plan,
        digest,
        reason: "both at once",
        ratePerSecond: RATE,
        perLanePerSecond: RATE,
      }),
    ),
  );
  const ids = runs.flatMap((run) => (run.status === "fulfilled" ? [run.value] : []));
  const errors = runs.flatMap((run): unknown[] => (run.status === "rejected" ? [run.reason] : []));
  expect(errors.map((error) => (error instanceof ApiError ? error.status : error))).toEqual([409]);
  const report = await replayed(lockstep, ids[0]?.id ?? "", 90_000);
  expect(report).toMatchObject({ total: 100, landed: 100, failedAgain: 0, refused: 0 });
  expect(await effectsOf(lockstep, payments)).toEqual({ 1: 100 });
  expect(await statesOf(13)).toEqual({ resolved: 100 });
});

test("a replay that is cancelled leaves no letter in replaying: what was not sent is open again", async () => {
  const payments = await killPayments(lockstep, 14, 200, [4]);
  await fillVault(lockstep);
  const { id } = await planAndRun(lockstep, { lane: anvilAccount(4).id }, 20);
  await waitUntil(async () => ((await lockstep.operator.replay(id)).sent > 0 ? true : undefined), {
    what: "the first letters sent",
    withinMs: 60_000,
  });
  await lockstep.operator.commandReplay(id, "cancel", "the wrong vault");
  const report = await replayed(lockstep, id, 90_000);
  expect(report.status).toBe("cancelled");
  expect(sumsOff(report)).toEqual([]);
  expect(report.returned).toBeGreaterThan(0);
  expect(report.landed + report.returned).toBe(200);
  expect(await effectsOf(lockstep, payments)).toEqual({ 0: report.returned, 1: report.landed });
  expect(await statesOf(14)).toEqual({ open: report.returned, resolved: report.landed });
  expect((await lockstep.operator.depth()).letters.replaying).toBe(0);
});
