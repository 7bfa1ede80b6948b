// In:  the `webhook-events` queue: doorbells of webhook inboxes.
// Out: plans and ends of events in the WebhookInbox; directives in the Sequencer, with doorbells in `directives`; deliveries to destinations; unreadable bodies in `webhook-events-dlq`.
// On failure: each message by itself: `verdictOf` says ack, retry with a delay, or dead-letter. The handler never throws.
import type { Config } from "../domain/config.ts";
import { parseInbox, type InboxAddress, type InboxName } from "../domain/inbox-name.ts";
import { decodeMessage, encodeMessage, type Body } from "../domain/message.ts";
import { unreachable } from "../domain/result.ts";
import type { WebhookSource } from "../domain/webhook-source.ts";
import { sendAsItCame, type DeadLetterQueue } from "./as-it-came.ts";
import type { Deliver } from "./broadcasters/configured-destination.ts";
import { Connections } from "./connections.ts";
import { warn, type EffectsEnv } from "./event-effects.ts";
import { workInbox, type InboxEnd, type WorkedInbox } from "./inbox-attempt.ts";
import { registration } from "./registration.ts";
import { Subrequests } from "./subrequests.ts";
import { conclude, verdictOf, type MessageEnd, type QueueMessage } from "./verdict.ts";

export interface WebhookEventsEnv extends EffectsEnv {
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): WorkedInbox };
  readonly WEBHOOK_EVENTS: { send(body: Body, options?: { delaySeconds: number }): Promise<unknown> };
  readonly WEBHOOK_EVENTS_DLQ: DeadLetterQueue;
}

export interface WebhookEventsContext {
  readonly config: Config;
  readonly deliver: Deliver;
  /** Writes the inbox into the list of inboxes. May throw: work does not wait for it. */
  readonly registerInbox: (address: InboxAddress) => Promise<void>;
  readonly now: () => number;
  readonly random: () => number;
}

type Batch = { readonly messages: readonly QueueMessage[] };

interface Item {
  readonly message: QueueMessage;
  readonly address: InboxAddress | null;
}

/** What the inboxes of one invocation share. */
interface Invocation {
  readonly connections: Connections;
  readonly subrequests: Subrequests;
  readonly stopMs: number;
}

/** An invocation works its inboxes for so long at the most; one that is not empty then rings again. */
const WORK_MS = 60_000;
/** Its registration, `take`, and the `settle` that gives work back which may not begin. */
const SUBREQUESTS_OF_INBOX = 3;

/**
 * All inboxes that rang are worked at once, and each message ends when its inbox does: one that hangs holds up none of
 * the others. What they share is their invocation: its time, its connections and its subrequests.
 */
export async function consumeWebhookEvents(
  batch: Batch,
  env: WebhookEventsEnv,
  context: WebhookEventsContext,
): Promise<void> {
  const invocation: Invocation = {
    connections: new Connections(),
    // Each message may end with a send.
    subrequests: new Subrequests(batch.messages.length),
    stopMs: context.now() + WORK_MS,
  };
  const byInbox = Map.groupBy(batch.messages.map(read), ({ address }) => address?.name ?? null);
  await Promise.all(
    Array.from(byInbox.values(), async (items) => {
      const address = items[0]?.address ?? null;
      const ends =
        address === null
          ? items.map((): MessageEnd => ({ kind: "unreadable" }))
          : await workOne(address, items, env, context, invocation);
      await Promise.all(
        items.map((item, place) => finish(item, ends[place] ?? { kind: "faulted" }, env, context.random())),
      );
    }),
  );
}

function read(message: QueueMessage): Item {
  const decoded = decodeMessage(message.body);
  if (!decoded.ok) return { message, address: null };
  switch (decoded.value.kind) {
    case "inbox-doorbell":
      return { message, address: parseInbox(decoded.value.inbox) ?? null };
    case "directive":
    case "doorbell":
    case "confirmation":
    case "rejection":
      return { message, address: null };
    default:
      return unreachable(decoded.value);
  }
}

/** Works an inbox once, however many doorbells it rang. One of them waits for the next due time; the others are done. */
async function workOne(
  address: InboxAddress,
  items: readonly Item[],
  env: WebhookEventsEnv,
  context: WebhookEventsContext,
  invocation: Invocation,
): Promise<readonly MessageEnd[]> {
  const source = context.config.sources.get(address.source);
  const settled: MessageEnd = { kind: "settled" };
  if (source === undefined) {
    // Its alarm rings again, and once the source is configured again there is somebody to hear it.
    warn("consumers.webhook-events.work", address.name, `the source ${address.source} is not configured`);
    return items.map(() => settled);
  }
  if (!invocation.subrequests.take(SUBREQUESTS_OF_INBOX))
    return items.map((_, place) => (place === 0 ? { kind: "waiting", dueInMs: 0 } : settled));
  const registered = registration(context.registerInbox(address), (error) =>
    warn("consumers.webhook-events.register", address.name, error),
  );
  const end = await attempt(address, source, items[0]?.message.id ?? "", env, context, invocation);
  await registered;
  return items.map((_, place) => (place === 0 ? end : settled));
}

async function attempt(
  address: InboxAddress,
  source: WebhookSource,
  holder: string,
  env: WebhookEventsEnv,
  { config, deliver, now }: WebhookEventsContext,
  { connections, subrequests, stopMs }: Invocation,
): Promise<MessageEnd> {
  try {
    const inbox = env.WEBHOOK_INBOX.getByName(address.name);
    return endOf(
      await workInbox({
        inbox,
        env,
        config,
        source,
        address,
        holder,
        deliver,
        connections,
        subrequests,
        now,
        stopMs,
      }),
    );
  } catch (error) {
    warn("consumers.webhook-events.work", address.name, error);
    return { kind: "faulted" };
  }
}

function endOf(end: InboxEnd): MessageEnd {
  return end.kind === "done" ? { kind: "settled" } : { kind: "waiting", dueInMs: end.dueInMs };
}

async function finish(
  { message, address }: Item,
  end: MessageEnd,
  env: WebhookEventsEnv,
  random: number,
): Promise<void> {
  await conclude(verdictOf(end, { attempts: message.attempts, doorbell: true }, random), message, {
    async ringAgain(delaySeconds) {
      if (address === null) return;
      await env.WEBHOOK_EVENTS.send(encodeMessage({ kind: "inbox-doorbell", inbox: address.name }), {
        delaySeconds,
      });
    },
    deadLetter: () => sendAsItCame(env.WEBHOOK_EVENTS_DLQ, message.body),
    failed: (error) => warn("consumers.webhook-events.finish", address?.name ?? null, error),
  });
}
