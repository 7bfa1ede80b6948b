// In:  HTTP requests of operators about plans and replays; who calls is settled by the middleware in front.
// Out: plans and replays as JSON, described from the schemas that validate.
// On failure: 400 names each wrong key, 404 an unknown plan or replay, 409 says what has changed or what state forbids it, 413 and 415 a body that is too large or no JSON.
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { problem, reasonSchema, type Actor } from "../domain/api.ts";
import {
  planReportSchema,
  planRequestSchema,
  replayReportSchema,
  replayRequestSchema,
  replaysPageSchema,
} from "../domain/api-letters.ts";
import type { Operations } from "../domain/operations.ts";
import { readAction, readReason } from "../domain/request-body.ts";
import { unreachable } from "../domain/result.ts";
import config from "../lockstep.config.ts";
import { answer, refusal, wrongFields } from "./answers.ts";
import { landedReviews, type LandedEnv } from "./plan-landed.ts";
import { makePlan } from "./plan.ts";
import { readPlan } from "./plan-store.ts";
import {
  commandReplay,
  runPlan,
  showReplay,
  type ReplayCommand,
  type ReplayEnv,
  type RunRefusal,
} from "./replay-commands.ts";
import { replayReport } from "./replay-progress.ts";
import { listReplays } from "./replay-store.ts";

export interface ReplayHttp {
  Bindings: ReplayEnv & LandedEnv;
  Variables: { actor: Actor };
}

const LISTED_REPLAYS = 50;
/** A thousand ids of 32 characters, and some room. */
const MAX_BODY_BYTES = 128 * 1024;

const security = [{ bearer: [] }];
const idParam = z.object({ id: z.string() });
const nothing = z.strictObject({});

function body<Schema extends z.ZodType>(schema: Schema) {
  return { body: { content: { "application/json": { schema } }, required: true } };
}

const bodyRefusals = {
  413: refusal("The body is too large"),
  415: refusal("The body is not application/json"),
};

const postPlan = createRoute({
  method: "post",
  path: "/v1/dlq/plans",
  operationId: "planReplay",
  summary: "Which letters a replay would take",
  tags: ["Dead letters"],
  security,
  request: body(planRequestSchema),
  responses: {
    200: answer("What a replay of these letters would send, and what it refuses", planReportSchema),
    400: refusal("Wrong keys of the filter, each named, or ids that no letter has"),
    ...bodyRefusals,
  },
});
const getPlan = createRoute({
  method: "get",
  path: "/v1/dlq/plans/{id}",
  operationId: "getPlan",
  summary: "A plan",
  tags: ["Dead letters"],
  security,
  request: { params: idParam, query: nothing },
  responses: {
    200: answer("The plan", planReportSchema),
    400: refusal("Unknown parameters"),
    404: refusal("No such plan"),
  },
});
const postReplay = createRoute({
  method: "post",
  path: "/v1/dlq/replays",
  operationId: "runReplay",
  summary: "Replays the letters of a plan",
  tags: ["Dead letters"],
  security,
  request: body(replayRequestSchema),
  responses: {
    202: answer("The plan's replay, which this or an earlier request has begun", replayReportSchema),
    400: refusal("Wrong keys, each named"),
    404: refusal("No such plan"),
    409: refusal("The digest is not the plan's, or letters of the plan are no longer open"),
    ...bodyRefusals,
  },
});
const getReplays = createRoute({
  method: "get",
  path: "/v1/dlq/replays",
  operationId: "listReplays",
  summary: "The latest replays",
  tags: ["Dead letters"],
  security,
  request: { query: nothing },
  responses: {
    200: answer("The latest replays, latest first", replaysPageSchema),
    400: refusal("Unknown parameters"),
  },
});
const getReplay = createRoute({
  method: "get",
  path: "/v1/dlq/replays/{id}",
  operationId: "getReplay",
  summary: "What became of the letters of a replay",
  tags: ["Dead letters"],
  security,
  request: { params: idParam, query: nothing },
  responses: {
    200: answer("What became of its letters so far", replayReportSchema),
    400: refusal("Unknown parameters"),
    404: refusal("No such replay"),
  },
});

function commandRoute(command: ReplayCommand, description: string) {
  return createRoute({
    method: "post",
    path: `/v1/dlq/replays/{id}/${command}`,
    operationId: `${command}Replay`,
    summary: `Makes a replay ${command}`,
    tags: ["Dead letters"],
    security,
    request: { params: idParam, ...body(reasonSchema) },
    responses: {
      200: answer(description, replayReportSchema),
      400: refusal("The body must be { reason }"),
      404: refusal("No such replay"),
      409: refusal("The replay has ended, or is being cancelled"),
      ...bodyRefusals,
    },
  });
}

