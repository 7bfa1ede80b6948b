// In:  the application with every route that is mounted on it.
// Out: its OpenAPI 3.1 document: the routes' own schemas, and what the application answers before any of them.
// On failure: throws for a route that cannot be described, which is a bug.
import type { OpenAPIHono } from "@hono/zod-openapi";

type Describable = Pick<OpenAPIHono, "getOpenAPI31Document" | "openAPIRegistry">;
type Document = ReturnType<Describable["getOpenAPI31Document"]>;

/** A path item of OpenAPI holds more than operations: only these are. */
const METHODS = ["get", "put", "post", "delete", "patch"] as const;

/** The answers of `authenticate`, which stands before every route that is not public. */
const BEFORE = {
  401: { name: "Unauthorized", description: "No known token" },
  403: { name: "Forbidden", description: "A token of the wrong scope, or of other accounts" },
  503: {
    name: "Unavailable",
    description: "A part of the Worker is restarting, overloaded or not configured",
  },
} as const;

/** Registers what the routes of every stage share. Call it once, before `openApiDocument`. */
export function registerShared({ openAPIRegistry }: Describable): void {
  openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "The token of a producer or of an operator. An operator may do what a producer may.",
  });
  for (const { name, description } of Object.values(BEFORE))
    openAPIRegistry.registerComponent("responses", name, {
      description,
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    });
}

/** Of all routes that are mounted by now. A route that does not say otherwise needs a token. */
export function openApiDocument(app: Describable): Document {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Lockstep",
      version: "1",
      description:
        "Ordered, exactly-once effects on Cloudflare. Producers send directives and signed webhook events; operators see lanes, inboxes and dead letters, and replay them. Times are ISO 8601 in UTC. Every error is `application/problem+json` as RFC 9457 says.",
      license: { name: "MIT", url: "https://opensource.org/license/mit" },
    },
    servers: [{ url: "/", description: "This Worker" }],
    tags: [
      {
        name: "Directives",
        description: "One transaction from one account each, put on the chain exactly once.",
      },
      { name: "Lanes", description: "What shares one sequence: an account." },
      { name: "Webhooks", description: "Signed events of other services, in the order of their admission." },
      {
        name: "Dead letters",
        description: "What is not retried by itself: reasons, reconciliation, replays.",
      },
      { name: "Service", description: "The Worker itself." },
    ],
    security: [{ bearer: [] }],
  });
  for (const item of Object.values(document.paths ?? {}))
    for (const method of METHODS) {
      const operation = item[method];
      if (operation === undefined || operation.security?.length === 0) continue;
      operation.responses ??= {};
      for (const [status, { name }] of Object.entries(BEFORE))
        operation.responses[status] ??= { $ref: `#/components/responses/${name}` };
    }
  return document;
}
