import type { AnvilAccount } from "../../ops/anvil-accounts.ts";
import type { Client } from "../../ops/client.ts";
import type { DirectiveInput } from "../../domain/directive.ts";
import type { Stack } from "../../ops/stack.ts";

/** What each directive pays its own recipient: the recipient's balance says how often it took effect. Wei. */
export const PAYMENT = 1000n;

/** One directive, and what is known of its way to Lockstep. */
export interface Order {
  readonly account: AnvilAccount;
  readonly directive: DirectiveInput;
  /** An address that nothing else pays; null for poison, which pays nobody. */
  readonly recipient: `0x${string}` | null;
  /** HTTP answered that the lane has it. From then on it may not be lost. */
  acknowledged: boolean;
}

export interface Workload {
  readonly orders: readonly Order[];
  /** How often a directive was sent, by any way. */
  readonly sends: number;
  /** Sends some new directives, and some old ones again. Whatever fails is only not acknowledged. */
  step(): Promise<void>;
  /** One payment from each account, by HTTP. Gives those orders. */
  payOnceEach(): readonly Order[];
  /** Sends by HTTP. Never throws: what fails is not acknowledged. */
  post(orders: readonly Order[]): Promise<void>;
}

export interface WorkloadOptions {
  /** Makes ids and recipients of this run its own. */
  readonly run: number;
  readonly accounts: readonly AnvilAccount[];
  readonly stack: Pick<Stack, "send">;
  readonly client: Pick<Client, "post">;
  readonly random: () => number;
}

/**
 * The pairing precompile, which fails on such input. A contract would not do: after a restart and a reorg, anvil has
 * forgotten the code of contracts.
 */
const FAILS = "0x0000000000000000000000000000000000000008";
const POISON: readonly ((account: AnvilAccount, id: string) => DirectiveInput)[] = [
  (account, id) => ({
    id,
    account: account.id,
    action: { type: "evm.transaction", to: FAILS, value: 0n, data: "0x01" },
  }),
  (account, id) => ({
    id,
    account: account.id,
    action: { type: "evm.transaction", to: account.address, value: PAYMENT, gas: 20_000n },
  }),
  (account, id) => ({
    id,
    account: account.id,
    action: { type: "evm.transaction", to: account.address, value: PAYMENT },
    expiresAt: "2001-01-01T00:00:00Z",
  }),
];
const POISON_SHARE = 0.04;
const DUPLICATE_SHARE = 0.3;
const IMPOSTOR_SHARE = 0.1;
const GARBAGE_SHARE = 0.05;

export function createWorkload({ run, accounts, stack, client, random }: WorkloadOptions): Workload {
  const orders: Order[] = [];
  let sends = 0;

  const pick = <Item>(items: readonly Item[]): Item => {
    const item = items[Math.floor(random() * items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  };

  function payment(account: AnvilAccount): Order {
    const index = orders.length;
    const recipient: `0x${string}` = `0x${(0xc4a050000000n + BigInt(run) * 0x1000000n + BigInt(index)).toString(16).padStart(40, "0")}`;
    const id = `chaos-${run}-${index}`;
    const directive = {
      id,
      account: account.id,
      action: { type: "evm.transaction", to: recipient, value: PAYMENT },
    } as const;
    const order: Order = { account, directive, recipient, acknowledged: false };
    orders.push(order);
    return order;
  }

  function poison(account: AnvilAccount): Order {
    const directive = pick(POISON)(account, `chaos-${run}-${orders.length}-poison`);
    const order: Order = { account, directive, recipient: null, acknowledged: false };
    orders.push(order);
    return order;
  }

  async function post(some: readonly Order[]): Promise<void> {
    sends += some.length;
    try {
      const { receipts } = await client.post(some.map(({ directive }) => directive));
      for (const [index, order] of some.entries()) {
        const status = receipts[index]?.status;
        if (status !== undefined && status !== "conflict" && status !== "unavailable")
          order.acknowledged = true;
      }
    } catch {
      // Whether it was admitted is not known: a producer sends it again.
    }
  }

  async function enqueue(some: readonly Order[]): Promise<void> {
    sends += some.length;
    await send(some.map(({ directive }) => ({ directive })));
  }

  /** The local broker keeps messages in memory: a kill may lose what it took. */
  async function send(items: Parameters<Stack["send"]>[0]): Promise<void> {
    await stack.send(items).catch(() => undefined);
  }

  /** The id of a directive that the lane has, with another payload: a wei more must never arrive. */
  function impostor(): DirectiveInput[] {
    const { directive, acknowledged, recipient } = pick(orders);
    if (!acknowledged || recipient === null) return [];
    return [{ ...directive, action: { type: "evm.transaction", to: recipient, value: PAYMENT + 1n } }];
  }

  async function disturb(): Promise<void> {
    if (random() < GARBAGE_SHARE) await send([{ raw: "not a message" }, { raw: { json: { v: 9 } } }]);
    if (random() > IMPOSTOR_SHARE) return;
    const wrong = impostor();
    if (random() < 0.5) await send(wrong.map((directive) => ({ directive })));
    else if (wrong.length > 0) await client.post(wrong).catch(() => undefined);
  }

  return {
    orders,
    get sends() {
      return sends;
    },
    async step() {
      const size = random() < 0.1 ? 100 : 1 + Math.floor(random() * 15);
      const fresh = Array.from({ length: size }, () =>
        random() < POISON_SHARE ? poison(pick(accounts)) : payment(pick(accounts)),
      );
      const again = fresh.filter(() => random() < DUPLICATE_SHARE);
      const old = orders.length > size && random() < DUPLICATE_SHARE ? [pick(orders)] : [];
      const [first, second] = random() < 0.5 ? [post, enqueue] : [enqueue, post];
      const ways = [first(fresh)];
      if (again.length > 0) ways.push(second(again));
      if (old.length > 0) ways.push(second(old));
      ways.push(disturb());
      await Promise.all(ways);
    },
    payOnceEach: () => accounts.map(payment),
    post,
  };
}
