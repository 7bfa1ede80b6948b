import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { problemSchema } from "../../domain/api.ts";
import { httpApi } from "../../http-api.ts";

/** The routes that need no operator's token. A route that is not here must refuse whoever has none. */
const PUBLIC = ["GET /healthz", "POST /webhooks/:source"];
const PRODUCERS = ["POST /v1/directives", "GET /v1/accounts/:account/directives/:id", "GET /openapi.json"];

/** Middleware has no method; a route with a validator is there for each of its handlers. */
const ROUTES = [
  ...new Set(httpApi.routes.flatMap(({ method, path }) => (method === "ALL" ? [] : [`${method} ${path}`]))),
].map((name) => {
  const [method = "", path = ""] = name.split(" ");
  return { name, method, path };
});
const GUARDED = ROUTES.filter(({ name }) => !PUBLIC.includes(name));

const TOKENS = { producer: "producer-token", operator: "operator-token" } as const;
const bindings = {
  ...env,
  API_TOKENS: JSON.stringify(
    Object.entries(TOKENS).map(([scope, token]) => ({
      name: scope,
      scope,
      sha256: bytesToHex(sha256(utf8ToBytes(token))),
    })),
  ),
};

const account = encodeURIComponent("eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
const values: Readonly<Record<string, string>> = { account, source: "polar" };

beforeEach(() => {
  vi.spyOn(console, "warn").mockReturnValue();
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function call(
  method: string,
  path: string,
  token: string | null,
  { query = "", body }: { readonly query?: string; readonly body?: string } = {},
): Promise<Response> {
  const filled = path.replaceAll(/[:{](\w+)\}?/g, (_, name: string) => values[name] ?? "x1");
  const init = {
    method,
    headers: {
      "content-type": "application/json",
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(method === "GET" || method === "HEAD" ? {} : { body: body ?? "{}" }),
  };
  return httpApi.request(`${filled}${query}`, init, bindings);
}

async function refusal(response: Response): Promise<number> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const { status } = problemSchema.parse(await response.json());
  expect(response.status).toBe(status);
  return status;
}

describe("the route table", () => {
  test("holds every route of the lists above, and those of each stage", () => {
    const names = ROUTES.map(({ name }) => name);
    expect([...PUBLIC, ...PRODUCERS].filter((name) => !names.includes(name))).toEqual([]);
    for (const part of ["/v1/dlq/", "/v1/accounts", "/v1/webhooks/"])
      expect(names.some((name) => name.includes(part))).toBe(true);
  });

  test.each(GUARDED)("$name is 401 without a token, and with an unknown one", async ({ method, path }) => {
    for (const token of [null, "nobody", `${TOKENS.operator}x`, ""]) {
      const response = await call(method, path, token);
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect(await refusal(response)).toBe(401);
    }
    if (method === "GET") expect((await call("HEAD", path, null)).status).toBe(401);
  });

  test.each(GUARDED.filter(({ name }) => !PRODUCERS.includes(name)))(
    "$name is 403 with a producer's token",
    async ({ method, path }) => {
      expect(await refusal(await call(method, path, TOKENS.producer))).toBe(403);
      if (method === "GET") expect((await call("HEAD", path, TOKENS.producer)).status).toBe(403);
    },
  );

  test.each(ROUTES.filter(({ name }) => PRODUCERS.includes(name)))(
    "$name is a producer's call",
    async ({ method, path }) => {
      expect([401, 403]).not.toContain((await call(method, path, TOKENS.producer)).status);
    },
  );

  test.each(PUBLIC)("%s asks for no token", async (name) => {
    const [method = "", path = ""] = name.split(" ");
    const response = await call(method, path, null);
    expect(response.headers.get("www-authenticate")).toBe(null);
    expect(response.status).toBe(method === "GET" ? 200 : 401);
  });
});

const parameter = z.object({ name: z.string(), in: z.string(), required: z.boolean().optional() });
const operation = z.object({
  operationId: z.string(),
  summary: z.string(),
  tags: z.array(z.string()).length(1),
  security: z.array(z.unknown()).optional(),
  parameters: z.array(parameter).default([]),
  requestBody: z
    .object({ content: z.record(z.string(), z.object({ schema: z.looseObject({}) })) })
    .optional(),
  responses: z.record(z.string(), z.looseObject({ content: z.record(z.string(), z.unknown()).optional() })),
});
const documentSchema = z.looseObject({
  openapi: z.literal("3.1.0"),
  components: z.object({ schemas: z.record(z.string(), z.looseObject({})) }).loose(),
  paths: z.record(z.string(), z.record(z.string(), operation)),
});

async function operations() {
  const response = await call("GET", "/openapi.json", TOKENS.producer);
  expect(response.status).toBe(200);
  const { paths, components } = documentSchema.parse(await response.json());
  const told = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, rest]) => ({ method: method.toUpperCase(), path, ...rest })),
  );
  return { told, components };
}

