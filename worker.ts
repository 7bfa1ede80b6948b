// The composition root: who gets what. Requests go to producers and the operators' routes, queues to their consumers.
import { configuredBroadcaster } from "./consumers/broadcasters/configured.ts";
import { consumeConfirmations } from "./consumers/confirmations.ts";
import { consumeDirectives } from "./consumers/directives.ts";
import { consumeDeadLetters } from "./dlq/consumer.ts";
import { listLanes, registerLane } from "./dlq/lane-registry.ts";
import { dlqRoutes } from "./dlq/operator-http.ts";
import type { Account, AccountId } from "./domain/ids.ts";
import config from "./lockstep.config.ts";
import { createApp } from "./producers/http.ts";

export { Sequencer } from "./durable-objects/sequencer.ts";

const app = createApp(config, (env: Env, after, limit) => listLanes(env.LEDGER, after, limit));
app.route("/", dlqRoutes());

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),

  async queue(batch, env): Promise<void> {
    const broadcasterOf = (account: Account) => configuredBroadcaster(config, env, account);
    const { now } = Date;
    const register = (account: AccountId) => registerLane(env.LEDGER, account, now());
    switch (batch.queue) {
      case "directives":
        return consumeDirectives(batch, env, {
          config,
          broadcasterOf,
          registerLane: register,
          now,
          random: Math.random,
        });
      case "confirmations":
        return consumeConfirmations(batch, env, { config, broadcasterOf });
      case "directives-dlq":
        return consumeDeadLetters(batch, env, now());
      default:
        console.error(
          JSON.stringify({ at: "worker.queue", error: `no consumer for the queue ${batch.queue}` }),
        );
        batch.retryAll({ delaySeconds: 60 });
    }
  },
} satisfies ExportedHandler<Env>;
