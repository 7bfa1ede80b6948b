import type { DirectiveReport, LaneReport } from "../../domain/api.ts";
import type { DepthReport, ReplayReport } from "../../domain/api-letters.ts";
import type { EventReport } from "../../domain/api-webhooks.ts";
import type { LetterReport } from "../../ops/client.ts";
import type { ChainFacts, Mined } from "../../ops/demo/chain-facts.ts";
import type { Findings } from "../../ops/demo/findings.ts";
import {
  ALL_ACCOUNTS,
  curableLetters,
  expectedAdmissions,
  hopelessLetters,
  planDemo,
  type DemoPlan,
} from "../../ops/demo/plan.ts";
import { BREAKER_AFTER } from "../../ops/demo/storm-traffic.ts";
import type { DemoEvent } from "../../ops/demo/webhook-traffic.ts";
import type { Arrival } from "../../ops/receiver.ts";

const AT = "2026-01-01T00:00:00.000Z";

/** What a run finds in which everything went as it must. */
export function goodFindings(): Findings {
  const plan = planDemo("demo-0");
  const mined = plan.good.map(({ account, directive }): Mined => {
    return { hash: `0x${directive.id}`, from: account.address, to: directive.id, success: true };
  });
  return {
    plan,
    chain: chainOf(plan, mined),
    arrivals: arrivalsOf(plan),
    letters: lettersOf(plan),
    reports: new Map(plan.good.map(({ directive }) => [directive.id, reportOf(directive)])),
    lanes: new Map(ALL_ACCOUNTS.map((account) => [account.id, lanesOf(plan, account)])),
    audits: plan.webhooks.customers.slice(0, 2).flatMap(({ events }) => events.slice(0, 1).map(auditOf)),
    answers: { repeatedKnown: plan.traffic.repeatedOverHttp.length, conflict: 409 },
    webhookAnswers: { known: plan.webhooks.redelivered.length, spurious: { sent: 16, refused: 16 } },
    replays: {
      cures: {
        plans: [],
        reports: [replayOf({ total: curableLetters(plan), landed: curableLetters(plan) })],
      },
      rest: { plans: [], reports: [replayOf({ total: 20, failedAgain: 20 })] },
    },
    depth: { before: depthOf(3), after: depthOf(3 + hopelessLetters(plan)) },
  };
}

export function depthOf(open: number): DepthReport {
  const byAge = { under1h: open, under24h: 0, under7d: 0, over7d: 0 };
  const letters = {
    open,
    replaying: 0,
    resolved: 0,
    discarded: 0,
    byCode: {},
    byLane: {},
    oldestOpenAt: null,
  };
  return { queues: {}, letters: { ...letters, byAge, reconciliationRequired: 0 } };
}

function chainOf(plan: DemoPlan, mined: readonly Mined[]): ChainFacts {
  const nonces = ALL_ACCOUNTS.map(({ address }) => {
    const moved = mined.filter(({ from }) => from === address).length;
    return [address, { now: moved, moved }] as const;
  });
  const balances = plan.good.map(({ recipient, value }) => [recipient, value] as const);
  return { nonces: new Map(nonces), mined, balances: new Map(balances) };
}

function arrivalsOf(plan: DemoPlan): Arrival[] {
  const { customers, refused } = plan.webhooks;
  const statusOf = new Map(
    plan.storm.groups.flatMap(({ status, customers: all }) => all.map(({ key }) => [key, status])),
  );
  statusOf.set(refused.key, 403);
  const all = [...customers, ...plan.storm.groups.flatMap((group) => group.customers)];
  return all.flatMap(({ provider: source, key, events }) =>
    events.flatMap(({ id, body }, sequence): Arrival[] => {
      const status = statusOf.get(key);
      const delivery = { webhookId: id, source, key, sequence, attempt: 1, body };
      const handled = { ...delivery, replayed: status !== undefined, reply: 204, handled: true };
      return status === undefined
        ? [handled]
        : [{ ...delivery, replayed: false, reply: status, handled: false }, handled];
    }),
  );
}

