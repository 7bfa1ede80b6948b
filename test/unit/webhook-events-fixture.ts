import { z } from "zod";
import type { DeliveryOutcome, Delivery } from "../../consumers/broadcasters/http.ts";
import type { Deliver } from "../../consumers/broadcasters/configured-destination.ts";
import type { WorkedInbox } from "../../consumers/inbox-attempt.ts";
import { consumeWebhookEvents } from "../../consumers/webhook-events.ts";
import { defineConfig, type Config } from "../../domain/config.ts";
import { isPermanent, type Failure } from "../../domain/failure.ts";
import type { AccountId } from "../../domain/ids.ts";
import { inboxOfKey, type InboxAddress, type InboxName } from "../../domain/inbox-name.ts";
import type { Admission, AdmissionAnswer } from "../../domain/lane.ts";
import { encodeMessage, type Body } from "../../domain/message.ts";
import type { EventPlan, InboxSettlement, InboxTakeAnswer, LeasedEvent } from "../../domain/webhook-event.ts";
import { webhookSource, type HandlerOutput, type InboxPolicy } from "../../domain/webhook-source.ts";

export const START_MS = 1_000_000;
export const ACCOUNT = "eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
export const OTHER_ACCOUNT = "eip155:31337:0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
export const CUSTOMER = inboxOfKey("shop", "customer-1");

export type Handle = (event: {
  readonly id: string;
  readonly data: unknown;
}) => HandlerOutput | Promise<HandlerOutput>;

export function configOf(handle: Handle, policy: Partial<InboxPolicy> = {}): Config {
  const source = webhookSource({
    signature: { scheme: "github" },
    secrets: [{ env: "SHOP_SECRET" }],
    schema: z.unknown(),
    handle,
    policy,
  });
  const destination = { url: { env: "URL" }, secrets: [{ env: "SECRET" }] };
  return defineConfig({
    chains: {
      "eip155:31337": {
        rpcUrl: { env: "CHAIN_URL" },
        signers: [ACCOUNT, OTHER_ACCOUNT].map((account) => ({ account, key: { env: "KEY" } })),
      },
    },
    sources: { shop: source, other: source },
    destinations: {
      receiver: destination,
      second: destination,
      slow: { ...destination, timeoutSeconds: 60 },
    },
  });
}

export const toReceiver: Handle = () => ({ deliveries: ["receiver"] });

export function transfer(value: number | string, account = ACCOUNT) {
  return { account, action: { type: "evm.transaction", to: `0x${"1".repeat(40)}`, value } } as const;
}

export function failure(code: Failure["code"], retryAfterSeconds?: number): DeliveryOutcome {
  const kind = isPermanent(code) ? "permanent" : "transient";
  const wish = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  return { kind, failure: { code, message: "no", ...wish }, status: 500, latencyMs: 1 };
}

export const delivered: DeliveryOutcome = { kind: "delivered", status: 200, latencyMs: 1 };

interface StoredEvent extends Omit<LeasedEvent, "attempt"> {
  state: "queued" | "settled" | "dead";
  effects: LeasedEvent["effects"];
  attempts: number;
  dueMs: number;
  failure: Failure | null;
}

/** The inbox's protocol over memory. Refuses what no consumer may say. */
export class FakeInbox implements WorkedInbox {
  readonly events: StoredEvent[] = [];
  lease: { token: number; untilMs: number; sequences: readonly number[] } | null = null;
  paused = false;
  leaseMs = 60_000;
  #token = 0;
  readonly address: InboxAddress;
  readonly #world: World;

  constructor(world: World, address: InboxAddress) {
    this.#world = world;
    this.address = address;
  }

  admit(...ids: readonly string[]): void {
    for (const id of ids)
      this.events.push({
        sequence: this.events.length,
        id,
        body: JSON.stringify({ id, private: "body of the event" }),
        contentType: "application/json",
        admittedAtMs: this.#world.nowMs,
        generation: 0,
        state: "queued",
        effects: null,
        attempts: 0,
        dueMs: 0,
        failure: null,
      });
  }

  states(): string[] {
    return this.events.map(({ state }) => state);
  }

  async take(): Promise<InboxTakeAnswer> {
    this.#world.step("take");
    const answer = this.#take();
    this.#world.step("taken");
    return structuredClone(answer);
  }

