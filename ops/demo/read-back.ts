import type { DirectiveReport } from "../../domain/api.ts";
import type { DepthReport } from "../../domain/api-letters.ts";
import type { EventReport } from "../../domain/api-webhooks.ts";
import type { Client } from "../client.ts";
import type { Arrival } from "../receiver.ts";
import { pause } from "../wait-until.ts";
import type { ChainReader } from "./chain-facts.ts";
import type { Findings } from "./findings.ts";
import type { DemoPlan } from "./plan.ts";
import { readLanes, readLetters, type Before } from "./settle.ts";

/** Two blocks and a delivery: time for an effect that must not come. */
const QUIET_MS = 2500;
const READS_AT_ONCE = 10;
/** So many customers have the audit trail of two of their events read: one of each half. */
const AUDITED_CUSTOMERS = 4;
const AUDITED_EVENTS = [1, 6] as const;

export interface Reading {
  readonly plan: DemoPlan;
  readonly operator: Client;
  readonly chainReader: ChainReader;
  readonly startedAt: string;
  readonly arrivals: readonly Arrival[];
  readonly before: Pick<Before, "lanes"> & { readonly depth: DepthReport };
  /** What was heard on the way. */
  readonly heard: Pick<Findings, "answers" | "webhookAnswers" | "replays">;
  readonly signal: AbortSignal;
}

/** Reads everything anew, from where it happened. */
export async function readBack(reading: Reading): Promise<Findings> {
  const { plan, operator, chainReader, startedAt, arrivals, before, heard } = reading;
  await pause(QUIET_MS);
  const [chain, letters, after, depth, reports, audits] = await Promise.all([
    chainReader.read(plan.good),
    readLetters(operator, { run: plan.run, startedAt }),
    readLanes(operator),
    operator.depth(),
    readReports(reading),
    readAudits(reading),
  ]);
  const lanes = new Map(
    Array.from(after, ([id, lane]) => [id, { before: before.lanes.get(id) ?? lane, after: lane }] as const),
  );
  return {
    plan,
    chain,
    arrivals,
    letters,
    reports,
    lanes,
    audits,
    depth: { before: before.depth, after: depth },
    ...heard,
  };
}

async function readReports({ plan, operator, signal }: Reading): Promise<Findings["reports"]> {
  const reports = new Map<string, DirectiveReport | null>();
  for (let start = 0; start < plan.good.length; start += READS_AT_ONCE) {
    signal.throwIfAborted();
    const group = plan.good.slice(start, start + READS_AT_ONCE);
    await Promise.all(
      group.map(async ({ directive: { account, id } }) => {
        reports.set(id, await operator.directive(account, id));
      }),
    );
  }
  return reports;
}

function readAudits({ plan, operator }: Reading): Promise<readonly EventReport[]> {
  const { customers } = plan.webhooks;
  const step = Math.floor(customers.length / AUDITED_CUSTOMERS);
  const audited = customers.filter((_, index) => index % step === 0);
  const sample = audited.flatMap(({ events }) => AUDITED_EVENTS.flatMap((index) => events[index] ?? []));
  return Promise.all(sample.map(({ provider, id }) => operator.event(provider, id)));
}
