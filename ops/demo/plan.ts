import type { AnvilAccount } from "../anvil-accounts.ts";
import { BREAKER_ACCOUNT, BREAKER_AFTER, planStorm, VAULT_ACCOUNT, type Storm } from "./storm-traffic.ts";
import { ACCOUNTS, planTraffic, type Good, type Traffic } from "./traffic.ts";
import { planWebhooks, type DemoEvent, type WebhookTraffic } from "./webhook-traffic.ts";

/** Everything that a run sends. */
export interface DemoPlan {
  readonly run: string;
  readonly traffic: Traffic;
  readonly webhooks: WebhookTraffic;
  readonly storm: Storm;
  /** Every directive that must land once, whatever way it took. */
  readonly good: readonly Good[];
  /** Every event that must be handled once. */
  readonly events: readonly DemoEvent[];
}

/** Every lane that the run uses. */
export const ALL_ACCOUNTS: readonly AnvilAccount[] = [...ACCOUNTS, VAULT_ACCOUNT, BREAKER_ACCOUNT];

/** @param run makes every id and recipient new, so that the demo can run again over old state */
export function planDemo(run: string): DemoPlan {
  const traffic = planTraffic(run);
  const webhooks = planWebhooks(run);
  const storm = planStorm(run);
  const regular = webhooks.customers.flatMap(({ events }) => events);
  const transfers = regular.flatMap(({ transfer }) => (transfer === null ? [] : [transfer]));
  return {
    run,
    traffic,
    webhooks,
    storm,
    good: [...traffic.good, ...transfers, ...storm.payments, ...storm.held],
    events: [...regular, ...stormEvents(storm)],
  };
}

export function stormEvents({ groups }: Storm): readonly DemoEvent[] {
  return groups.flatMap(({ customers }) => customers.flatMap(({ events }) => events));
}

/** Letters that a replay cannot help: they are open to the end. */
export function hopelessLetters({ traffic: { poison } }: DemoPlan): number {
  return poison.reduce((sum, { items }) => sum + items.length, 0);
}

/** Letters that all land once their cause is gone. */
export function curableLetters({ storm, webhooks }: DemoPlan): number {
  return storm.payments.length + BREAKER_AFTER + stormEvents(storm).length + webhooks.refused.events.length;
}

/** How many directives the lanes must admit. */
export function expectedAdmissions({ good, traffic }: DemoPlan, accounts: readonly AnvilAccount[]): number {
  const ids = new Set(accounts.map(({ id }) => id));
  const poisoned = traffic.poison.filter(({ lane }) => lane !== null && ids.has(lane.id));
  return (
    good.filter(({ account }) => ids.has(account.id)).length +
    poisoned.reduce((sum, { items }) => sum + items.length, 0)
  );
}