  #take(): InboxTakeAnswer {
    const { nowMs } = this.#world;
    if (this.paused) return { kind: "paused", reason: "by policy" };
    if (this.lease !== null && this.lease.untilMs > nowMs)
      return { kind: "occupied", dueInMs: this.lease.untilMs - nowMs };
    this.lease = null;
    const queued = this.events.filter(({ state }) => state === "queued");
    const late = queued.findIndex(({ dueMs }) => dueMs > nowMs);
    const due =
      this.address.key === null
        ? queued.filter(({ dueMs }) => dueMs <= nowMs)
        : queued.slice(0, late === -1 ? undefined : late);
    const first = queued.toSorted((left, right) => left.dueMs - right.dueMs)[0];
    const head = this.address.key === null ? first : queued[0];
    if (head === undefined) return { kind: "empty" };
    if (due.length === 0) return { kind: "waiting", dueInMs: head.dueMs - nowMs };
    const events = due.slice(0, 50).map(({ attempts, ...event }) => ({ ...event, attempt: attempts + 1 }));
    this.#token += 1;
    this.lease = {
      token: this.#token,
      untilMs: nowMs + this.leaseMs,
      sequences: events.map(({ sequence }) => sequence),
    };
    return { kind: "work", token: this.#token, leaseMs: this.leaseMs, address: this.address, events };
  }

  async plan(token: number, plans: readonly EventPlan[]): Promise<{ readonly kind: "planned" | "stale" }> {
    this.#world.step("plan");
    if (!this.#holds(token)) return { kind: "stale" };
    for (const { sequence, effects, failure: reason } of structuredClone(plans)) {
      const event = this.#lent(sequence);
      if (event.effects !== null) continue;
      if (reason !== null) this.#die(event, reason);
      else event.effects = effects.map((effect) => ({ effect, state: "pending" }));
    }
    this.#world.step("planned");
    return { kind: "planned" };
  }

  async settle({ token, results, renew }: InboxSettlement) {
    this.#world.step("settle");
    if (!this.#holds(token)) return { kind: "stale" as const };
    for (const { sequence, effects } of structuredClone(results)) {
      const event = this.#lent(sequence);
      if (event.effects === null) throw new Error("an event without a plan was settled");
      const states = event.effects.map((entry) => ({ ...entry }));
      let delaySeconds: number | null = null;
      event.attempts += 1;
      for (const result of effects) {
        const entry = states[result.index];
        if (entry?.state !== "pending") throw new Error("an effect was carried out that is not open");
        if (result.kind === "done") entry.state = "done";
        else event.failure = result.failure;
        if (result.kind === "permanent") entry.state = "failed";
        if (result.kind === "transient") delaySeconds = result.failure.retryAfterSeconds ?? 10;
      }
      event.effects = states;
      if (states.every(({ state }) => state === "done")) event.state = "settled";
      else if (states.every(({ state }) => state !== "pending") && event.failure !== null)
        this.#die(event, event.failure);
      else event.dueMs = this.#world.nowMs + (delaySeconds ?? 0) * 1000;
    }
    this.lease = null;
    const next: InboxTakeAnswer = renew ? this.#take() : { kind: "empty" };
    this.#world.step("settled");
    return structuredClone({ kind: "settled" as const, next });
  }

  #holds(token: number): boolean {
    return this.lease?.token === token && this.lease.untilMs > this.#world.nowMs;
  }

  #lent(sequence: number): StoredEvent {
    const event = this.events[sequence];
    if (event?.state !== "queued" || this.lease?.sequences.includes(sequence) !== true)
      throw new Error("an event was named that is not lent");
    return event;
  }

  #die(event: StoredEvent, reason: Failure): void {
    event.state = "dead";
    event.failure = reason;
    const { policy } = this.#world.config.sources.get(this.address.source)!;
    if (policy.afterPermanentFailure === "pause" && this.address.key !== null) this.paused = true;
  }
}

export interface FakeMessage {
  readonly id: string;
  readonly attempts: number;
  readonly body: unknown;
  readonly ends: string[];
  ack(): void;
  retry(options: { delaySeconds: number }): void;
}

export function message(body: unknown, attempts = 1): FakeMessage {
  const ends: string[] = [];
  return {
    id: "m",
    attempts,
    body,
    ends,
    ack: () => void ends.push("ack"),
    retry: ({ delaySeconds }) => void ends.push(`retry ${delaySeconds}`),
  };
}

export function doorbell({ name }: InboxAddress = CUSTOMER, attempts = 1): FakeMessage {
  return message(encodeMessage({ kind: "inbox-doorbell", inbox: name }), attempts);
}

export interface Delivered extends Delivery {
  readonly destination: string;
  readonly timeoutSeconds: number;
}

