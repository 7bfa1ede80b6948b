import { afterEach, describe, expect, test, vi } from "vitest";
import { requiredScope } from "../../producers/auth.ts";
import { ACCOUNT, OTHER_ACCOUNT, wire } from "./directive-fixture.ts";
import { API_TOKENS, call, digest, FakeBindings, problemOf, TOKENS } from "./producers-fixture.ts";

const LANE = `/v1/accounts/${encodeURIComponent(ACCOUNT)}`;
const reason = { reason: "test" };

/** Every route, and paths without one, with what each answers to somebody who may call it. */
const ROUTES = [
  { method: "POST", path: "/v1/directives", body: wire(), scope: "producer", answers: 202 },
  { method: "GET", path: `${LANE}/directives/order-1`, scope: "producer", answers: 404 },
  { method: "GET", path: LANE, scope: "operator", answers: 200 },
  { method: "POST", path: `${LANE}/pause`, body: reason, scope: "operator", answers: 200 },
  { method: "POST", path: `${LANE}/resume`, body: reason, scope: "operator", answers: 200 },
  { method: "GET", path: "/nowhere", scope: "any", answers: 404 },
  { method: "POST", path: "/v1/directives/", body: wire(), scope: "any", answers: 404 },
  { method: "GET", path: "/v1/directives", scope: "any", answers: 405 },
  { method: "DELETE", path: "/v1/directives", scope: "any", answers: 405 },
] as const;

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(ROUTES)("$method $path", ({ method, path, scope, answers, ...rest }) => {
  const options = "body" in rest ? { body: rest.body } : {};

  test.each([
    ["no token", {}],
    ["an empty token", { authorization: "Bearer " }],
    ["an unknown token", { authorization: "Bearer nobody" }],
    ["a token with one letter changed", { authorization: `Bearer ${TOKENS.operator.slice(0, -1)}N` }],
    ["the digest for the token", { authorization: `Bearer ${digest(TOKENS.operator)}` }],
    ["another scheme", { authorization: `Basic ${TOKENS.operator}` }],
    ["two tokens", { authorization: `Bearer ${TOKENS.operator} ${TOKENS.operator}` }],
    ["the token without scheme", { authorization: TOKENS.operator }],
  ])("is refused with 401 for %s", async (_, headers) => {
    const bindings = new FakeBindings();
    const response = await call(bindings, method, path, { ...options, token: null, headers });
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    expect((await problemOf(response)).status).toBe(401);
    expect(bindings.opened).toEqual([]);
  });

  test("answers an operator", async () => {
    expect(
      (await call(new FakeBindings(), method, path, { ...options, token: TOKENS.operator })).status,
    ).toBe(answers);
  });

  test("answers a producer if it is no operator's call, else refuses with 403", async () => {
    const bindings = new FakeBindings();
    const response = await call(bindings, method, path, { ...options, token: TOKENS.producer });
    expect(response.status).toBe(scope === "operator" ? 403 : answers);
    if (scope === "operator") expect(bindings.opened).toEqual([]);
  });

  test.each([
    ["missing", undefined],
    ["empty", ""],
    ["no JSON", "[secret"],
    ["no list", "{}"],
    ["of an unknown scope", API_TOKENS.replace('"operator"', '"admin"')],
    ["with a short digest", API_TOKENS.replace(/[0-9a-f]{64}/, "abcd")],
    ["with an unknown field", API_TOKENS.replace('"name"', '"hunter2":1,"name"')],
    ["with a wrong account", API_TOKENS.replace(ACCOUNT, "x")],
    [
      "with an account that is not CAIP-10, for an operator",
      API_TOKENS.replace('"operator"', '"operator","accounts":["x"]'),
    ],
    ["with one digest twice", `[${API_TOKENS.slice(1, -1)},${API_TOKENS.slice(1, -1)}]`],
    ["with a name that the ledger keeps for itself", API_TOKENS.replace("ada", "lockstep")],
  ])("answers 503 to everybody while API_TOKENS is %s", async (_, text) => {
    const logged = vi.spyOn(console, "error").mockReturnValue();
    const bindings = new FakeBindings();
    Object.assign(bindings.env, { API_TOKENS: text });
    for (const token of [TOKENS.operator, TOKENS.producer, null]) {
      const response = await call(bindings, method, path, { ...options, token });
      expect((await problemOf(response)).status).toBe(503);
    }
    expect(bindings.opened).toEqual([]);
    expect(logged).toHaveBeenCalledTimes(3);
    const line = String(logged.mock.calls[0]?.[0]);
    expect(line).toMatch(/^\{"at":"producers.auth","error":"API_TOKENS .+"\}$/);
    for (const part of [
      "secret",
      "hunter2",
      "admin",
      "billing",
      digest(TOKENS.operator),
      digest(TOKENS.producer),
    ]) {
      expect(line).not.toContain(part);
    }
  });
});