function lettersOf(plan: DemoPlan): LetterReport[] {
  const { traffic, storm, webhooks } = plan;
  const letter = (code: string, state: "open" | "resolved", of: Partial<LetterReport>): LetterReport => ({
    id: "letter",
    kind: "directive",
    state,
    lane: null,
    directiveId: "",
    code,
    message: "",
    attempts: 1,
    directiveStatus: null,
    sequence: null,
    transactions: [],
    openedAt: AT,
    ...of,
  });
  const poison = traffic.poison.flatMap(({ code, items }) =>
    items.map((item) =>
      "raw" in item
        ? letter(code, "open", { kind: "raw" })
        : letter(code, "open", { kind: "introduction", directiveId: item.directive.id }),
    ),
  );
  const directives = [
    ...storm.payments.map((good) => ({ good, code: "execution_reverted" })),
    ...storm.held.slice(0, BREAKER_AFTER).map((good) => ({ good, code: "unauthorized" })),
  ].map(({ good, code }) =>
    letter(code, "resolved", { lane: good.account.id, directiveId: good.directive.id }),
  );
  const ofEvent =
    (code: string) =>
    ({ provider, key, id }: DemoEvent) =>
      letter(code, "resolved", { kind: "event", lane: `webhook:${provider}:${key}`, directiveId: id });
  const events = [
    ...webhooks.refused.events.map(ofEvent("forbidden")),
    ...storm.groups.flatMap(({ code, customers }) =>
      customers.flatMap((customer) => customer.events.map(ofEvent(code))),
    ),
  ];
  return [...poison, ...directives, ...events];
}

function reportOf({ id, account }: { readonly id: string; readonly account: string }): DirectiveReport {
  const transactions = [{ hash: `0x${id}`, status: "included" as const, sequence: 0 }];
  return { id, account, status: "confirmed", transactions, attempts: 1, admittedAt: AT, updatedAt: AT };
}

function lanesOf(plan: DemoPlan, account: (typeof ALL_ACCOUNTS)[number]) {
  const admitted = expectedAdmissions(plan, [account]);
  const settled = plan.good.filter((good) => good.account.id === account.id).length;
  return {
    before: laneOf(account.id, 0, { admitted: 0, settled: 0, dead: 0, inFlight: 0 }),
    after: laneOf(account.id, settled, { admitted, settled, dead: admitted - settled, inFlight: 0 }),
  };
}

function laneOf(account: string, nextSequence: number, counts: LaneReport["counts"]): LaneReport {
  return {
    account,
    status: "live",
    reason: null,
    nextSequence,
    chainSequence: nextSequence,
    checkpoint: { received: nextSequence, contiguous: nextSequence },
    leases: [],
    counts,
    open: 0,
    lettersOwed: 0,
    outage: null,
    attempts: {},
    events: [],
  };
}

function auditOf({ provider: source, key, id }: DemoEvent): EventReport {
  const steps = [
    { what: "admitted", status: null },
    { what: "receiver done", status: 204 },
    { what: "settled", status: null },
  ];
  return {
    id,
    source,
    key,
    inbox: `webhook:${source}:${key}`,
    sequence: 0,
    status: "settled",
    attempts: 1,
    generation: 0,
    failure: null,
    admittedAt: AT,
    updatedAt: AT,
    digest: "",
    effects: [],
    audit: steps.map((step) => ({ ...step, at: AT, latencyMs: null })),
  };
}

function replayOf(numbers: Partial<ReplayReport>): ReplayReport {
  const counts = { total: 0, waiting: 0, sent: 0, inFlight: 0, landed: 0, alreadyLanded: 0 };
  return {
    id: "replay",
    plan: "plan",
    status: "done",
    actor: "operator",
    reason: "",
    ratePerSecond: 1,
    perLanePerSecond: 1,
    ...counts,
    failedAgain: 0,
    refused: 0,
    returned: 0,
    etaSeconds: null,
    startedAt: AT,
    updatedAt: AT,
    endedAt: AT,
    ...numbers,
  };
}
