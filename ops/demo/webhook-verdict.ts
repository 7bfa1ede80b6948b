import type { Arrival } from "../receiver.ts";
import type { EventReport } from "../../domain/api-webhooks.ts";
import { landedOnce, type Findings, type Guarantee, type Row, type Table } from "./findings.ts";
import type { Customer, DemoEvent } from "./webhook-traffic.ts";

const PROVIDERS = ["polar", "stripe", "plain"] as const;

export function webhookTable(found: Findings): Table {
  const { webhooks } = found.plan;
  const regular = webhooks.customers.filter((customer) => customer !== webhooks.refused);
  const byProvider = PROVIDERS.map((provider): Row => {
    const customers = regular.filter((customer) => customer.provider === provider);
    const events = customers.flatMap((customer) => customer.events);
    const handled = events.filter((event) => handledOnce(event, found.arrivals)).length;
    const dead = lettersOf(customers, found);
    return {
      label: `${provider}, ${customers.length} customers`,
      numbers: [events.length, handled, dead],
      expected: `${events.length} handled once`,
      ok: handled === events.length && dead === 0,
    };
  });
  const transfers = webhooks.customers.flatMap(({ events }) =>
    events.flatMap(({ transfer }) => (transfer === null ? [] : [transfer])),
  );
  const paid = transfers.filter((transfer) => landedOnce(transfer, found)).length;
  const { refused, redelivered } = webhooks;
  const replayed = refused.events.filter((event) => handledOnce(event, found.arrivals, true)).length;
  const died = lettersOf([refused], found);
  const again = redelivered.map(
    ({ body }) => found.arrivals.filter((arrival) => arrival.handled && arrival.body === body).length - 1,
  );
  const second = again.reduce((sum, count) => sum + Math.max(0, count), 0);
  const known = found.webhookAnswers.known;
  const spurious = found.arrivals.filter(({ body }) => /"(?:forged|stale)\./.test(body)).length;
  const { sent, refused: unauthorized } = found.webhookAnswers.spurious;
  return {
    columns: ["sent", "handled", "dead", "expected at the receiver"],
    rows: [
      ...byProvider,
      {
        label: "order.paid on the chain",
        numbers: [transfers.length, paid, null],
        expected: `${transfers.length} land once`,
        ok: paid === transfers.length,
      },
      {
        label: "answered 403, replayed",
        numbers: [refused.events.length, replayed, died],
        expected: "forbidden, then handled",
        ok: replayed === refused.events.length && died === refused.events.length,
      },
      {
        label: "redelivered events",
        numbers: [redelivered.length, second, null],
        expected: `${known} answered as known`,
        ok: second === 0 && known === redelivered.length,
      },
      {
        label: "forged, stale, from ahead",
        numbers: [sent, spurious, null],
        expected: `${unauthorized} answered 401`,
        ok: spurious === 0 && unauthorized === sent,
      },
    ],
  };
}

/** Under one webhook-id and one sequence, whatever the number of attempts. @param replayed whether it says that it is late */
export function handledOnce(event: DemoEvent, arrivals: readonly Arrival[], replayed = false): boolean {
  const own = arrivals.filter(({ body }) => body === event.body);
  const handled = own.filter((arrival) => arrival.handled);
  return (
    handled.length === 1 &&
    handled[0]?.replayed === replayed &&
    new Set(own.map(({ webhookId, sequence }) => `${sequence} ${webhookId}`)).size === 1
  );
}

export function inOrder({ plan, arrivals }: Findings): Guarantee {
  const regular = plan.webhooks.customers.filter((customer) => customer !== plan.webhooks.refused);
  const ordered = regular.filter((customer) => isInOrder(customer, arrivals));
  const bodies = new Set(plan.events.map(({ body }) => body));
  const again = arrivals.filter(
    ({ body, handled, reply }) => bodies.has(body) && !handled && reply !== "hang-up" && reply < 300,
  ).length;
  const text = `${ordered.length} of ${regular.length} customers in order`;
  const known = again === 0 ? "" : `; ${again} came again, known by their id`;
  return { name: "G4 in order", found: `${text}${known}`, ok: ordered.length === regular.length };
}

/** The receiver's order is that of admission, without a gap, and so that in which the provider sent. */
function isInOrder({ key, provider, events }: Customer, arrivals: readonly Arrival[]): boolean {
  const handled = arrivals.filter(
    (arrival) => arrival.handled && arrival.source === provider && arrival.key === key,
  );
  const [first] = handled;
  return (
    handled.length === events.length &&
    handled.every(
      ({ body, sequence }, index) =>
        body === events[index]?.body && sequence === (first?.sequence ?? 0) + index,
    )
  );
}

/** The audit trail of an event says what its receiver says. */
export function answerable({ audits, arrivals, plan }: Findings): Guarantee {
  const right = audits.filter((audit) => agrees(audit, plan.events, arrivals));
  const attempts = audits.reduce((sum, audit) => sum + audit.attempts, 0);
  const text = `${right.length} of ${audits.length} audit trails agree with the receiver, ${attempts} attempts`;
  return { name: "G6 answerable", found: text, ok: audits.length > 0 && right.length === audits.length };
}

function agrees(
  { id, audit, status }: EventReport,
  events: readonly DemoEvent[],
  arrivals: readonly Arrival[],
): boolean {
  const event = events.find((one) => one.id === id);
  const replies = arrivals.filter(({ body }) => body === event?.body).map(({ reply }) => reply);
  const said = audit.flatMap((entry) => (entry.status === null ? [] : [entry.status]));
  return (
    status === "settled" &&
    audit[0]?.what === "admitted" &&
    replies.length > 0 &&
    said.join() === replies.filter((reply) => reply !== "hang-up").join()
  );
}

/** Ever opened, whatever became of them. */
function lettersOf(customers: readonly Customer[], { letters }: Findings): number {
  const keys = customers.map(({ provider, key }) => `webhook:${provider}:${key}`);
  return letters.filter(({ lane }) => lane !== null && keys.includes(lane)).length;
}