describe("tokens", () => {
  test.each(["producer", "next"] as const)("both of a rotation are taken: %s", async (name) => {
    const response = await call(new FakeBindings(), "POST", "/v1/directives", {
      body: wire(),
      token: TOKENS[name],
    });
    expect(response.status).toBe(202);
  });

  test("the scheme may be written in any case", async () => {
    const headers = { authorization: `bEARER  ${TOKENS.operator}` };
    expect((await call(new FakeBindings(), "GET", LANE, { token: null, headers })).status).toBe(200);
  });

  test("a list without entries lets nobody in", async () => {
    const bindings = new FakeBindings();
    Object.assign(bindings.env, { API_TOKENS: "[]" });
    expect((await call(bindings, "GET", LANE)).status).toBe(401);
  });

  test("a changed secret counts from the next call on", async () => {
    const bindings = new FakeBindings();
    expect((await call(bindings, "GET", LANE)).status).toBe(200);
    Object.assign(bindings.env, {
      API_TOKENS: JSON.stringify([{ name: "bob", scope: "operator", sha256: digest("new") }]),
    });
    expect((await call(bindings, "GET", LANE)).status).toBe(401);
    expect((await call(bindings, "GET", LANE, { token: "new" })).status).toBe(200);
  });
});

describe("a producer that is limited to accounts", () => {
  const token = TOKENS.limited;

  test("uses its own, in any spelling", async () => {
    expect((await call(new FakeBindings(), "POST", "/v1/directives", { body: wire(), token })).status).toBe(
      202,
    );
    const bindings = new FakeBindings();
    const spelled = LANE.replace(
      "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
      "F39FD6E51AAD88F6F4CE6AB8827279CFFFB92266",
    );
    expect((await call(bindings, "GET", `${spelled}/directives/order-1`, { token })).status).toBe(404);
    expect(bindings.opened).toEqual([ACCOUNT]);
  });

  test("is refused others with 403, before anything is admitted or told of them", async () => {
    const bindings = new FakeBindings();
    const unknown = `eip155:31337:0x${"1".repeat(40)}`;
    for (const account of [OTHER_ACCOUNT, unknown]) {
      const body = { directives: [wire(), wire({ account })] };
      const posted = await problemOf(await call(bindings, "POST", "/v1/directives", { body, token }));
      expect(posted).toMatchObject({ status: 403, errors: [{ field: "directives[1].account" }] });
      const path = `/v1/accounts/${encodeURIComponent(account)}/directives/order-1`;
      expect((await problemOf(await call(bindings, "GET", path, { token }))).status).toBe(403);
    }
    expect(bindings.opened).toEqual([]);
  });
});

describe("what a call needs", () => {
  test("health is public, whatever the tokens", async () => {
    const bindings = new FakeBindings();
    Object.assign(bindings.env, { API_TOKENS: "broken" });
    expect((await call(bindings, "GET", "/healthz", { token: null })).status).toBe(200);
  });

  test.each(["GET", "HEAD", "PUT", "DELETE"])(
    "%s of a webhook's path is 405 without a token, as POST needs none",
    async (method) => {
      const response = await call(new FakeBindings(), method, "/webhooks/polar", { token: null });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
    },
  );

  test.each([
    ["GET", "/healthz/", "operator"],
    ["GET", "/healthz/../v1/accounts/x", "operator"],
    ["POST", "/v1/directives/", "operator"],
    ["PUT", "/v1/directives", "operator"],
    ["POST", "/v1/accounts/a/directives/b", "operator"],
    ["GET", "/v1/accounts/a/directives/b/c", "operator"],
    ["GET", "/v1/accounts/a/b/directives/c", "operator"],
    ["GET", "/v1/accounts/a/directives/", "operator"],
    ["HEAD", "/v1/accounts/a/directives/b", "producer"],
    ["POST", "/webhooks/polar", "public"],
    ["GET", "/webhooks/polar", "public"],
    ["POST", "/webhooks", "operator"],
    ["POST", "/webhooks/", "operator"],
    ["POST", "/webhooks/polar/", "operator"],
    ["POST", "/webhooks/polar/events", "operator"],
    ["POST", "/v1/webhooks/polar", "operator"],
    ["GET", "/v1/webhooks/polar/events", "operator"],
    ["GET", "/openapi.json", "producer"],
    ["HEAD", "/openapi.json", "producer"],
    ["POST", "/openapi.json", "operator"],
    ["GET", "/", "operator"],
  ])("%s %s needs: %s", (method, path, scope) => {
    expect(requiredScope(method, path)).toBe(scope);
  });
});
