// (b) Confirmed transactions a second, from HTTP to the chain and back, against what the same node takes from others.
import { ANVIL_ACCOUNTS, anvilAccount, type AnvilAccount } from "../ops/anvil-accounts.ts";
import { cpuMs } from "./cpu-time.ts";
import { presigned, setBlockGasLimit } from "./chain.ts";
import type { Sizes } from "./sizes.ts";
import { confirmedRun, type ConfirmedRun, type Target } from "./submissions.ts";
import { median, shown, type Line } from "./table.ts";
import { VIEM_MODES, viemRun } from "./viem-modes.ts";

/** So much that no block of a run is full. */
const WIDE_GAS_LIMIT = 10_000_000_000n;

/** @param strangers accounts that the chain funds and Lockstep does not know, for the baselines: at least 10 */
export async function confirmedLines(
  target: Target,
  { workers, chain }: { readonly workers: () => readonly number[]; readonly chain: number },
  strangers: readonly AnvilAccount[],
  sizes: Sizes,
): Promise<readonly Line[]> {
  const cpu = () => [cpuMs(workers()), cpuMs([chain]), cpuMs([process.pid])];
  const { chainUrl } = target;
  const [one] = ANVIL_ACCOUNTS;
  const [stranger, ...others] = strangers;
  if (one === undefined || stranger === undefined) throw new Error("there must be accounts");
  const runs: ConfirmedRun[] = [];
  const spent: number[][] = [];
  const ceilings: number[] = [];
  const tens: ConfirmedRun[] = [];
  const tenCeilings: number[] = [];
  await confirmedRun(target, ANVIL_ACCOUNTS, 100);
  for (let turn = 0; turn < sizes.repeats; turn += 1) {
    const before = cpu();
    runs.push(await confirmedRun(target, [one], sizes.oneAccount));
    spent.push(cpu().map((ms, index) => ((ms - (before[index] ?? 0)) / sizes.oneAccount) * 100));
    ceilings.push((await presigned(chainUrl, [stranger], sizes.oneAccount)).perSecond);
    tens.push(await confirmedRun(target, ANVIL_ACCOUNTS, sizes.tenAccountsEach));
    tenCeilings.push((await presigned(chainUrl, strangers, sizes.tenAccountsEach)).perSecond);
  }

  const viem: { name: string; perSecond: number; named: boolean }[] = [];
  for (const [index, mode] of VIEM_MODES.entries()) {
    const account = others[index];
    if (account === undefined) throw new Error("each mode of viem needs an account of its own");
    const count = mode.inFlight === 1 ? sizes.viemSequential : sizes.viemConcurrent;
    const { perSecond } = await viemRun(chainUrl, account, count, mode);
    viem.push({ name: mode.name, perSecond, named: !mode.prepared });
  }
  const best = Math.max(...viem.filter(({ named }) => named).map(({ perSecond }) => perSecond));

  const before = await setBlockGasLimit(chainUrl, WIDE_GAS_LIMIT);
  const wideCeiling = (await presigned(chainUrl, [stranger], sizes.wideCeiling)).perSecond;
  const wide = await confirmedRun(target, [one], sizes.oneAccount);
  await setBlockGasLimit(chainUrl, before);

  const all = [...runs, ...tens, wide];
  const wrong = all.reduce((sum, run) => sum + run.wrong, 0);
  const oneRate = median(runs.map(({ perSecond }) => perSecond));
  const tenRate = median(tens.map(({ perSecond }) => perSecond));
  const ceiling = median(ceilings);
  const tenCeiling = median(tenCeilings);
  const part = "b" as const;
  const unit = "tx/s";
  return [
    { part, what: "ceiling: presigned, one account", value: ceiling, unit },
    { part, what: "ceiling: presigned, 10 accounts", value: tenCeiling, unit },
    ...viem.map(({ name, perSecond }) => ({ part, what: `viem: ${name}`, value: perSecond, unit })),
    {
      part,
      what: "one account, confirmed",
      value: oneRate,
      unit,
      against: "ceiling",
      ratio: oneRate / ceiling,
      target: { text: "≥ 0.5 ×", met: oneRate / ceiling >= 0.5 },
    },
    {
      part,
      what: "one account, confirmed",
      value: oneRate,
      unit,
      against: "best viem that asks for gas",
      ratio: oneRate / best,
      target: { text: "≥ 1.5 ×", met: oneRate / best >= 1.5 },
    },
    {
      part,
      what: "CPU for 100 directives: Workers / chain / this client",
      value: [0, 1, 2].map((index) => shown(median(spent.map((ms) => ms[index] ?? 0)))).join(" / "),
      unit: "ms",
    },
    {
      part,
      what: "10 accounts, confirmed",
      value: tenRate,
      unit,
      against: "ceiling",
      ratio: tenRate / tenCeiling,
    },
    { part, what: "ceiling, blocks never full: presigned, one account", value: wideCeiling, unit },
    {
      part,
      what: "one account, confirmed, blocks never full",
      value: wide.perSecond,
      unit,
      against: "that ceiling",
      ratio: wide.perSecond / wideCeiling,
    },
    {
      part,
      what: "not confirmed exactly once, by lanes and chain",
      value: wrong,
      unit: "",
      target: { text: "0", met: wrong === 0 },
    },
  ];
}

/** The account whose lane (e) fills, and the one that it is compared with. */
export const FILLED = anvilAccount(1);
export const UNFILLED = anvilAccount(2);
