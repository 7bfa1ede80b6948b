import { describe, expect, test } from "vitest";
import type { z } from "zod";
import {
  planRequestSchema,
  reconcileRequestSchema,
  replayRequestSchema,
  resolveRequestSchema,
  resubmitRequestSchema,
} from "../../domain/api-letters.ts";
import { skipSchema } from "../../domain/api-webhooks.ts";
import { problemSchema, reasonSchema } from "../../domain/api.ts";
import { fieldProblems, parseDirective, type FieldProblem } from "../../domain/directive.ts";
import { readAction } from "../../domain/request-body.ts";
import { cosmos, wire } from "./directive-fixture.ts";

type Check = (body: unknown) => readonly FieldProblem[];

const by =
  (schema: z.ZodType): Check =>
  (body) => {
    const parsed = schema.safeParse(body, { reportInput: true });
    return parsed.success ? [] : fieldProblems(parsed.error);
  };
const directiveProblems: Check = (body) => {
  const parsed = parseDirective(body);
  return parsed.ok ? [] : parsed.error;
};

const TIME = "2030-01-31T12:00:00Z";
const FILTER = { ids: ["a"], code: "c", kind: "raw", lane: "l", sourceQueue: "q", from: TIME, to: TIME };
const ACTION = { type: "evm.transaction", to: "0x", value: "1" };
const transfer = { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { amount: "1" } };
const wholeCosmos = cosmos([transfer], { memo: "m", gas: "1" });

/** Every body that the API reads, whole: each of its fields is there. */
const BODIES: readonly (readonly [name: string, check: Check, whole: object])[] = [
  ["a reason", by(reasonSchema), { reason: "r" }],
  ["a skip", by(skipSchema), { reason: "r", sequence: 7 }],
  ["a plan", by(planRequestSchema), { filter: FILTER, limit: 5, force: true }],
  [
    "a replay",
    by(replayRequestSchema),
    { plan: "p", digest: "d", reason: "r", ratePerSecond: 5, perLanePerSecond: 1 },
  ],
  ["what is known of a letter", by(resolveRequestSchema), { outcome: "landed", txHash: "0x", reason: "r" }],
  [
    "an edit",
    by(resubmitRequestSchema),
    { id: "b", action: ACTION, expiresAt: TIME, metadata: {}, reason: "r" },
  ],
  ["a reconciliation", by(reconcileRequestSchema), { ids: ["a"] }],
  [
    "a transaction",
    directiveProblems,
    { ...wire({ expiresAt: TIME, metadata: {} }, { data: "0x", gas: "1" }), v: 1, kind: "directive" },
  ],
  ["messages", directiveProblems, wholeCosmos],
];

const WRONG: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  1e-20,
  1e300,
  "",
  "x",
  "x".repeat(2000),
  [],
  [1],
  [null],
  Array.from({ length: 2000 }, () => "x"),
  {},
  { unknown: 1 },
];

/** The body with one of its parts, or the whole of it, in another's place. */
function* spoiled(whole: unknown): Generator {
  yield* WRONG;
  if (typeof whole !== "object" || whole === null) return;
  if (Array.isArray(whole)) {
    for (const [index, part] of whole.entries())
      for (const wrong of spoiled(part)) yield whole.with(index, wrong);
    return;
  }
  yield { ...whole, unknown: 1 };
  for (const [key, part] of Object.entries(whole)) {
    yield Object.fromEntries(Object.entries(whole).filter(([other]) => other !== key));
    for (const wrong of spoiled(part)) yield { ...whole, [key]: wrong };
  }
}

describe("what is wrong with a body is said in the words of Lockstep, and not of a library", () => {
  test.each(BODIES)("%s", (_, check, whole) => {
    expect(check(whole)).toEqual([]);
    const said = new Set<string>();
    for (const wrong of spoiled(whole))
      for (const { message } of check(JSON.parse(JSON.stringify(wrong) ?? "null"))) said.add(message);
    expect(said.size).toBeGreaterThan(2);
    expect([...said].filter((message) => !/^(must|is|has|does|are) /.test(message))).toEqual([]);
    expect([...said].filter((message) => /expected|received|invalid|too (big|small)/i.test(message))).toEqual(
      [],
    );
  });
});

async function refusalOf(schema: z.ZodType, body: unknown) {
  const request = new Request("https://lockstep.test/", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const read = await readAction(request, schema, "{ … }", 200_000);
  return read.ok ? [] : problemSchema.parse(await read.error.json()).errors;
}

test("a field of the wrong type is told what it must be, and only a missing one is called missing", async () => {
  expect(await refusalOf(planRequestSchema, { filter: "x" })).toEqual([
    { field: "filter", message: "must be a JSON object" },
  ]);
  expect(await refusalOf(planRequestSchema, {})).toEqual([{ field: "filter", message: "is missing" }]);
  expect(await refusalOf(replayRequestSchema, { plan: 1, digest: 2, reason: 3, ratePerSecond: "5" })).toEqual(
    [
      { field: "plan", message: "must be a string" },
      { field: "digest", message: "must be a string" },
      { field: "reason", message: "must say why, in 1 to 500 characters" },
      { field: "ratePerSecond", message: "must be a number from 0.001 to 5000" },
    ],
  );
  expect(await refusalOf(planRequestSchema, { filter: { from: "yesterday", ids: [] }, limit: 0.5 })).toEqual([
    { field: "filter.ids", message: "must be a list of 1 to 1000 ids of letters" },
    { field: "filter.from", message: "must be a time such as 2030-01-31T12:00:00Z (ISO 8601 with a zone)" },
    { field: "limit", message: "must be a whole number of at least 1" },
  ]);
});