describe("/openapi.json", () => {
  test("tells of every route, and of no other", async () => {
    const { told } = await operations();
    const served = ROUTES.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
    expect(told.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(served.toSorted());
  });

  test("says which routes need no token, and how every other refuses", async () => {
    const { told } = await operations();
    const isOpen = ({ security }: { readonly security?: unknown }) =>
      Array.isArray(security) && security.length === 0;
    const open = told.filter(isOpen).map(({ method, path }) => `${method} ${path}`);
    expect(open.toSorted()).toEqual(PUBLIC.map((name) => name.replaceAll(/:(\w+)/g, "{$1}")).toSorted());
    for (const { operationId, responses, ...rest } of told) {
      const wanted = isOpen(rest) ? [] : ["401", "403", "503"];
      expect([operationId, wanted.filter((status) => !(status in responses))]).toEqual([operationId, []]);
    }
  });

  test("documents the parameters that are taken: another one is refused by its name", async () => {
    const { told } = await operations();
    const withQuery = told.filter(({ parameters }) => parameters.some((one) => one.in === "query"));
    expect(withQuery.length).toBeGreaterThan(5);
    for (const { method, path } of withQuery) {
      const response = await call(method, path, TOKENS.operator, { query: "?not-documented=1" });
      expect([path, response.status]).toEqual([path, 400]);
      const { errors = [] } = problemSchema.parse(await response.json());
      expect(errors.map(({ field }) => field)).toContain("not-documented");
    }
  });

  test("documents the bodies that are taken: each required field that is missing is named", async () => {
    const { told, components } = await operations();
    const posts = told.filter(
      ({ requestBody, path }) => requestBody !== undefined && path !== "/webhooks/{source}",
    );
    expect(posts.length).toBeGreaterThan(5);
    for (const { method, path, requestBody } of posts) {
      const query = path.includes("/inbox/") ? "?key=x" : "";
      const schema = requestBody?.content["application/json"]?.schema ?? {};
      const required = requiredOf(schema, components.schemas).toSorted();
      if (required.length === 0) continue;
      const response = await call(method, path, TOKENS.operator, { query });
      expect([path, response.status]).toEqual([path, 400]);
      const named = (problemSchema.parse(await response.json()).errors ?? []).map(({ field }) => field);
      expect([path, named.toSorted()]).toEqual([path, required]);
    }
  });
});

/** The fields that a schema of the document requires; of alternatives, those of the first. */
function requiredOf(
  schema: Readonly<Record<string, unknown>>,
  schemas: Readonly<Record<string, Record<string, unknown>>>,
): string[] {
  const { $ref, anyOf, required } = z
    .object({
      $ref: z.string().optional(),
      anyOf: z.array(z.looseObject({})).optional(),
      required: z.array(z.string()).default([]),
    })
    .parse(schema);
  if ($ref !== undefined)
    return requiredOf(schemas[$ref.replace("#/components/schemas/", "")] ?? {}, schemas);
  return anyOf?.[0] === undefined ? required : requiredOf(anyOf[0], schemas);
}
