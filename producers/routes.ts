import { createRoute, z } from "@hono/zod-openapi";
import {
  directiveReceiptsSchema,
  directiveReportSchema,
  laneReportSchema,
  MAX_DIRECTIVES_PER_REQUEST,
  problemSchema,
  reasonSchema,
} from "../domain/api.ts";
import type { LaneCommand } from "./lanes.ts";

/** The routes as OpenAPI tells of them. They describe bodies; what is taken is decided by the handlers' parsers. */

const amount = z.union([z.string(), z.int()]).describe("decimal digits; a string above 2^53-1");

const directiveBody = z.object({
  id: z.string().describe("the idempotency key: 1 to 128 of A-Z a-z 0-9 . _ : -"),
  account: z.string().describe("CAIP-10, for example eip155:1:0x52908400098527886e0f7030069857d2e4169ee7"),
  action: z.union([
    z.object({
      type: z.literal("evm.transaction"),
      to: z.string(),
      value: amount,
      data: z.string().optional(),
      gas: amount.optional(),
    }),
    z.object({
      type: z.literal("cosmos.messages"),
      messages: z.array(z.object({ typeUrl: z.string(), value: z.unknown() })),
      memo: z.string().optional(),
      gas: amount.optional(),
    }),
  ]),
  expiresAt: z.string().optional().describe("ISO 8601; work that has not begun by then does not begin"),
  metadata: z.record(z.string(), z.unknown()).optional(),
});

const batchBody = z.object({
  directives: z.array(directiveBody).min(1).max(MAX_DIRECTIVES_PER_REQUEST),
});

const account = z.string().describe("a CAIP-10 account, percent-encoded");

const security = [{ bearer: [] }];

const problems = {
  default: {
    description: "Every error, as RFC 9457 says",
    content: { "application/problem+json": { schema: problemSchema } },
  },
};

function json<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

export const healthRoute = createRoute({
  method: "get",
  path: "/healthz",
  responses: { 200: { description: "The Worker runs" } },
});

export const postDirectivesRoute = createRoute({
  method: "post",
  path: "/v1/directives",
  security,
  request: { body: { ...json("One or many", z.union([directiveBody, batchBody])), required: true } },
  responses: {
    202: json("Something new was admitted; the receipts say what became of each", directiveReceiptsSchema),
    200: json("All of it was admitted before", directiveReceiptsSchema),
    ...problems,
  },
});

export const getDirectiveRoute = createRoute({
  method: "get",
  path: "/v1/accounts/{account}/directives/{id}",
  security,
  request: { params: z.object({ account, id: z.string() }) },
  responses: { 200: json("What became of the directive", directiveReportSchema), ...problems },
});

export const getLanesRoute = createRoute({
  method: "get",
  path: "/v1/accounts",
  security,
  request: { query: z.object({ after: z.string().optional(), limit: z.int().min(1).max(100).optional() }) },
  responses: {
    200: json(
      "Every lane that was ever admitted to; `next` is the `after` of the next page",
      z.object({ accounts: z.array(laneReportSchema), next: z.string().nullable() }),
    ),
    ...problems,
  },
});

export const getLaneRoute = createRoute({
  method: "get",
  path: "/v1/accounts/{account}",
  security,
  request: { params: z.object({ account }) },
  responses: { 200: json("The lane", laneReportSchema), ...problems },
});

export const pauseLaneRoute = createRoute({ ...laneCommand("pause"), path: "/v1/accounts/{account}/pause" });
export const resumeLaneRoute = createRoute({
  ...laneCommand("resume"),
  path: "/v1/accounts/{account}/resume",
});

export const repairLaneRoute = createRoute({
  ...laneCommand("repair"),
  path: "/v1/accounts/{account}/repair",
});

function laneCommand(command: LaneCommand) {
  return {
    method: "post" as const,
    description: `The lane's log keeps who asked to ${command} it, and why`,
    security,
    request: {
      params: z.object({ account }),
      body: { ...json("Why", reasonSchema), required: true },
    },
    responses: { 200: json("The lane", laneReportSchema), ...problems },
  };
}
