// The queues: which consumer takes what, and what each is given.
import { configuredDelivery } from "./consumers/broadcasters/configured-destination.ts";
import { configuredBroadcaster, sharingBroadcasters } from "./consumers/broadcasters/configured.ts";
import { consumeConfirmations } from "./consumers/confirmations.ts";
import { consumeDirectives } from "./consumers/directives.ts";
import { consumeWebhookEvents } from "./consumers/webhook-events.ts";
import { consumeDeadLetters } from "./dlq/consumer.ts";
import { registerInbox, registerLane } from "./dlq/lane-registry.ts";
import type { Account } from "./domain/ids.ts";
import config from "./lockstep.config.ts";

/** Brings each message of a batch to its end. Never throws: the local broker redelivers what was acked before a throw. */
export async function consumeQueue(batch: MessageBatch, env: Env): Promise<void> {
  const broadcasterOf = (account: Account) => configuredBroadcaster(config, env, account);
  const { now } = Date;
  switch (batch.queue) {
    case "directives":
      return consumeDirectives(batch, env, {
        config,
        broadcasterOf,
        registerLane: (account) => registerLane(env.LEDGER, account, now()),
        now,
        random: Math.random,
      });
    case "webhook-events":
      return consumeWebhookEvents(batch, env, {
        config,
        deliver: configuredDelivery(env, { now }),
        registerInbox: (address) => registerInbox(env.LEDGER, address, now()),
        now,
        random: Math.random,
      });
    case "confirmations":
      return consumeConfirmations(batch, env, {
        config,
        broadcastersOf: (accounts) => sharingBroadcasters(config, env, accounts),
      });
    case "directives-dlq":
    case "webhook-events-dlq":
    case "dead-letters-parking":
      return consumeDeadLetters(batch, env, {
        nowMs: now(),
        notifies: config.operations.notify !== null,
      });
    default:
      console.error(
        JSON.stringify({ at: "worker.queue", error: `no consumer for the queue ${batch.queue}` }),
      );
      batch.retryAll({ delaySeconds: 60 });
  }
}
