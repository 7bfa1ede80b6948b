import { randomUUID } from "node:crypto";
import type { AnvilAccount } from "../ops/anvil-accounts.ts";
import { lockstepClient } from "../ops/client.ts";
import { waitUntil } from "../ops/wait-until.ts";
import { afterNextBlock, BATCH, mined, nonces, RECIPIENT, type ChainRun } from "./chain.ts";

/** Where directives go, and the chain on which they must land. */
export interface Target {
  readonly url: string;
  readonly chainUrl: string;
  readonly operatorToken: string;
}

export interface ConfirmedRun extends ChainRun {
  /** From the first submission until the chain had mined all, in seconds; `seconds` is until the lanes knew. */
  readonly minedSeconds: number;
  /** Directives that were not confirmed exactly once, by the lanes' counts and the chain's nonces. */
  readonly wrong: number;
}

const SUBMITTERS = 4;
const CONFIRMED_WITHIN_MS = 120_000;
/** Each question costs the Worker that is measured. */
const POLL_MS = 100;

/**
 * Submits `each` transfers of every account in hundreds, and resolves when the lanes have confirmed all of them. The
 * clock starts with the first request, right after a block.
 */
export async function confirmedRun(
  target: Target,
  accounts: readonly AnvilAccount[],
  each: number,
): Promise<ConfirmedRun> {
  const client = lockstepClient({ url: target.url, token: target.operatorToken });
  const before = await nonces(target.chainUrl, accounts);
  const settledBefore = await Promise.all(
    accounts.map(async ({ id }) => (await client.lane(id)).counts.settled),
  );
  const bodies: string[] = [];
  for (let start = 0; start < each; start += BATCH)
    for (const account of accounts) bodies.push(transfers(account, Math.min(BATCH, each - start)));
  await afterNextBlock(target.chainUrl);
  const begunMs = performance.now();
  await submit(target, bodies, SUBMITTERS);
  await mined(target.chainUrl, accounts, before, each);
  const minedSeconds = (performance.now() - begunMs) / 1000;
  const reports = await Promise.all(
    accounts.map(({ id }, index) =>
      waitUntil(
        async () => {
          const report = await client.lane(id);
          const done = report.counts.settled >= (settledBefore[index] ?? 0) + each;
          return done && report.counts.inFlight === 0 ? report : undefined;
        },
        { what: `${each} confirmed directives of ${id}`, withinMs: CONFIRMED_WITHIN_MS, everyMs: POLL_MS },
      ),
    ),
  );
  const seconds = (performance.now() - begunMs) / 1000;
  const after = await nonces(target.chainUrl, accounts);
  const wrong = reports.reduce((sum, { counts }, index) => {
    const used = (after[index] ?? 0) - (before[index] ?? 0);
    return sum + Math.abs(used - each) + Math.abs(counts.settled - (settledBefore[index] ?? 0) - each);
  }, 0);
  return { perSecond: (each * accounts.length) / seconds, seconds, minedSeconds, wrong };
}

export interface SubmissionRun {
  readonly directivesPerSecond: number;
  /** Of one request, in milliseconds, ascending. */
  readonly latencies: readonly number[];
}

/** Submits new directives to a lane that is paused, so that nothing but their admission is measured. */
export async function admissionRun(
  target: Target,
  account: AnvilAccount,
  { requests, perRequest, inFlight }: { requests: number; perRequest: number; inFlight: number },
): Promise<SubmissionRun> {
  const pause = await fetch(`${target.url}/v1/accounts/${encodeURIComponent(account.id)}/pause`, {
    method: "POST",
    headers: headersOf(target),
    body: JSON.stringify({ reason: "bench: admission alone" }),
  });
  if (pause.status !== 200) throw new Error(`pause answered ${pause.status}: ${await pause.text()}`);
  const bodies = Array.from({ length: requests }, () => transfers(account, perRequest));
  const begunMs = performance.now();
  const latencies = await submit(target, bodies, inFlight);
  const seconds = (performance.now() - begunMs) / 1000;
  return {
    directivesPerSecond: (requests * perRequest) / seconds,
    latencies: latencies.toSorted((left, right) => left - right),
  };
}

/** Posts the bodies in order, some at the same time. Gives the milliseconds of each. Throws unless all are admitted. */
async function submit(
  target: Target,
  bodies: readonly string[],
  inFlight: number,
): Promise<readonly number[]> {
  const latencies: number[] = [];
  const left = bodies.values();
  const submitter = async (): Promise<void> => {
    for (const body of left) {
      const begunMs = performance.now();
      const response = await fetch(`${target.url}/v1/directives`, {
        method: "POST",
        headers: headersOf(target),
        body,
      });
      const text = await response.text();
      if (response.status !== 202) throw new Error(`a submission answered ${response.status}: ${text}`);
      latencies.push(performance.now() - begunMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, submitter));
  return latencies;
}

function headersOf({ operatorToken }: Target): Record<string, string> {
  return { authorization: `Bearer ${operatorToken}`, "content-type": "application/json" };
}

/** The body of one request. One directive goes as it is, several in a list. */
function transfers({ id: account }: AnvilAccount, count: number): string {
  const action = { type: "evm.transaction", to: RECIPIENT, value: "1" };
  const directives = Array.from({ length: count }, () => ({ id: randomUUID(), account, action }));
  return JSON.stringify(count === 1 ? directives[0] : { directives });
}
