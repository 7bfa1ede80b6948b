import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { dlqRoutes } from "../../dlq/operator-http.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { ALICE, BOB, newLetter, NOW } from "./dlq-fixture.ts";
import { watchEnv } from "./watch-fixture.ts";

async function get(path: string): Promise<{ status: number; type: string | null; body: unknown }> {
  const response = await dlqRoutes().request(path, {}, watchEnv());
  return { status: response.status, type: response.headers.get("content-type"), body: await response.json() };
}

const pageSchema = z.object({
  letters: z.array(z.looseObject({ directiveId: z.string() })),
  nextCursor: z.string().nullable(),
});

async function page(query: string): Promise<{ ids: string[]; nextCursor: string | null }> {
  const { status, body } = await get(`/v1/dlq/letters?${query}`);
  expect(status).toBe(200);
  const { letters, nextCursor } = pageSchema.parse(body);
  return { ids: letters.map(({ directiveId }) => directiveId), nextCursor };
}

const problemSchema = z.object({
  status: z.number(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })),
});

async function refusedFields(path: string): Promise<string[]> {
  const { status, type, body } = await get(path);
  expect([status, type]).toEqual([400, "application/problem+json"]);
  return problemSchema.parse(body).errors.map(({ field }) => field);
}

describe("GET /v1/dlq/letters", () => {
  test("lists letters with ISO times and without bodies", async () => {
    await recordLetters(env.LEDGER, [newLetter()]);
    const { status, body } = await get("/v1/dlq/letters");
    expect(status).toBe(200);
    expect(body).toEqual({
      letters: [
        {
          id: letterId(newLetter()),
          kind: "directive",
          state: "open",
          lane: ALICE,
          directiveId: "d1",
          digest: "d".repeat(64),
          generation: 0,
          sourceQueue: "directives",
          code: "execution_reverted",
          message: "the call reverts",
          firstFailureCode: "network_error",
          firstFailureAt: "2030-01-31T11:59:55.000Z",
          lastFailureAt: "2030-01-31T11:59:59.000Z",
          attempts: 3,
          directiveStatus: "dead",
          sequence: 7,
          transactions: [{ hash: "0x01", sequence: 7, status: "refused" }],
          refund: null,
          resolution: null,
          previous: null,
          next: null,
          replacedBy: null,
          replaces: null,
          replay: null,
          openedAt: "2030-01-31T12:00:00.000Z",
          updatedAt: "2030-01-31T12:00:00.000Z",
        },
      ],
      nextCursor: null,
    });
  });

  test("takes a lane in any spelling, and times with any zone", async () => {
    await recordLetters(env.LEDGER, [
      newLetter({ directiveId: "a" }),
      newLetter({ directiveId: "b", lane: BOB }),
      newLetter({ directiveId: "c", openedAtMs: NOW + 1000 }),
    ]);
    expect((await page(`lane=eip155:31337:0x${"A".repeat(40)}`)).ids).toEqual(["c", "a"]);
    expect((await page(`from=${encodeURIComponent("2030-01-31T13:00:01+01:00")}`)).ids).toEqual(["c"]);
    expect(
      (await page("to=2030-01-31T12:00:01Z&state=open&kind=directive&code=execution_reverted")).ids,
    ).toEqual(["b", "a"]);
  });

  test("is 50 long unless told, and leads through all pages by its cursor", async () => {
    await recordLetters(
      env.LEDGER,
      Array.from({ length: 130 }, (_, index) =>
        newLetter({ directiveId: `d${index}`, openedAtMs: NOW + index }),
      ),
    );
    const first = await page("");
    const second = await page(`cursor=${first.nextCursor}`);
    const third = await page(`limit=100&cursor=${second.nextCursor}`);
    expect([first, second, third].map(({ ids }) => ids.length)).toEqual([50, 50, 30]);
    expect(new Set([...first.ids, ...second.ids, ...third.ids]).size).toBe(130);
    expect(third.nextCursor).toBeNull();
  });

  test("refuses a cursor that was changed, made up, or made under another filter", async () => {
    await recordLetters(env.LEDGER, [newLetter({ directiveId: "a" }), newLetter({ directiveId: "b" })]);
    const { nextCursor } = await page("limit=1&state=open");
    if (nextCursor === null) throw new Error("there must be a second page");
    expect((await page(`state=open&cursor=${nextCursor}`)).ids).toEqual(["a"]);
    const changed = Array.from(
      nextCursor,
      (char, index) =>
        `${nextCursor.slice(0, index)}${char === "1" ? "2" : "1"}${nextCursor.slice(index + 1)}`,
    );
    for (const cursor of [...changed, "", "x", "0.0.0", `${nextCursor}0`, "%00", "🦊".repeat(9)]) {
      expect(await refusedFields(`/v1/dlq/letters?state=open&cursor=${encodeURIComponent(cursor)}`)).toEqual([
        "cursor",
      ]);
    }
    expect(await refusedFields(`/v1/dlq/letters?cursor=${nextCursor}`)).toEqual(["cursor"]);
    expect(await refusedFields(`/v1/dlq/letters?state=open&lane=${ALICE}&cursor=${nextCursor}`)).toEqual([
      "cursor",
    ]);
  });

  test.each([
    ["state=closed", ["state"]],
    ["state=", ["state"]],
    ["state=open&state=resolved", ["state"]],
    ["code=nope&kind=none", ["code", "kind"]],
    ["code=__proto__", ["code"]],
    ["lane=me", ["lane"]],
    ["from=yesterday&to=2030-01-31", ["from", "to"]],
    ["from=2030-02-01T00:00:00Z&to=2030-01-01T00:00:00Z", ["from"]],
    ["limit=0", ["limit"]],
    ["limit=101", ["limit"]],
    ["limit=1.5", ["limit"]],
    ["limit=1e1", ["limit"]],
    ["colour=red&limit=x", ["colour", "limit"]],
    ["__proto__=1", ["__proto__"]],
    ["constructor=1", ["constructor"]],
  ])("?%s is refused with each wrong parameter named", async (query, fields) => {
    expect((await refusedFields(`/v1/dlq/letters?${query}`)).toSorted()).toEqual(fields);
  });
});

