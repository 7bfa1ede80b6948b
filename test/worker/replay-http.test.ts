import { env } from "cloudflare:workers";
import { OpenAPIHono } from "@hono/zod-openapi";
import { describe, expect, test } from "vitest";
import { replayRoutes, type ReplayHttp } from "../../dlq/replay-routes.ts";
import { planReportSchema, replayReportSchema, replaysPageSchema } from "../../domain/api-letters.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { problemSchema } from "../../domain/api.ts";
import { newLetter } from "./dlq-fixture.ts";
import { ALICE, Arena } from "./replay-fixture.ts";

const arena = () => new Arena();

async function call(given: Arena, method: string, path: string, body?: unknown) {
  const app = new OpenAPIHono<ReplayHttp>();
  app.use(async (context, next) => {
    context.set("actor", { name: "ops", scope: "operator", accounts: null });
    await next();
  });
  app.route("/", replayRoutes());
  const response = await app.request(
    path,
    {
      method,
      ...(body === undefined
        ? {}
        : {
            body: typeof body === "string" ? body : JSON.stringify(body),
            headers: { "content-type": "application/json" },
          }),
    },
    given.env,
  );
  const text = await response.text();
  return {
    status: response.status,
    location: response.headers.get("location"),
    body: text.startsWith("{") ? (JSON.parse(text) as unknown) : text,
  };
}

test("plan, run, follow, pause, resume and cancel over HTTP", async () => {
  const given = arena();
  // Letters of the fixture are of 2030, and these routes go by the real clock.
  await given.fill(ALICE, 3, { openedAtMs: 1000 });
  const planned = await call(given, "POST", "/v1/dlq/plans", { filter: { lane: ALICE } });
  expect(planned.status).toBe(200);
  const plan = planReportSchema.parse(planned.body);
  expect(await call(given, "GET", `/v1/dlq/plans/${plan.id}`)).toMatchObject({ status: 200, body: plan });
  const request = { plan: plan.id, digest: plan.digest, reason: "fixed", ratePerSecond: 7 };
  const begun = await call(given, "POST", "/v1/dlq/replays", request);
  const replay = replayReportSchema.parse(begun.body);
  expect(begun).toMatchObject({ status: 202, location: `/v1/dlq/replays/${replay.id}` });
  expect(replay).toMatchObject({ ratePerSecond: 7, perLanePerSecond: 50, total: 3, actor: "ops" });
  expect(await call(given, "POST", "/v1/dlq/replays", request)).toMatchObject({
    status: 202,
    body: { id: replay.id },
  });
  const at = `/v1/dlq/replays/${replay.id}`;
  for (const [command, status] of [
    ["pause", "paused"],
    ["pause", "paused"],
    ["resume", "running"],
    ["cancel", "cancelling"],
  ] as const)
    expect(await call(given, "POST", `${at}/${command}`, { reason: "because" })).toMatchObject({
      status: 200,
      body: { status },
    });
  expect(await call(given, "POST", `${at}/pause`, { reason: "because" })).toMatchObject({ status: 409 });
  expect(replayReportSchema.parse((await call(given, "GET", at)).body)).toMatchObject({ returned: 3 });
  const listed = replaysPageSchema.parse((await call(given, "GET", "/v1/dlq/replays")).body);
  expect(listed.replays.map(({ id }) => id)).toEqual([replay.id]);
});

describe("what is wrong is said", () => {
  test.each([
    ["/v1/dlq/plans", { filter: { colour: "red" } }, ["filter.colour"]],
    ["/v1/dlq/plans", { filter: { code: "nope" } }, ["filter.code"]],
    ["/v1/dlq/plans", { filter: { ids: ["0".repeat(32)] } }, ["filter.ids"]],
    ["/v1/dlq/plans", { filter: {}, limit: 0 }, ["limit"]],
    ["/v1/dlq/replays", { plan: "p", digest: "d" }, ["reason"]],
    ["/v1/dlq/replays", { plan: "p", digest: "d", reason: "r", ratePerSecond: 0 }, ["ratePerSecond"]],
    ["/v1/dlq/replays", { plan: "p", digest: "d", reason: "r", ratePerSecond: 1e-20 }, ["ratePerSecond"]],
    [
      "/v1/dlq/replays",
      { plan: "p", digest: "d", reason: "r", perLanePerSecond: 1e-4 },
      ["perLanePerSecond"],
    ],
    ["/v1/dlq/replays/x/cancel", {}, ["reason"]],
  ])("POST %s %j", async (path, body, fields) => {
    const { status, body: answer } = await call(arena(), "POST", path, body);
    expect(status).toBe(400);
    expect(problemSchema.parse(answer).errors?.map(({ field }) => field)).toEqual(fields);
  });

  test("of plans and replays that are not there", async () => {
    for (const path of ["/v1/dlq/plans/none", "/v1/dlq/replays/none"])
      expect(await call(arena(), "GET", path)).toMatchObject({ status: 404 });
    expect(await call(arena(), "POST", "/v1/dlq/replays/none/pause", { reason: "r" })).toMatchObject({
      status: 404,
    });
    expect(
      await call(arena(), "POST", "/v1/dlq/replays", { plan: "none", digest: "d", reason: "r" }),
    ).toMatchObject({ status: 404 });
  });

  test("of a body of another type: which one to send", async () => {
    for (const path of ["plans", "replays", "replays/x/pause"]) {
      const response = await replayRoutes().request(
        `/v1/dlq/${path}`,
        { method: "POST", body: "{}", headers: { "content-type": "text/plain" } },
        arena().env,
      );
      expect([response.status, problemSchema.parse(await response.json()).detail]).toEqual([
        415,
        "The content type must be application/json.",
      ]);
    }
  });

  test("of a body that is not JSON, or too large", async () => {
    const { status, body } = await call(arena(), "POST", "/v1/dlq/plans", "{");
    expect([status, problemSchema.parse(body).detail]).toEqual([
      400,
      expect.stringMatching(/^The body is not valid JSON/),
    ]);
    expect((await call(arena(), "POST", "/v1/dlq/plans", `"${"x".repeat(200_000)}"`)).status).toBe(413);
  });

  test("of a plan whose letters have changed: which, and what they are now", async () => {
    const given = arena();
    await given.fill(ALICE, 30);
    const plan = await given.plan();
    const request = { plan: plan.id, digest: plan.digest, reason: "r" };
    expect(
      await call(given, "POST", "/v1/dlq/replays", { ...request, digest: "0".repeat(64) }),
    ).toMatchObject({ status: 409 });
    await env.LEDGER.prepare("UPDATE letters SET state = 'resolved' WHERE directive_id <> 'd00029'").run();
    const { status, body } = await call(given, "POST", "/v1/dlq/replays", request);
    expect(status).toBe(409);
    const { detail, errors = [] } = problemSchema.parse(body);
    expect(detail).toContain("29 letters");
    expect(errors).toHaveLength(20);
    expect(errors[0]).toEqual({
      field: letterId(newLetter({ lane: ALICE, directiveId: "d00000" })),
      message: "is resolved now",
    });
  });
});
