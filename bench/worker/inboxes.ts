import type { InboxAddress } from "../../domain/inbox-name.ts";
import type { EventAdmission, EventPlan, IndexEntry, InboxSettlement } from "../../domain/webhook-event.ts";
import { WebhookInbox as ProductInbox } from "../../durable-objects/webhook-inbox.ts";
import { WebhookIndex as ProductIndex } from "../../durable-objects/webhook-index.ts";
import { CallCounter, countedQueue } from "./call-counter.ts";

type InboxState = ConstructorParameters<typeof ProductInbox>[0];
type InboxEnv = ConstructorParameters<typeof ProductInbox>[1];
type IndexState = ConstructorParameters<typeof ProductIndex>[0];
type IndexEnv = ConstructorParameters<typeof ProductIndex>[1];

/** The product's class, with what a webhook event costs it counted. */
export class CountedInbox extends ProductInbox {
  readonly #counter = new CallCounter();

  constructor(ctx: InboxState, env: InboxEnv) {
    const WEBHOOK_EVENTS = countedQueue(env.WEBHOOK_EVENTS);
    super(ctx, { ...env, WEBHOOK_EVENTS, WEBHOOK_EVENTS_DLQ: countedQueue(env.WEBHOOK_EVENTS_DLQ) });
    this.ctx = this.#counter.watch(this.ctx);
  }

  override admit(address: InboxAddress, event: EventAdmission) {
    return this.#counter.counted("admit", () => super.admit(address, event), "inbox");
  }
  override take(holder: string) {
    return this.#counter.counted("take", () => super.take(holder), "inbox");
  }
  override plan(token: number, plans: readonly EventPlan[]) {
    return this.#counter.counted("plan", () => super.plan(token, plans), "inbox");
  }
  override settle(settlement: InboxSettlement) {
    return this.#counter.counted("settle", () => super.settle(settlement), "inbox");
  }
  override async alarm(): Promise<void> {
    // What it does before it first waits is all that it writes.
    await this.#counter.counted("alarm", () => super.alarm(), "inbox");
  }
}

/** As `CountedInbox`. */
export class CountedIndex extends ProductIndex {
  readonly #counter = new CallCounter();

  constructor(ctx: IndexState, env: IndexEnv) {
    super(ctx, env);
    this.ctx = this.#counter.watch(this.ctx);
  }

  override find(id: string): IndexEntry | undefined {
    return this.#counter.counted("find", () => super.find(id), "index");
  }
  override async note(entry: IndexEntry): Promise<void> {
    await this.#counter.counted("note", () => super.note(entry), "index");
  }
}
