// In:  HTTP requests of operators who change letters; who calls is settled by the middleware in front.
// Out: the letter as it is afterwards; 202 where evidence has to end what was begun.
// On failure: 400 names each field that is wrong, 413 and 415 a body that is too large or no JSON; 404, 409 and 422 say what stands against it; what D1 or a lane throws goes to the application's error handler.
import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import {
  letterReportSchema,
  reconcileReportSchema,
  reconcileRequestSchema,
  resolveRequestSchema,
  resubmitRequestSchema,
} from "../domain/api-letters.ts";
import { problem, reasonSchema, type Actor } from "../domain/api.ts";
import type { Config } from "../domain/config.ts";
import { MAX_DIRECTIVE_BYTES } from "../domain/directive.ts";
import { readAction, readReason } from "../domain/request-body.ts";
import { answer, refusal } from "./answers.ts";
import { tellDirectiveFailed } from "./directive-failed.ts";
import {
  discardLetter,
  resolveLanded,
  resolveNotLanded,
  type ActionAnswer,
  type ActionEnv,
  type Refusal,
  type Word,
} from "./letter-actions.ts";
import { letterNow, type NowEnv } from "./letter-now.ts";
import { letterView } from "./letter-view.ts";
import type { NotifyEnv } from "./notify.ts";
import { reconcileLetters, type Reconciliation, type ReconcileEnv } from "./reconcile.ts";
import { resubmitLetter, type ResubmissionEnv } from "./resubmission.ts";

export type LetterActionsEnv = ActionEnv & ResubmissionEnv & ReconcileEnv & NowEnv & NotifyEnv;

/** An edit holds a whole directive. */
const MAX_EDIT_BYTES = MAX_DIRECTIVE_BYTES + 16 * 1024;
/** 500 ids of 32 characters, and some room. */
const MAX_RECONCILED_BYTES = 64 * 1024;

function body<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { body: { ...answer(description, schema), required: true } };
}

const letterPath = { params: z.object({ id: z.string() }) };
const refusals = {
  400: refusal("Wrong fields, each named"),
  404: refusal("No such letter"),
  409: refusal("What stands against it"),
  413: refusal("The body is too large"),
  415: refusal("The body is not application/json"),
  422: refusal("A letter of this kind, or a field, for which it makes no sense"),
};

const discardRoute = createRoute({
  method: "post",
  path: "/v1/dlq/letters/{id}/discard",
  operationId: "discardLetter",
  summary: "Gives a letter up",
  tags: ["Dead letters"],
  request: { ...letterPath, ...body("Why", reasonSchema) },
  responses: { 200: answer("The letter, discarded", letterReportSchema), ...refusals },
});
const resolveRoute = createRoute({
  method: "post",
  path: "/v1/dlq/letters/{id}/resolve",
  operationId: "resolveLetter",
  summary: "What a person knows of a letter",
  tags: ["Dead letters"],
  description:
    "`landed` closes the letter when the chain's final evidence agrees. `not-landed` is no evidence: it starts a burn.",
  request: {
    ...letterPath,
    ...body("What became of the directive, and why you say so", resolveRequestSchema),
  },
  responses: {
    200: answer("The letter, resolved", letterReportSchema),
    202: answer("The letter, still open: evidence closes it", letterReportSchema),
    ...refusals,
  },
});
const resubmitRoute = createRoute({
  method: "post",
  path: "/v1/dlq/letters/{id}/resubmit",
  operationId: "resubmitLetter",
  summary: "Another directive in the place of a dead one",
  tags: ["Dead letters"],
  description: "Another directive of the same account takes the place of this one, for good.",
  request: { ...letterPath, ...body("The other directive, and why", resubmitRequestSchema) },
  responses: { 200: answer("The letter, replaced", letterReportSchema), ...refusals },
});
const reconcileRoute = createRoute({
  method: "post",
  path: "/v1/dlq/reconcile",
  operationId: "reconcileLetters",
  summary: "Asks the lanes what became of letters",
  tags: ["Dead letters"],
  request: body("These letters, or whatever is next", reconcileRequestSchema),
  responses: {
    200: answer("What the lanes said", reconcileReportSchema),
    400: refusals[400],
    413: refusals[413],
    415: refusals[415],
  },
});

interface ActionsHttp {
  Bindings: LetterActionsEnv;
  Variables: { actor: Actor };
}

/** Adds the routes of those who act. */
export function actionRoutes<Http extends ActionsHttp>(app: OpenAPIHono<Http>, config: Config): void {
  for (const route of [discardRoute, resolveRoute, resubmitRoute, reconcileRoute])
    app.openAPIRegistry.registerPath(route);

  app.post(discardRoute.getRoutingPath(), async (c) => {
    const reason = await readReason(c.req.raw);
    if (!reason.ok) return reason.error;
    const word = wordOf(c.var.actor, reason.value);
    return ended(c.env, config, await discardLetter(c.env, c.req.param("id"), word));
  });

  app.post(resolveRoute.getRoutingPath(), async (c) => {
    const asked = await readAction(c.req.raw, resolveRequestSchema, "{ outcome, reason, txHash? }");
    if (!asked.ok) return asked.error;
    const { outcome, txHash, reason } = asked.value;
    const id = c.req.param("id");
    const word = wordOf(c.var.actor, reason);
    if (outcome === "not-landed" && txHash !== undefined) {
      return problem(422, "What did not land has no transaction to name.", {
        errors: [{ field: "txHash", message: "is for landed only: leave it out" }],
      });
    }
    const did =
      outcome === "landed"
        ? await resolveLanded(c.env, id, txHash ?? null, word)
        : await resolveNotLanded(c.env, id, word);
    return ended(c.env, config, did);
  });

  app.post(resubmitRoute.getRoutingPath(), async (c) => {
    const form = "{ id, action, reason, expiresAt?, metadata? }";
    const asked = await readAction(c.req.raw, resubmitRequestSchema, form, MAX_EDIT_BYTES);
    if (!asked.ok) return asked.error;
    const { reason, ...edit } = asked.value;
    const word = wordOf(c.var.actor, reason);
    return ended(c.env, config, await resubmitLetter(c.env, config, c.req.param("id"), edit, word));
  });

  app.post(reconcileRoute.getRoutingPath(), async (c) => {
    const asked = await readAction(c.req.raw, reconcileRequestSchema, "{ ids? }", MAX_RECONCILED_BYTES);
    if (!asked.ok) return asked.error;
    const { ids } = asked.value;
    const { name: actor }: Actor = c.var.actor;
    const notifies = config.operations.notify !== null;
    const { checked, outcomes } = await reconcileLetters(
      c.env,
      {
        ids: ids ?? null,
        actor,
        tell: notifies ? (failed) => tellDirectiveFailed(c.env, failed) : null,
      },
      Date.now(),
    );
    return Response.json({ checked, outcomes } satisfies Reconciliation);
  });
}

function wordOf({ name }: Actor, reason: string): Word {
  return { actor: name, reason: reason.toWellFormed(), nowMs: Date.now() };
}

/** 202 where evidence has to end what was begun. */
async function ended(env: NowEnv, config: Config, did: ActionAnswer): Promise<Response> {
  if (did.kind === "refused") return refuse(did);
  const { letter, history } = did.found;
  const report = letterView(letter, history, await letterNow(env, config, letter));
  return Response.json(report, { status: did.kind === "begun" ? 202 : 200 });
}

function refuse({ status, detail, errors }: Refusal): Response {
  return problem(status, detail, errors === undefined ? {} : { errors });
}
