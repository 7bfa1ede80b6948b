// The composition root: requests go to the HTTP application, queues to their consumers, the cron to its jobs.
import { checkThresholds } from "./dlq/alerts.ts";
import { runCron } from "./dlq/cron.ts";
import { tellDirectiveFailed, type FailedDirective } from "./dlq/directive-failed.ts";
import { reconcileLetters } from "./dlq/reconcile.ts";
import { reviveReplays } from "./dlq/replay-commands.ts";
import { httpApi } from "./http-api.ts";
import config from "./lockstep.config.ts";
import { consumeQueue } from "./queues.ts";

export { ReplayWorkflow } from "./dlq/replay.ts";
export { Sequencer } from "./durable-objects/sequencer.ts";
export { WebhookInbox } from "./durable-objects/webhook-inbox.ts";
export { WebhookIndex } from "./durable-objects/webhook-index.ts";

export default {
  fetch: (request, env, context) => httpApi.fetch(request, env, context),

  queue: (batch, env) => consumeQueue(batch, env),

  async scheduled(_controller, env): Promise<void> {
    const nowMs = Date.now();
    const notifies = config.operations.notify !== null;
    const tell = notifies ? (failed: FailedDirective) => tellDirectiveFailed(env, failed) : null;
    await runCron({
      "check thresholds": () => checkThresholds(env, config, nowMs),
      reconcile: () => reconcileLetters(env, { ids: null, actor: "lockstep", tell }, nowMs),
      "revive replays": () => reviveReplays(env, nowMs),
    });
  },
} satisfies ExportedHandler<Env>;