describe("GET /v1/dlq/letters/{id}", () => {
  test("shows one letter whole, with its remedy and its history", async () => {
    await recordLetters(env.LEDGER, [newLetter()]);
    const { status, body } = await get(`/v1/dlq/letters/${letterId(newLetter())}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      lane: ALICE,
      remedy: "Read the revert reason; send a corrected directive under a new id.",
      body: { action: { type: "evm.transaction" } },
      bodyFormat: "json",
      history: [
        { at: "2030-01-31T12:00:00.000Z", actor: "lockstep", action: "opened", reason: "execution_reverted" },
      ],
    });
  });

  test("shows a body that nests deeper than 100 levels as text, and one that does not as JSON", async () => {
    const letter = newLetter({ body: "[".repeat(101) + "]".repeat(101) });
    const shallower = newLetter({ directiveId: "d2", body: "[".repeat(100) + "]".repeat(100) });
    const deepest = newLetter({ directiveId: "d3", body: "[".repeat(60_000) + "]".repeat(60_000) });
    await recordLetters(env.LEDGER, [letter, shallower, deepest]);
    expect((await get(`/v1/dlq/letters/${letterId(shallower)}`)).body).toMatchObject({ bodyFormat: "json" });
    expect((await get(`/v1/dlq/letters/${letterId(deepest)}`)).body).toMatchObject({
      body: deepest.body,
      bodyFormat: "json-text",
    });
    expect((await get(`/v1/dlq/letters/${letterId(letter)}`)).body).toMatchObject({
      body: letter.body,
      bodyFormat: "json-text",
    });
  });

  test.each([
    ["a string", '"hi"', "json", "hi"],
    ["null", "null", "json", null],
    ["bytes", "AQL/", "base64", "AQL/"],
    ["a description", "[object Object]", "text", "[object Object]"],
  ] as const)("shows a body that is %s as it is", async (_, body, bodyFormat, shown) => {
    await recordLetters(env.LEDGER, [newLetter({ body, bodyFormat })]);
    expect((await get(`/v1/dlq/letters/${letterId(newLetter())}`)).body).toMatchObject({
      body: shown,
      bodyFormat,
    });
  });

  test("shows a body's __proto__ key as data", async () => {
    const letter = newLetter({ body: '{"__proto__":{"admin":true}}' });
    await recordLetters(env.LEDGER, [letter]);
    const response = await dlqRoutes().request(`/v1/dlq/letters/${letterId(letter)}`, {}, watchEnv());
    expect(await response.text()).toContain('"body":{"__proto__":{"admin":true}}');
  });

  test.each(["nothing", "__proto__", "%27%20OR%201=1", "a%2Fb"])("answers 404 for %s", async (id) => {
    expect(await get(`/v1/dlq/letters/${id}`)).toMatchObject({
      status: 404,
      type: "application/problem+json",
      body: { status: 404 },
    });
  });

  test("refuses parameters", async () => {
    expect(await refusedFields("/v1/dlq/letters/x?verbose=1")).toEqual(["verbose"]);
  });
});

test("the OpenAPI document describes every route and its parameters", () => {
  const document = dlqRoutes().getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Lockstep", version: "1" },
  });
  expect(Object.keys(document.paths ?? {})).toEqual([
    "/v1/dlq/depth",
    "/v1/dlq/incidents",
    "/metrics",
    "/v1/dlq/letters",
    "/v1/dlq/letters/{id}",
    "/v1/dlq/letters/{id}/discard",
    "/v1/dlq/letters/{id}/resolve",
    "/v1/dlq/letters/{id}/resubmit",
    "/v1/dlq/reconcile",
    "/v1/dlq/plans",
    "/v1/dlq/plans/{id}",
    "/v1/dlq/replays",
    "/v1/dlq/replays/{id}",
    "/v1/dlq/replays/{id}/pause",
    "/v1/dlq/replays/{id}/resume",
    "/v1/dlq/replays/{id}/cancel",
  ]);
  const names = document.paths?.["/v1/dlq/letters"]?.get?.parameters?.map((parameter) =>
    "name" in parameter ? parameter.name : "",
  );
  expect(names).toEqual(["state", "code", "kind", "lane", "sourceQueue", "from", "to", "cursor", "limit"]);
});
