import { createRoute, z } from "@hono/zod-openapi";
import {
  eventReceiptSchema,
  eventReportSchema,
  eventsPageSchema,
  inboxesPageSchema,
  inboxReportSchema,
  skipSchema,
} from "../domain/api-webhooks.ts";
import { reasonSchema } from "../domain/api.ts";
import type { InboxCommand } from "./inboxes.ts";
import { json, named, problems, PUBLIC, refusal } from "./route-parts.ts";
import { eventQuery, eventsQuery, inboxesQuery, inboxQuery } from "./webhook-queries.ts";

/**
 * The routes of webhooks. An inbox is named by its ordering key or its shard in the query, not in the path: a key may
 * hold any character, and may be a step of a path such as `..`.
 */

const source = z.string().describe("The name of a source in lockstep.config.ts.");
const inbox = named("Inbox", inboxReportSchema);
const TAGS = ["Webhooks"];
const unknownSource = refusal("No such source");

const eventExample = {
  id: "evt_1001",
  source: "stripe",
  key: "cus_42",
  inbox: "webhook:stripe:cus_42",
  sequence: 7,
  status: "settled",
  attempts: 1,
  generation: 0,
  failure: null,
  admittedAt: "2030-01-31T12:00:00.000Z",
  updatedAt: "2030-01-31T12:00:01.000Z",
};

export const postWebhookRoute = createRoute({
  method: "post",
  path: "/webhooks/{source}",
  operationId: "postWebhook",
  summary: "Takes an event that its provider signed",
  description:
    "The signature is the authorization, in the headers of the source's scheme. The body is JSON in UTF-8, and nothing of it is read before its signature is verified. An event is in its inbox, durably, when this answers 202; the same event again is no second one. An event is known by its id, which is unique within its source.",
  tags: TAGS,
  security: PUBLIC,
  request: {
    params: z.object({ source }),
    body: {
      ...json("The event, as its provider signed it", z.unknown(), {
        type: "order.paid",
        data: { customer_id: "cus_42" },
      }),
      required: true,
    },
  },
  responses: {
    202: json("The event is in its inbox", named("EventReceipt", eventReceiptSchema), {
      id: "evt_1001",
      sequence: 7,
      duplicate: false,
      inbox: "webhook:stripe:cus_42",
    }),
    400: refusal("Signed, and empty, not UTF-8 or not JSON"),
    401: refusal("The signature is missing, malformed, wrong, stale or from the future"),
    404: unknownSource,
    409: refusal("The id was given to another event of the source, in another inbox"),
    413: refusal("Larger than the source takes"),
    503: refusal("The inbox did not answer, or the source has no secret: send the event again"),
    ...problems,
  },
});

export const getEventsRoute = createRoute({
  method: "get",
  path: "/v1/webhooks/{source}/events",
  operationId: "listEvents",
  summary: "Events, newest first: of one inbox, or of the whole source",
  description:
    "With `key` or `shard` the events of that inbox, by sequence. Without, those of the last 30 days, by the time of their admission; an event of which only the index heard is left out, so that a page may be short.",
  tags: TAGS,
  request: { params: z.object({ source }), query: eventsQuery },
  responses: {
    200: json("Events without their payloads", named("EventsPage", eventsPageSchema), {
      events: [eventExample],
      nextCursor: null,
    }),
    400: refusal("Wrong parameters, each named"),
    404: unknownSource,
    ...problems,
  },
});

export const getEventRoute = createRoute({
  method: "get",
  path: "/v1/webhooks/{source}/events/{id}",
  operationId: "getEvent",
  summary: "One event with its audit trail",
  description:
    "The index finds its inbox. Where it does not, name the inbox by `key` or `shard`: one event may be known to two inboxes, when its provider changed its key.",
  tags: TAGS,
  request: {
    params: z.object({ source, id: z.string().describe("The event's id, percent-encoded.") }),
    query: eventQuery,
  },
  responses: {
    200: json(
      "The event, what is done for it, and everything that happened to it",
      named("Event", eventReportSchema),
      {
        ...eventExample,
        digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        effects: [{ kind: "delivery", target: "receiver", account: null, state: "done" }],
        audit: [
          { at: "2030-01-31T12:00:00.000Z", what: "admitted", status: null, latencyMs: null },
          { at: "2030-01-31T12:00:01.000Z", what: "settled", status: 200, latencyMs: 41 },
        ],
      },
    ),
    400: refusal("Wrong parameters, each named"),
    404: refusal("No such source, or no such event"),
    ...problems,
  },
});

export const getInboxesRoute = createRoute({
  method: "get",
  path: "/v1/webhooks/{source}/inboxes",
  operationId: "listInboxes",
  summary: "Every inbox of a source that was ever admitted to",
  tags: TAGS,
  request: { params: z.object({ source }), query: inboxesQuery },
  responses: {
    200: json(
      "Inboxes in the order of their names; `next` is the `after` of the next page",
      named("InboxesPage", inboxesPageSchema),
    ),
    400: refusal("Wrong parameters, each named"),
    404: unknownSource,
    ...problems,
  },
});

export const getInboxRoute = createRoute({
  method: "get",
  path: "/v1/webhooks/{source}/inbox",
  operationId: "getInbox",
  summary: "The inbox of an ordering key or of a shard",
  tags: TAGS,
  request: { params: z.object({ source }), query: inboxQuery },
  responses: inboxResponses(),
});

export const pauseInboxRoute = createRoute({
  ...inboxCommand("pause", "Stops an inbox: its events wait"),
  path: "/v1/webhooks/{source}/inbox/pause",
});
export const resumeInboxRoute = createRoute({
  ...inboxCommand("resume", "Lets an inbox go on"),
  path: "/v1/webhooks/{source}/inbox/resume",
});
export const skipHeadRoute = createRoute({
  ...inboxAction("skipHead", "Gives up the event that the others wait for: it becomes a dead letter", {
    ...json("Why, and which event: with a sequence, only the head that has it", named("Skip", skipSchema), {
      reason: "the receiver will never take it",
      sequence: 7,
    }),
  }),
  path: "/v1/webhooks/{source}/inbox/skip",
});

function inboxResponses() {
  return {
    200: json("The inbox", inbox),
    400: refusal("Wrong parameters, each named"),
    404: refusal("No such source, or an inbox that nothing was ever admitted to"),
    ...problems,
  };
}

function inboxCommand(command: InboxCommand, summary: string) {
  const reason = json("Why", named("Reason", reasonSchema), { reason: "the receiver is repaired" });
  return { ...inboxAction(`${command}Inbox`, summary, reason), responses: inboxResponses() };
}

function inboxAction<Body extends object>(operationId: string, summary: string, body: Body) {
  return {
    method: "post" as const,
    operationId,
    summary,
    description: "The inbox's log keeps who asked, and why.",
    tags: TAGS,
    request: { params: z.object({ source }), query: inboxQuery, body: { ...body, required: true } },
    responses: { ...inboxResponses(), 409: refusal("No event waits, or another than the one that is meant") },
  };
}
