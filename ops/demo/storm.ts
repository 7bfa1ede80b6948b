import type { PlanReport, ReplayReport } from "../../domain/api-letters.ts";
import type { Client } from "../client.ts";
import { waitUntil } from "../wait-until.ts";
import { fundVault } from "./chain-facts.ts";
import type { Destination } from "./destination.ts";
import type { PlanRequest } from "../client-replays.ts";
import { sendBatches, type Ways } from "./send.ts";
import { BREAKER_ACCOUNT, VAULT_ACCOUNT, type Storm } from "./storm-traffic.ts";
import type { Step } from "./terminal.ts";
import { REFUSED_ACCOUNT } from "./traffic.ts";
import { sendEvents, type WebhookAnswers } from "./webhook-send.ts";

/** Letters a second. */
const RATE = 150;
const LANE_RATE = 60;
const LOOK_EVERY_MS = 200;
const REPLAYED_WITHIN_MS = 90_000;
/** The Worker is killed when so much of the replay is done. */
const KILL_AT = 0.3;

export interface StormWays extends Ways {
  readonly operator: Client;
  readonly destination: Destination;
  /** Names the letters of this run: ISO 8601. */
  readonly startedAt: string;
}

/** What a replay of one or several plans came to. */
export interface Replayed {
  readonly plans: readonly PlanReport[];
  readonly reports: readonly ReplayReport[];
}

/** Work that meets an empty vault, and a destination that refuses whole customers. */
export async function fillWithLetters(storm: Storm, ways: StormWays, answers: WebhookAnswers): Promise<void> {
  await Promise.all([
    sendBatches(storm.payments, ways),
    ...storm.groups.map(({ customers }) => sendEvents(customers, [], ways, answers)),
  ]);
}

/** The causes: the vault's funds, the destination's rules, the credential and the lane that its breaker paused. */
export async function removeCauses(
  { vault }: Storm,
  { stack, proxy, destination, operator }: StormWays,
): Promise<void> {
  await fundVault(stack.chainUrl, vault);
  destination.putInOrder();
  proxy.refuse([REFUSED_ACCOUNT.address]);
  await operator.commandLane(BREAKER_ACCOUNT.id, "resume", "the endpoint takes the renewed credential");
}

/** One for each cause. */
export function planCures({ operator, startedAt: from }: StormWays): Promise<readonly PlanReport[]> {
  const filters: readonly PlanRequest["filter"][] = [
    { lane: VAULT_ACCOUNT.id, from },
    { lane: BREAKER_ACCOUNT.id, from },
    { kind: "event", from },
  ];
  return Promise.all(filters.map((filter) => operator.createPlan({ filter })));
}

/** Everything that is open. */
export async function planRest({ operator, startedAt: from }: StormWays): Promise<readonly PlanReport[]> {
  return [await operator.createPlan({ filter: { from } })];
}

/** Runs the plans to their end. @param middle happens once, when a part of it is done */
export async function replay(
  plans: readonly PlanReport[],
  reason: string,
  ways: StormWays,
  step: Step,
  middle: (() => Promise<void>) | null = null,
): Promise<Replayed> {
  const { operator, stack, signal } = ways;
  const started = await Promise.all(
    plans
      .filter(({ matched }) => matched > 0)
      .map(({ id: plan, digest }) =>
        operator.startReplay({ plan, digest, reason, ratePerSecond: RATE, perLanePerSecond: LANE_RATE }),
      ),
  );
  const startedMs = Date.now();
  let interrupted: Promise<void> | null = null;
  const reports = await waitUntil(
    async () => {
      const now = await Promise.all(started.map(({ id }) => operator.replay(id)));
      const [total, ended] = [
        sum(now, "total"),
        sum(now, "landed") + sum(now, "failedAgain") + sum(now, "refused"),
      ];
      step.progress(`${ended} of ${total} letters: ${bar(ended / total)} ${eta(startedMs, ended / total)}`);
      if (middle !== null && interrupted === null && ended >= KILL_AT * total) {
        interrupted = middle();
        await interrupted;
      }
      return now.every(({ status }) => status === "done") ? now : undefined;
    },
    {
      what: "the replays' end",
      withinMs: REPLAYED_WITHIN_MS,
      everyMs: LOOK_EVERY_MS,
      signal,
      failed: stack.failure,
      tail: stack.tail,
    },
  );
  if (middle !== null && interrupted === null) await middle();
  return { plans, reports };
}

function sum(reports: readonly ReplayReport[], name: "total" | "landed" | "failedAgain" | "refused"): number {
  return reports.reduce((total, report) => total + report[name], 0);
}

const BAR = 20;

function bar(share: number): string {
  const full = Math.round(BAR * Math.min(1, share));
  return `${"█".repeat(full)}${"░".repeat(BAR - full)}`;
}

function eta(startedMs: number, share: number): string {
  if (share <= 0 || share >= 1) return "";
  return `${Math.ceil(((Date.now() - startedMs) * (1 - share)) / share / 1000)} s left`;
}