/** All that is around the consumer, in memory, with a clock that the test moves and a crash at any step. */
export class World {
  nowMs = START_MS;
  config: Config;
  crashAt = 0;
  readonly steps: string[] = [];
  /** What a crashed invocation would still do, it does not: each of its steps fails. */
  #crashed = false;
  readonly inboxes = new Map<InboxName, FakeInbox>();
  readonly lane = new Map<string, { readonly account: AccountId; readonly admission: Admission }>();
  readonly admissionCalls: (readonly string[])[] = [];
  readonly conflicts: string[] = [];
  readonly rung: string[] = [];
  readonly rungLater: (number | undefined)[] = [];
  readonly dead: { readonly body: unknown; readonly options: unknown }[] = [];
  readonly deliveries: Delivered[] = [];
  readonly registered: string[] = [];
  laneAway = false;
  dlqAway = false;
  /** What a destination answers. May throw, and may never come. */
  answer: (delivery: Delivered) => DeliveryOutcome | Promise<DeliveryOutcome> = () => delivered;

  constructor(handle: Handle = toReceiver, policy: Partial<InboxPolicy> = {}) {
    this.config = configOf(handle, policy);
  }

  /** What else happens at a step. May throw. */
  atStep: (at: string) => void = () => undefined;

  step(at: string): void {
    this.steps.push(at);
    this.atStep(at);
    if (this.steps.length === this.crashAt) this.#crashed = true;
    if (this.#crashed) throw new Error("the invocation has ended");
  }

  inbox(address: InboxAddress = CUSTOMER, ...ids: readonly string[]): FakeInbox {
    const inbox = this.inboxes.get(address.name) ?? new FakeInbox(this, address);
    this.inboxes.set(address.name, inbox);
    inbox.admit(...ids);
    return inbox;
  }

  async consume(...messages: FakeMessage[]): Promise<string[]> {
    this.#crashed = false;
    await consumeWebhookEvents({ messages }, this.env(), this.context());
    return messages.map(({ ends }) => ends.join("+"));
  }

  env() {
    return {
      SEQUENCER: { getByName: () => ({ admit: this.#admit }) },
      DIRECTIVES: {
        send: async (body: Body) => {
          this.step("ring");
          this.rung.push(JSON.stringify(body.json));
        },
      },
      WEBHOOK_INBOX: { getByName: (name: InboxName) => this.inboxes.get(name) ?? this.#unknown() },
      WEBHOOK_EVENTS: {
        send: async (_: Body, options?: { delaySeconds: number }) =>
          void this.rungLater.push(options?.delaySeconds),
      },
      WEBHOOK_EVENTS_DLQ: {
        send: async (body: unknown, options?: unknown) => {
          if (this.dlqAway) throw new Error("the queue is away");
          this.dead.push({ body, options });
        },
      },
    };
  }

  context(deliver: Deliver = this.#deliver) {
    return {
      config: this.config,
      deliver,
      registerInbox: async ({ name }: InboxAddress) => void this.registered.push(name),
      now: () => this.nowMs,
      random: () => 0.5,
    };
  }

  /** Ids of the events whose deliveries were answered with success, the first time of each. */
  received(destination = "receiver"): string[] {
    return [
      ...new Set(
        this.#received
          .filter((at) => at.destination === destination)
          .map(({ webhookId, source }) => webhookId.slice(`${source}:`.length)),
      ),
    ];
  }

  readonly #received: Delivered[] = [];

  readonly #deliver: Deliver = async ({ name }, timeoutSeconds, delivery) => {
    this.step("deliver");
    const entry = { ...delivery, destination: name, timeoutSeconds };
    this.deliveries.push(entry);
    const outcome = await this.answer(entry);
    if (outcome.kind === "delivered") this.#received.push(entry);
    this.step("delivered");
    return outcome;
  };

  readonly #admit = async (
    account: AccountId,
    admissions: readonly Admission[],
  ): Promise<AdmissionAnswer[]> => {
    this.step("admit");
    if (this.laneAway) throw new Error("the lane is away");
    this.admissionCalls.push(admissions.map(({ id }) => id));
    const answers = admissions.map((admission): AdmissionAnswer => {
      const known = this.lane.get(admission.id);
      if (known === undefined) {
        this.lane.set(admission.id, { account, admission });
        return { kind: "admitted", status: "queued" };
      }
      if (known.admission.digest === admission.digest) return { kind: "duplicate", status: "queued" };
      this.conflicts.push(admission.id);
      return { kind: "conflict", status: "queued" };
    });
    this.step("admitted");
    return answers;
  };

  #unknown(): FakeInbox {
    throw new Error("the inbox is away");
  }
}
