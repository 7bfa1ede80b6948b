import { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Actor } from "../../domain/api.ts";
import { createApp } from "../../producers/http.ts";
import { ACCOUNT, OTHER_ACCOUNT, wire } from "./directive-fixture.ts";
import { call, config, FakeBindings, NO_REGISTRY, problemOf, TOKENS } from "./producers-fixture.ts";

const LANE = `/v1/accounts/${encodeURIComponent(ACCOUNT)}`;
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

afterEach(() => {
  vi.restoreAllMocks();
});

describe("every error is a problem", () => {
  test("an unknown path is 404", async () => {
    expect((await problemOf(await call(new FakeBindings(), "GET", "/v2/directives"))).status).toBe(404);
  });

  test.each([
    ["GET", "/v1/directives", "POST"],
    ["DELETE", `${LANE}/directives/order-1`, "GET"],
    ["PUT", LANE, "GET"],
    ["GET", `${LANE}/pause`, "POST"],
  ])("%s %s is 405 and tells the method that is taken", async (method, path, allow) => {
    const response = await call(new FakeBindings(), method, path);
    expect(response.headers.get("allow")).toBe(allow);
    expect((await problemOf(response)).status).toBe(405);
  });

  test("a bug is 500 without details, and one log line without anything that the caller sent", async () => {
    const logged = vi.spyOn(console, "error").mockReturnValue();
    const bindings = new FakeBindings();
    bindings.failing.set(
      ACCOUNT,
      new SyntaxError(`Unexpected token 'h', "hunter2 ${TOKENS.operator}" is not valid JSON`),
    );
    const response = await call(bindings, "GET", LANE, { headers: { "x-secret": "hunter2" } });
    expect(await problemOf(response)).toEqual({
      type: "about:blank",
      title: "Internal error",
      status: 500,
      detail: "The Worker failed. Its log says why.",
    });
    expect(logged).toHaveBeenCalledOnce();
    const line = String(logged.mock.calls[0]?.[0]);
    expect(JSON.parse(line)).toMatchObject({
      at: "producers.http",
      method: "GET",
      route: "/v1/accounts/:account",
      error: "SyntaxError: Unexpected token …, … is not valid JSON",
    });
    for (const secret of ["hunter2", TOKENS.operator, "authorization", "Bearer"])
      expect(line).not.toContain(secret);
  });

  test.each(["retryable", "overloaded"])(
    "a Durable Object that is %s is 503, to be asked again",
    async (mark) => {
      vi.spyOn(console, "error").mockReturnValue();
      const bindings = new FakeBindings();
      bindings.failing.set(ACCOUNT, Object.assign(new Error("object"), { [mark]: true }));
      const response = await call(bindings, "GET", LANE);
      expect(response.headers.get("retry-after")).toBe("1");
      expect((await problemOf(response)).status).toBe(503);
    },
  );
});

describe("routes that another stage mounts afterwards", () => {
  function mounted() {
    const app = createApp(config, NO_REGISTRY);
    const stage = new OpenAPIHono<{ Variables: { actor: Actor } }>();
    stage.get("/v1/dlq/depth", (context) => context.json({ actor: context.var.actor.name }));
    stage.get("/v1/dlq/broken", () => {
      throw new Error("bug");
    });
    stage.post("/v1/dlq/plans", () => {
      throw new HTTPException(400, { message: "Malformed JSON in request body" });
    });
    app.route("/", stage);
    return (path: string, init: RequestInit = {}) => app.request(path, init, new FakeBindings().env);
  }

  test("need an operator's token, and know its holder", async () => {
    const request = mounted();
    expect((await request("/v1/dlq/depth")).status).toBe(401);
    expect((await request("/v1/dlq/depth", bearer(TOKENS.producer))).status).toBe(403);
    const response = await request("/v1/dlq/depth", bearer(TOKENS.operator));
    expect(await response.json()).toEqual({ actor: "ada" });
  });

  test("answer problems for bugs, unreadable bodies and wrong methods", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const request = mounted();
    expect((await problemOf(await request("/v1/dlq/broken", bearer(TOKENS.operator)))).status).toBe(500);
    const options = { ...bearer(TOKENS.operator), method: "POST" };
    expect((await problemOf(await request("/v1/dlq/plans", options))).status).toBe(400);
    expect((await problemOf(await request("/v1/dlq/depth", options))).status).toBe(405);
    const asProducer = { ...bearer(TOKENS.producer), method: "POST" };
    expect((await problemOf(await request("/v1/dlq/plans", asProducer))).status).toBe(403);
    expect((await problemOf(await request("/v1/dlq/depth", asProducer))).status).toBe(405);
  });
});

test("two accounts of one request are admitted side by side", async () => {
  const bindings = new FakeBindings();
  const body = { directives: [wire(), wire({ account: OTHER_ACCOUNT })] };
  await call(bindings, "POST", "/v1/directives", { body });
  expect(bindings.opened).toEqual([ACCOUNT, OTHER_ACCOUNT]);
});
