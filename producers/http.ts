/**
 * In: every HTTP request to the Worker.
 * Out: the answer of the handler that its route names, after its token was checked.
 * On failure: problem+json (RFC 9457): 404 for an unknown path, 405 for a method that a path does not have, 503 when a
 * Durable Object is overloaded or restarts, 500 for a bug, which is logged without anything that the caller sent.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { routePath } from "hono/route";
import type { RouterRoute } from "hono/types";
import { problem, type Actor } from "../domain/api.ts";
import type { Config } from "../domain/config.ts";
import type { AccountId } from "../domain/ids.ts";
import type { InboxName } from "../domain/inbox-name.ts";
import type { SequencerProtocol } from "../domain/lane.ts";
import type { IndexProtocol, InboxProtocol } from "../domain/webhook-event.ts";
import { authenticate, type AuthEnv } from "./auth.ts";
import { postDirectives } from "./directives.ts";
import type { EnqueueEnv } from "./enqueue.ts";
import type { IndexNamespace } from "./event-index.ts";
import type { InboxCommand, ListInboxes } from "./inboxes.ts";
import { commandLane, getDirective, getLane, getLanes, type LaneCommand, type ListLanes } from "./lanes.ts";
import { describeThrown, logLine } from "./log.ts";
import { openApiDocument, registerShared } from "./openapi.ts";
import {
  getDirectiveRoute,
  getLaneRoute,
  getLanesRoute,
  healthRoute,
  openApiRoute,
  pauseLaneRoute,
  postDirectivesRoute,
  repairLaneRoute,
  resumeLaneRoute,
} from "./routes.ts";
import { webhookRoutes } from "./webhook-http.ts";
import type { WebhooksEnv } from "./webhooks.ts";

export interface ProducerEnv extends AuthEnv {
  readonly SEQUENCER: {
    getByName(name: AccountId): Pick<SequencerProtocol, "admit" | "directive" | "status" | LaneCommand>;
  };
  readonly DIRECTIVES: EnqueueEnv["DIRECTIVES"];
  readonly WEBHOOK_INBOX: {
    getByName(
      name: InboxName,
    ): Pick<InboxProtocol, "admit" | "events" | "event" | "status" | InboxCommand | "skipHead">;
  };
  readonly WEBHOOK_INDEX: IndexNamespace<keyof IndexProtocol>;
  readonly WEBHOOK_EVENTS: WebhooksEnv["WEBHOOK_EVENTS"];
}

/** What is known of all lanes and inboxes: Durable Objects cannot be listed. */
export interface Registry<Env> {
  readonly listLanes: ListLanes<Env>;
  readonly listInboxes: ListInboxes<Env>;
}

/** What a route finds in its context. `actor` is there for every path but the public ones of `requiredScope`. */
export interface AppEnv<Env extends ProducerEnv = ProducerEnv> {
  Bindings: Env;
  Variables: { actor: Actor };
}

/**
 * The Worker's HTTP application with the producers' routes. Routes of other stages are mounted on it afterwards, with
 * `app.route("/", …)`: the token is checked before theirs too, and they find the `actor` in their variables.
 */
export function createApp<Env extends ProducerEnv>(
  config: Config,
  { listLanes, listInboxes }: Registry<Env>,
): OpenAPIHono<AppEnv<Env>> {
  const app = new OpenAPIHono<AppEnv<Env>>();
  app.use(authenticate());
  registerShared(app);
  app.route("/", producerRoutes(config, listLanes));
  app.route("/", webhookRoutes(config, listInboxes));
  let document: ReturnType<typeof openApiDocument> | undefined;
  app.openAPIRegistry.registerPath(openApiRoute);
  app.get(openApiRoute.getRoutingPath(), () => {
    // At the first question, since other stages mount theirs after this.
    document ??= openApiDocument(app);
    return Response.json(document);
  });
  app.notFound(({ req }) => {
    const allow = methodsAt(app.routes, req.path);
    if (allow.length === 0) return problem(404, "There is nothing at this path.");
    return problem(405, `The path takes ${allow.join(", ")}.`, { headers: { allow: allow.join(", ") } });
  });
  app.onError((thrown, context) => {
    if (thrown instanceof HTTPException && thrown.status === 400) return problem(400, thrown.message);
    if (thrown instanceof HTTPException && thrown.status === 415) return problem(415, thrown.message);
    logLine("error", "producers.http", {
      method: context.req.method,
      route: routePath(context),
      ...describeThrown(thrown),
    });
    if (mayWorkLater(thrown)) {
      return problem(503, "A part of the Worker is restarting or overloaded.", {
        headers: { "retry-after": "1" },
      });
    }
    return problem(500, "The Worker failed. Its log says why.");
  });
  return app;
}

function producerRoutes<Env extends ProducerEnv>(
  config: Config,
  listLanes: ListLanes<Env>,
): OpenAPIHono<AppEnv<Env>> {
  const app = new OpenAPIHono<AppEnv<Env>>();
  const routes = [
    healthRoute,
    postDirectivesRoute,
    getDirectiveRoute,
    getLanesRoute,
    getLaneRoute,
    pauseLaneRoute,
    resumeLaneRoute,
    repairLaneRoute,
  ] as const;
  for (const route of routes) app.openAPIRegistry.registerPath(route);
  app.get(healthRoute.getRoutingPath(), () => Response.json({ status: "ok" }));
  app.post(postDirectivesRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    postDirectives(req.raw, env, config, actor),
  );
  app.get(getDirectiveRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    getDirective(req.param("account"), req.param("id"), env, config, actor),
  );
  app.get(getLanesRoute.getRoutingPath(), ({ req, env }) => getLanes(req.url, env, listLanes));
  app.get(getLaneRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    getLane(req.param("account"), env, config, actor),
  );
  app.post(pauseLaneRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    commandLane("pause", req.raw, req.param("account"), env, config, actor),
  );
  app.post(resumeLaneRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    commandLane("resume", req.raw, req.param("account"), env, config, actor),
  );
  app.post(repairLaneRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    commandLane("repair", req.raw, req.param("account"), env, config, actor),
  );
  return app;
}

/** The methods that routes have for a path, in alphabetical order. Middleware has no method. */
function methodsAt(routes: readonly RouterRoute[], path: string): readonly string[] {
  const segments = path.split("/");
  const methods = routes.flatMap((route) => {
    const pattern = route.path.split("/");
    const fits =
      pattern.length === segments.length &&
      pattern.every(
        (part, index) => part === segments[index] || (part.startsWith(":") && segments[index] !== ""),
      );
    return fits && route.method !== "ALL" ? [route.method] : [];
  });
  return [...new Set(methods)].toSorted();
}

/** The platform marks what it threw for a Durable Object that may answer a moment later. */
function mayWorkLater(thrown: Error): boolean {
  return (
    ("retryable" in thrown && thrown.retryable === true) ||
    ("overloaded" in thrown && thrown.overloaded === true)
  );
}
