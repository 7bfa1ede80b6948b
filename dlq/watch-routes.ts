// In:  HTTP requests of operators, and of what scrapes for them; who calls is settled by the middleware in front.
// Out: depth and incidents as JSON, metrics as Prometheus text.
// On failure: 400 names each parameter that is wrong; what D1 throws goes to the application's error handler.
import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { depthSchema, incidentsReportSchema, type IncidentsReport } from "../domain/api-letters.ts";
import { problemSchema } from "../domain/api.ts";
import { depth, type DepthEnv } from "./depth.ts";
import { listIncidents, type Incident } from "./incidents.ts";
import { metricsText, type MetricsEnv } from "./metrics.ts";
import { EXPOSITION_TYPE } from "./prometheus.ts";

export type WatchEnv = DepthEnv & MetricsEnv;

const nothing = z.strictObject({});
const unknownParameters = {
  description: "Unknown parameters",
  content: { "application/problem+json": { schema: problemSchema } },
};

const depthRoute = createRoute({
  method: "get",
  path: "/v1/dlq/depth",
  operationId: "getDepth",
  summary: "What waits on the queues, and the ledger's letters",
  tags: ["Dead letters"],
  request: { query: nothing },
  responses: {
    200: {
      description: "Backlog of each queue, and the ledger's letters",
      content: { "application/json": { schema: depthSchema } },
    },
    400: unknownParameters,
  },
});

const incidentsRoute = createRoute({
  method: "get",
  path: "/v1/dlq/incidents",
  operationId: "listIncidents",
  summary: "Thresholds that are passed, and those that were",
  tags: ["Dead letters"],
  request: { query: nothing },
  responses: {
    200: {
      description: "Incidents that are open, and the last that ended",
      content: { "application/json": { schema: incidentsReportSchema } },
    },
    400: unknownParameters,
  },
});

const metricsRoute = createRoute({
  method: "get",
  path: "/metrics",
  operationId: "getMetrics",
  summary: "Everything that is counted, for Prometheus",
  tags: ["Dead letters"],
  request: { query: nothing },
  responses: {
    200: {
      description: "Prometheus text exposition, version 0.0.4",
      content: { "text/plain": { schema: z.string() } },
    },
    400: unknownParameters,
  },
});

/** Adds the routes of those who watch. */
export function watchRoutes<Env extends { Bindings: WatchEnv }>(app: OpenAPIHono<Env>): void {
  app.openapi(depthRoute, async (c) => c.json(await depth(c.env, Date.now()), 200));
  app.openapi(incidentsRoute, async (c) => {
    const { open, closed } = await listIncidents(c.env.LEDGER);
    return c.json({ open: open.map(incidentView), closed: closed.map(incidentView) }, 200);
  });
  app.openapi(metricsRoute, async (c) => {
    const text = await metricsText(c.env, Date.now());
    return c.text(text, 200, { "content-type": EXPOSITION_TYPE });
  });
}

function incidentView(incident: Incident): IncidentsReport["open"][number] {
  const { id, rule, subject, detail, openedAtMs, closedAtMs } = incident;
  return {
    id,
    rule,
    subject,
    detail,
    openedAt: new Date(openedAtMs).toISOString(),
    closedAt: closedAtMs === null ? null : new Date(closedAtMs).toISOString(),
  };
}