/** Plans and replays. Mounted in the application of the operators' other routes. */
export function replayRoutes(operations: Operations = config.operations): OpenAPIHono<ReplayHttp> {
  const app = new OpenAPIHono<ReplayHttp>({
    defaultHook: (result) =>
      result.success
        ? undefined
        : problem(400, "some parameters are wrong", { errors: wrongFields(result.error) }),
  });

  app.openAPIRegistry.registerPath(postPlan);
  app.post(postPlan.getRoutingPath(), async (c) => {
    const asked = await readAction(
      c.req.raw,
      planRequestSchema,
      "{ filter, limit?, force? }",
      MAX_BODY_BYTES,
    );
    if (!asked.ok) return asked.error;
    const plan = await makePlan(c.env.LEDGER, asked.value, {
      policy: operations.replay,
      actor: c.var.actor.name,
      nowMs: Date.now(),
      landedReviews: (filter) => landedReviews(c.env, filter),
    });
    return plan.ok ? Response.json(plan.value) : problem(400, "the filter is wrong", { errors: plan.error });
  });

  app.openapi(getPlan, async (c) => {
    const { id } = c.req.valid("param");
    const plan = await readPlan(c.env.LEDGER, id);
    return plan === null ? problem(404, `no plan has the id ${id}`) : c.json(plan, 200);
  });

  app.openAPIRegistry.registerPath(postReplay);
  app.post(postReplay.getRoutingPath(), async (c) => {
    const form = "{ plan, digest, reason, ratePerSecond?, perLanePerSecond? }";
    const asked = await readAction(c.req.raw, replayRequestSchema, form);
    if (!asked.ok) return asked.error;
    const replay = await runPlan(c.env, asked.value, {
      policy: operations.replay,
      actor: c.var.actor.name,
      nowMs: Date.now(),
    });
    if (!replay.ok) return refusedRun(replay.error);
    const headers = { location: `/v1/dlq/replays/${replay.value.id}` };
    return Response.json(replay.value, { status: 202, headers });
  });

  app.openapi(getReplays, async (c) => {
    const nowMs = Date.now();
    const replays = await listReplays(c.env.LEDGER, LISTED_REPLAYS, nowMs);
    return c.json({ replays: replays.map((replay) => replayReport(replay, nowMs)) }, 200);
  });

  app.openapi(getReplay, async (c) => {
    const { id } = c.req.valid("param");
    const replay = await showReplay(c.env, id, Date.now());
    return replay === null ? problem(404, `no replay has the id ${id}`) : c.json(replay, 200);
  });

  const commands = {
    pause: commandRoute("pause", "Nothing more is sent; what was sent is watched"),
    resume: commandRoute("resume", "It sends again"),
    cancel: commandRoute("cancel", "What waited is open again; what was sent is watched to its end"),
  };
  for (const command of ["pause", "resume", "cancel"] as const) {
    const route = commands[command];
    app.openAPIRegistry.registerPath(route);
    app.post(route.getRoutingPath(), async (c) => {
      const id = c.req.param("id");
      const reason = await readReason(c.req.raw);
      if (!reason.ok) return reason.error;
      const replay = await commandReplay(c.env, command, {
        id,
        actor: c.var.actor.name,
        reason: reason.value,
        nowMs: Date.now(),
      });
      if (replay === null) return problem(404, `no replay has the id ${id}`);
      return replay.ok
        ? Response.json(replay.value)
        : problem(409, `the replay cannot be ${PAST[command]}: ${replay.error}`);
    });
  }

  return app;
}

const PAST = { pause: "paused", resume: "resumed", cancel: "cancelled" } as const;

function refusedRun(refused: RunRefusal): Response {
  switch (refused.kind) {
    case "unknown-plan":
      return problem(404, "no plan has this id");
    case "wrong-digest":
      return problem(409, "the digest is not the plan's: read the plan again");
    case "changed":
      return problem(
        409,
        `${refused.count} ${refused.count === 1 ? "letter of the plan is" : "letters of the plan are"} no longer open: plan again`,
        {
          errors: refused.letters.map(({ id, state }) => ({ field: id, message: `is ${state} now` })),
        },
      );
    default:
      return unreachable(refused);
  }
}
