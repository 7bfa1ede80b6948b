import type { PlanReport, ReplayReport } from "../../domain/api-letters.ts";
import { anvilAccount, type AnvilAccount } from "../../ops/anvil-accounts.ts";
import { deployContracts, fundVault } from "../../ops/demo/chain-facts.ts";
import type { PlanRequest } from "../../ops/client-replays.ts";
import { UnreachableError } from "../../ops/client-transport.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import { atOnce } from "./events.ts";
import { recipient, type Lockstep } from "./lockstep.ts";

/** A payment that reverts while the vault has no funds, and then pays somebody whom nothing else pays. */
export interface Payment {
  readonly id: string;
  readonly account: AnvilAccount;
  readonly payee: `0x${string}`;
}

const VAULT = "0x00000000000000000000000000000000000ba117";
const REVERTER = "0x00000000000000000000000000000000000000b1";
const WEI = 1000n;
const PER_REQUEST = 100;
const READS_AT_ONCE = 1000;

export async function emptyVault({ stack }: Lockstep): Promise<void> {
  await deployContracts(stack.chainUrl, { reverter: REVERTER, vault: VAULT });
  await fundVault(stack.chainUrl, VAULT, 0n);
}

export function fillVault({ stack }: Lockstep): Promise<void> {
  return fundVault(stack.chainUrl, VAULT);
}

/** Dead letters, as many: payments of the accounts of these indexes, in turn. Resolves when the ledger has each. */
export async function killPayments(
  lockstep: Lockstep,
  group: number,
  count: number,
  accounts: readonly number[],
): Promise<readonly Payment[]> {
  const { operator, stack } = lockstep;
  const before = (await operator.depth()).letters.open;
  const payments = Array.from({ length: count }, (_, index): Payment => {
    const account = anvilAccount(accounts[index % accounts.length] ?? 0);
    return { id: `payment-${group}-${index}`, account, payee: recipient(group, index) };
  });
  const batches = Array.from({ length: Math.ceil(count / PER_REQUEST) }, (_, index) =>
    payments.slice(index * PER_REQUEST, (index + 1) * PER_REQUEST),
  );
  await atOnce(5, batches, async (batch) => {
    const { status } = await lockstep.post(
      batch.map(({ id, account, payee }) => {
        const data = `0x${payee.slice(2).padStart(64, "0")}${WEI.toString(16).padStart(64, "0")}`;
        return { id, account: account.id, action: { type: "evm.transaction", to: VAULT, value: "0", data } };
      }),
    );
    if (status !== 202) throw new Error(`answered ${status}`);
  });
  await waitUntil(async () => ((await operator.depth()).letters.open >= before + count ? true : undefined), {
    what: `${count} letters`,
    withinMs: 500_000,
    everyMs: 250,
    failed: stack.failure,
    tail: stack.tail,
  });
  return payments;
}

/** How often each payment took effect, as the chain says: once each is `{ 1: count }`. */
export async function effectsOf(
  { chain }: Lockstep,
  payments: readonly Payment[],
): Promise<Readonly<Record<string, number>>> {
  const effects: Record<string, number> = {};
  for (let start = 0; start < payments.length; start += READS_AT_ONCE) {
    const balances = await Promise.all(
      payments.slice(start, start + READS_AT_ONCE).map(({ payee }) => chain.getBalance({ address: payee })),
    );
    for (const balance of balances) {
      const times = String(Number(balance) / Number(WEI));
      effects[times] = (effects[times] ?? 0) + 1;
    }
  }
  return effects;
}

export async function planAndRun(
  { operator }: Lockstep,
  filter: PlanRequest["filter"],
  rate: number,
): Promise<{ readonly plan: PlanReport; readonly id: string }> {
  const plan = await operator.createPlan({ filter });
  const request = {
    plan: plan.id,
    digest: plan.digest,
    reason: "the vault has funds again",
    ratePerSecond: rate,
    perLanePerSecond: rate,
  };
  // The same plan again is the same replay.
  const { id } = await waitUntil(() => patiently(operator.startReplay(request)), {
    what: "the replay's start",
    withinMs: 120_000,
  });
  return { plan, id };
}

/** A Worker with ten thousand letters on one machine answers late: whoever asked asks again. */
async function patiently<Answer>(call: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof UnreachableError) return undefined;
    throw error;
  }
}

/** Resolves when the replay has ended, however. @param seen hears of each report on the way */
export function replayed(
  { operator, stack }: Lockstep,
  id: string,
  withinMs: number,
  seen: (report: ReplayReport) => Promise<void> = () => Promise.resolve(),
): Promise<ReplayReport> {
  let last: ReplayReport | undefined;
  return waitUntil(
    async () => {
      const now = await patiently(operator.replay(id));
      if (now === undefined) return undefined;
      last = now;
      await seen(last);
      return last.status === "done" || last.status === "cancelled" ? last : undefined;
    },
    {
      what: `the end of replay ${id}`,
      withinMs,
      everyMs: 200,
      failed: stack.failure,
      tail: () => `\n${JSON.stringify(last)}${stack.tail()}`,
    },
  );
}

/** What is wrong with the numbers of a replay: see `replayReportSchema`. */
export function sumsOff(report: ReplayReport): readonly string[] {
  const { total, waiting, inFlight, landed, alreadyLanded, failedAgain, refused, returned, sent } = report;
  const faults: string[] = [];
  if (total !== waiting + inFlight + landed + failedAgain + refused + returned)
    faults.push(`total: ${JSON.stringify(report)}`);
  if (sent > inFlight + landed - alreadyLanded + failedAgain) faults.push(`sent: ${JSON.stringify(report)}`);
  return faults;
}
