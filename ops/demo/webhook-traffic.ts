import { bodyOf, type Provider } from "../webhook-providers.ts";
import { addressOf, GOOD_ACCOUNTS, type Good } from "./traffic.ts";

/** One event of a provider. Its body is like no other's, so the receiver's deliveries can be told apart by it. */
export interface DemoEvent {
  readonly provider: Provider;
  readonly key: string;
  readonly id: string;
  readonly body: string;
  /** What it makes happen on the chain, of an `order.paid`. */
  readonly transfer: Good | null;
}

export interface Customer {
  readonly provider: Provider;
  readonly key: string;
  /** In the order in which they are sent. */
  readonly events: readonly DemoEvent[];
}

export interface WebhookTraffic {
  readonly customers: readonly Customer[];
  /** Sent by their provider a second time: those of even place at the same moment as the first. */
  readonly redelivered: readonly DemoEvent[];
  /** The receiver answers 403 to all of this customer's events. */
  readonly refused: Customer;
}

const CUSTOMERS: Readonly<Record<"polar" | "stripe" | "plain", number>> = { polar: 8, stripe: 6, plain: 6 };
const EVENTS = 10;
/** Every third event of Polar. */
const PAID_EVERY = 3;
const REDELIVERED_EVERY = 5;

export function planWebhooks(run: string): WebhookTraffic {
  const customers = (["polar", "stripe", "plain"] as const).flatMap((provider) =>
    Array.from({ length: CUSTOMERS[provider] }, (_, index) =>
      customerOf(run, provider, `${provider}-${index}`, EVENTS),
    ),
  );
  const refused = customers.at(-1);
  if (refused === undefined) throw new Error("there is no customer");
  const events = customers.flatMap((customer) => customer.events);
  const redelivered = events.filter((_, index) => index % REDELIVERED_EVERY === 1);
  return { customers, redelivered, refused };
}

/** @param name of the customer, within the run */
export function customerOf(run: string, provider: Provider, name: string, events: number): Customer {
  const key = `${run}-${name}`;
  return {
    provider,
    key,
    events: Array.from({ length: events }, (_, index) => eventOf(run, provider, key, index)),
  };
}

function eventOf(run: string, provider: Provider, key: string, index: number): DemoEvent {
  const id = `${key}-${index}`;
  const [account] = GOOD_ACCOUNTS;
  const isPaid = provider === "polar" && index % PAID_EVERY === 0 && account !== undefined;
  if (!isPaid) {
    const body = bodyOf(provider, { id, key, type: "order.updated" });
    return { provider, key, id, body, transfer: null };
  }
  const recipient = addressOf(run, `paid by ${id}`);
  const value = 2_000_000_000n + BigInt(index);
  const metadata = { lockstep_to: recipient, lockstep_wei: value.toString() };
  const action = { type: "evm.transaction" as const, to: recipient, value };
  return {
    provider,
    key,
    id,
    body: bodyOf(provider, { id, key, type: "order.paid", metadata }),
    transfer: {
      source: "webhook",
      account,
      recipient,
      value,
      directive: { id: `polar:${id}:0`, account: account.id, action },
    },
  };
}
