// The whole HTTP application: the routes of the producers, and behind the same tokens those of the operators.
import { listInboxes, listLanes } from "./dlq/lane-registry.ts";
import { dlqRoutes, type DlqHttp } from "./dlq/operator-http.ts";
import config from "./lockstep.config.ts";
import { createApp, type ProducerEnv } from "./producers/http.ts";

type HttpEnv = ProducerEnv & DlqHttp["Bindings"];

/** Not in worker.ts, so that what describes and checks the routes needs no Worker. */
export const httpApi = createApp<HttpEnv>(config, {
  listLanes: (env, after, limit) => listLanes(env.LEDGER, after, limit),
  listInboxes: (env, source, after, limit) => listInboxes(env.LEDGER, source, after, limit),
});
httpApi.route("/", dlqRoutes());
