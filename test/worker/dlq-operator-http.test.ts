import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { dlqRoutes } from "../../dlq/operator-http.ts";
import { depth, type DepthEnv, type MeteredQueue } from "../../dlq/depth.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { ALICE, BOB, newLetter, NOW } from "./dlq-fixture.ts";

const quiet: MeteredQueue = { metrics: () => Promise.resolve({ backlogCount: 0, backlogBytes: 0 }) };

function bindings(given: Partial<DepthEnv> = {}): DepthEnv {
  return { LEDGER: env.LEDGER, DIRECTIVES: quiet, CONFIRMATIONS: quiet, DIRECTIVES_DLQ: quiet, ...given };
}

async function get(path: string): Promise<{ status: number; type: string | null; body: unknown }> {
  const response = await dlqRoutes().request(path, {}, bindings());
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
    const response = await dlqRoutes().request(`/v1/dlq/letters/${letterId(letter)}`, {}, bindings());
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

describe("GET /v1/dlq/depth", () => {
  test("says the backlog of each queue and the letters of the ledger", async () => {
    await recordLetters(env.LEDGER, [newLetter()]);
    const DIRECTIVES: MeteredQueue = {
      metrics: () =>
        Promise.resolve({ backlogCount: 3, backlogBytes: 900, oldestMessageTimestamp: new Date(NOW) }),
    };
    const response = await dlqRoutes().request("/v1/dlq/depth", {}, bindings({ DIRECTIVES }));
    expect(await response.json()).toEqual({
      queues: {
        directives: { backlogCount: 3, backlogBytes: 900, oldestMessageAt: "2030-01-31T12:00:00.000Z" },
        confirmations: { backlogCount: 0, backlogBytes: 0, oldestMessageAt: null },
        "directives-dlq": { backlogCount: 0, backlogBytes: 0, oldestMessageAt: null },
      },
      letters: {
        open: 1,
        replaying: 0,
        resolved: 0,
        discarded: 0,
        byCode: { execution_reverted: 1 },
        byLane: { [ALICE]: 1 },
        oldestOpenAt: "2030-01-31T12:00:00.000Z",
      },
    });
  });

  test("says why of a queue that does not tell, and still tells of the others", async () => {
    const DIRECTIVES: MeteredQueue = { metrics: () => Promise.reject(new Error("no metrics here")) };
    const CONFIRMATIONS: MeteredQueue = {
      metrics: () =>
        Promise.resolve({ backlogCount: 0, backlogBytes: 0, oldestMessageTimestamp: new Date(0) }),
    };
    const { queues } = await depth(bindings({ DIRECTIVES, CONFIRMATIONS }));
    expect(queues.directives).toEqual({
      backlogCount: null,
      backlogBytes: null,
      oldestMessageAt: null,
      error: "no metrics here",
    });
    expect(queues.confirmations).toEqual({ backlogCount: 0, backlogBytes: 0, oldestMessageAt: null });
  });

  test("reads the platform's own queues", async () => {
    const { queues } = await depth(env);
    expect(Object.values(queues)).toEqual(
      Array.from({ length: 3 }, () => ({ backlogCount: 0, backlogBytes: 0, oldestMessageAt: null })),
    );
  });

  test("refuses parameters", async () => {
    expect(await refusedFields("/v1/dlq/depth?since=1")).toEqual(["since"]);
  });
});

test("the OpenAPI document describes every route and its parameters", () => {
  const document = dlqRoutes().getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Lockstep", version: "1" },
  });
  expect(Object.keys(document.paths ?? {})).toEqual([
    "/v1/dlq/depth",
    "/v1/dlq/letters",
    "/v1/dlq/letters/{id}",
  ]);
  const names = document.paths?.["/v1/dlq/letters"]?.get?.parameters?.map((parameter) =>
    "name" in parameter ? parameter.name : "",
  );
  expect(names).toEqual(["state", "code", "kind", "lane", "from", "to", "cursor", "limit"]);
});
