// In:  requests of the webhooks' routes, their tokens checked where they need one.
// Out: the answer of the handler that the route names.
// On failure: what a handler throws goes to the application's error handler.
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Actor } from "../domain/api.ts";
import type { Config } from "../domain/config.ts";
import {
  commandInbox,
  getEvent,
  getEvents,
  getInbox,
  getInboxes,
  skipHead,
  type InboxesEnv,
  type ListInboxes,
} from "./inboxes.ts";
import {
  getEventRoute,
  getEventsRoute,
  getInboxesRoute,
  getInboxRoute,
  pauseInboxRoute,
  postWebhookRoute,
  resumeInboxRoute,
  skipHeadRoute,
} from "./webhook-routes.ts";
import { postWebhook, type WebhooksEnv } from "./webhooks.ts";

export function webhookRoutes<Env extends WebhooksEnv & InboxesEnv>(
  config: Config,
  listInboxes: ListInboxes<Env>,
) {
  const app = new OpenAPIHono<{ Bindings: Env; Variables: { actor: Actor } }>();
  const routes = [
    postWebhookRoute,
    getEventsRoute,
    getEventRoute,
    getInboxesRoute,
    getInboxRoute,
    pauseInboxRoute,
    resumeInboxRoute,
    skipHeadRoute,
  ] as const;
  for (const route of routes) app.openAPIRegistry.registerPath(route);
  app.post(postWebhookRoute.getRoutingPath(), ({ req, env }) =>
    postWebhook(req.param("source"), req.raw, env, config, Date.now()),
  );
  app.get(getEventsRoute.getRoutingPath(), ({ req, env }) =>
    getEvents(req.param("source"), req.url, env, config),
  );
  app.get(getEventRoute.getRoutingPath(), ({ req, env }) =>
    getEvent(req.param("source"), req.param("id"), req.url, env, config),
  );
  app.get(getInboxesRoute.getRoutingPath(), ({ req, env }) =>
    getInboxes(req.param("source"), req.url, env, config, listInboxes),
  );
  app.get(getInboxRoute.getRoutingPath(), ({ req, env }) =>
    getInbox(req.param("source"), req.url, env, config),
  );
  app.post(pauseInboxRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    commandInbox("pause", req.param("source"), req.raw, env, config, actor),
  );
  app.post(resumeInboxRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    commandInbox("resume", req.param("source"), req.raw, env, config, actor),
  );
  app.post(skipHeadRoute.getRoutingPath(), ({ req, env, var: { actor } }) =>
    skipHead(req.param("source"), req.raw, env, config, actor),
  );
  return app;
}
