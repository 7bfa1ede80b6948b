import { createRoute, z } from "@hono/zod-openapi";
import {
  directiveReceiptsSchema,
  directiveReportSchema,
  laneReportSchema,
  MAX_DIRECTIVES_PER_REQUEST,
  reasonSchema,
} from "../domain/api.ts";
import { directiveSchema } from "../domain/directive.ts";
import { lanesQuery, type LaneCommand } from "./lanes.ts";
import { json, named, problems, PUBLIC, refusal } from "./route-parts.ts";

/** The routes as OpenAPI tells of them. Bodies are described by the schemas that the handlers' parsers apply. */

const directive = named("Directive", directiveSchema);
const receipts = named("DirectiveReceipts", directiveReceiptsSchema);
const lane = named("Lane", laneReportSchema);

const batchBody = z.object({
  directives: z.array(directive).min(1).max(MAX_DIRECTIVES_PER_REQUEST),
});

const account = z.string().describe("A CAIP-10 account, percent-encoded.");

const ACCOUNT = "eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const directiveExample = {
  id: "payout-1001",
  account: ACCOUNT,
  action: {
    type: "evm.transaction",
    to: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    value: "1000000000",
  },
};
const receiptExample = { directives: [{ id: "payout-1001", account: ACCOUNT, status: "queued" }] };

export const healthRoute = createRoute({
  method: "get",
  path: "/healthz",
  operationId: "getHealth",
  summary: "Whether the Worker runs",
  tags: ["Service"],
  security: PUBLIC,
  responses: {
    200: json("The Worker runs", z.object({ status: z.literal("ok") }), { status: "ok" }),
    ...problems,
  },
});

export const openApiRoute = createRoute({
  method: "get",
  path: "/openapi.json",
  operationId: "getOpenApi",
  summary: "This document",
  tags: ["Service"],
  responses: { 200: json("OpenAPI 3.1", z.record(z.string(), z.unknown())), ...problems },
});

export const postDirectivesRoute = createRoute({
  method: "post",
  path: "/v1/directives",
  operationId: "postDirectives",
  summary: "Admits one directive, or up to 100",
  description:
    "`id` is the idempotency key within the account: the same request again is always safe. One wrong directive refuses the whole request; admission is per directive.",
  tags: ["Directives"],
  request: {
    body: {
      ...json("One or many", z.union([directive, batchBody]), directiveExample),
      required: true,
    },
  },
  responses: {
    202: json(
      "Something new was admitted; the receipts say what became of each",
      directiveReceiptsSchema,
      receiptExample,
    ),
    200: json("All of it was admitted before", receipts, receiptExample),
    400: refusal("Wrong fields, each named; nothing was admitted"),
    409: refusal("An id has another payload; nothing new was admitted"),
    413: refusal("A directive of more than 96 KB"),
    ...problems,
  },
});

export const getDirectiveRoute = createRoute({
  method: "get",
  path: "/v1/accounts/{account}/directives/{id}",
  operationId: "getDirective",
  summary: "What became of a directive",
  tags: ["Directives"],
  request: { params: z.object({ account, id: z.string() }) },
  responses: {
    200: json(
      "The directive, with every transaction ever signed for it",
      named("DirectiveReport", directiveReportSchema),
    ),
    404: refusal("No such directive, or an account that is not configured"),
    ...problems,
  },
});

export const getLanesRoute = createRoute({
  method: "get",
  path: "/v1/accounts",
  operationId: "listLanes",
  summary: "Every lane that was ever admitted to",
  tags: ["Lanes"],
  request: { query: lanesQuery },
  responses: {
    200: json(
      "Lanes in the order of their accounts; `next` is the `after` of the next page",
      z.object({ accounts: z.array(lane), next: z.string().nullable() }),
    ),
    400: refusal("Wrong parameters, each named"),
    ...problems,
  },
});

export const getLaneRoute = createRoute({
  method: "get",
  path: "/v1/accounts/{account}",
  operationId: "getLane",
  summary: "A lane: status, sequences, leases, counts, events",
  tags: ["Lanes"],
  request: { params: z.object({ account }) },
  responses: {
    200: json("The lane", lane),
    404: refusal("An account that is not configured"),
    ...problems,
  },
});

export const pauseLaneRoute = createRoute({
  ...laneCommand("pause", "Stops a lane"),
  path: "/v1/accounts/{account}/pause",
});
export const resumeLaneRoute = createRoute({
  ...laneCommand("resume", "Lets a lane go on"),
  path: "/v1/accounts/{account}/resume",
});
export const repairLaneRoute = createRoute({
  ...laneCommand("repair", "Forgets every delay of a lane: look-ups, rebroadcasts, the next attempt"),
  path: "/v1/accounts/{account}/repair",
});

function laneCommand(command: LaneCommand, summary: string) {
  return {
    method: "post" as const,
    operationId: `${command}Lane`,
    summary,
    description: "The lane's log keeps who asked, and why.",
    tags: ["Lanes"],
    request: {
      params: z.object({ account }),
      body: {
        ...json("Why", named("Reason", reasonSchema), { reason: "the node is upgraded" }),
        required: true,
      },
    },
    responses: {
      200: json("The lane", lane),
      400: refusal("No reason, or what is no account"),
      404: refusal("An account that is not configured"),
      ...problems,
    },
  };
}
