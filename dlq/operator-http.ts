// In:  HTTP requests of operators; who calls is settled by the middleware in front.
// Out: the ledger's letters and both depths, as JSON; an OpenAPI description from the same schemas.
// On failure: 400 names each parameter that is wrong, 404 an unknown letter; what D1 throws goes to the application's error handler.
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { problem, type Actor } from "../domain/api.ts";
import { LETTER_KINDS, LETTER_STATES, type LetterFilter } from "../domain/dead-letter.ts";
import { fieldProblems } from "../domain/directive.ts";
import { isFailureCode, type FailureCode } from "../domain/failure.ts";
import { parseAccount } from "../domain/ids.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { depth, type DepthEnv } from "./depth.ts";
import { listLetters, showLetter, type LetterPosition } from "./ledger.ts";
import { letterSchema, letterView, summarySchema, summaryView } from "./letter-view.ts";

export interface DlqHttp {
  Bindings: DepthEnv;
  Variables: { actor: Actor };
}

const account = z.string().transform((text, context): string => {
  const parsed = parseAccount(text);
  if (parsed.ok) return parsed.value.id;
  context.issues.push({ code: "custom", message: parsed.error, input: text });
  return z.NEVER;
});

const code = z.string().transform((text, context): FailureCode => {
  if (isFailureCode(text)) return text;
  context.issues.push({ code: "custom", message: "is not a failure code", input: text });
  return z.NEVER;
});

const time = z.iso
  .datetime({
    offset: true,
    abort: true,
    error: "must be a time such as 2030-01-31T12:00:00Z (ISO 8601 with a zone)",
  })
  .transform((text) => Date.parse(text));

function oneOf<const Names extends readonly string[]>(names: Names) {
  return z.enum(names, { error: `must be one of ${names.join(", ")}` });
}

const listQuery = z
  .strictObject({
    state: oneOf(LETTER_STATES).optional(),
    code: code.optional(),
    kind: oneOf(LETTER_KINDS).optional(),
    lane: account.optional().openapi({ description: "A CAIP-10 account in any spelling." }),
    from: time.optional().openapi({ description: "Opened at this time or later." }),
    to: time.optional().openapi({ description: "Opened before this time." }),
    cursor: z
      .string()
      .optional()
      .openapi({ description: "`nextCursor` of the page before, with the same filter." }),
    limit: z
      .string()
      .regex(/^([1-9][0-9]?|100)$/, "must be a whole number from 1 to 100")
      .transform(Number)
      .default(50),
  })
  .refine(({ from, to }) => from === undefined || to === undefined || from < to, {
    path: ["from"],
    error: "must be before to",
  });

const nothing = z.strictObject({});

const count = z.int().nonnegative();
const queueDepth = z.object({
  backlogCount: count.nullable(),
  backlogBytes: count.nullable(),
  oldestMessageAt: z.string().nullable().openapi({ format: "date-time" }),
  error: z.string().optional().openapi({ description: "Why the queue did not say." }),
});
const depthSchema = z
  .object({
    queues: z.object({ directives: queueDepth, confirmations: queueDepth, "directives-dlq": queueDepth }),
    letters: z.object({
      open: count,
      replaying: count,
      resolved: count,
      discarded: count,
      byCode: z.record(z.string(), count).openapi({ description: "Open letters by failure code." }),
      byLane: z
        .record(z.string(), count)
        .openapi({ description: "Open letters of the 100 lanes that have most." }),
      oldestOpenAt: z.string().nullable().openapi({ format: "date-time" }),
    }),
  })
  .openapi("Depth");

function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});

/** The content's key is no literal, so that handlers may answer with `problem`, the one form of every error. */
function refusal(description: string): {
  description: string;
  content: Record<string, { schema: typeof problemSchema }>;
} {
  return { description, content: { "application/problem+json": { schema: problemSchema } } };
}

const depthRoute = createRoute({
  method: "get",
  path: "/v1/dlq/depth",
  request: { query: nothing },
  responses: {
    200: answer("Backlog of each queue, and the ledger's letters", depthSchema),
    400: refusal("Unknown parameters"),
  },
});
const listRoute = createRoute({
  method: "get",
  path: "/v1/dlq/letters",
  request: { query: listQuery },
  responses: {
    200: answer(
      "Letters, newest first, without bodies",
      z.object({ letters: z.array(summarySchema), nextCursor: z.string().nullable() }),
    ),
    400: refusal("Wrong parameters, each named"),
  },
});
const showRoute = createRoute({
  method: "get",
  path: "/v1/dlq/letters/{id}",
  request: { params: z.object({ id: z.string() }), query: nothing },
  responses: {
    200: answer("One letter, whole, with its history", letterSchema),
    400: refusal("Unknown parameters"),
    404: refusal("No such letter"),
  },
});

export function dlqRoutes(): OpenAPIHono<DlqHttp> {
  const app = new OpenAPIHono<DlqHttp>({
    defaultHook: (result) =>
      result.success
        ? undefined
        : problem(400, "some parameters are wrong", { errors: fieldProblems(result.error) }),
  });

  app.openapi(depthRoute, async (c) => c.json(await depth(c.env), 200));

  app.openapi(listRoute, async (c) => {
    const { state, code: failure, kind, lane, from, to, cursor, limit } = c.req.valid("query");
    const filter: LetterFilter = {
      state: state ?? null,
      code: failure ?? null,
      kind: kind ?? null,
      lane: lane ?? null,
      fromMs: from ?? null,
      toMs: to ?? null,
    };
    let after: LetterPosition | null = null;
    if (cursor !== undefined) {
      const position = decodeCursor(cursor, filter);
      if (!position.ok)
        return problem(400, "the cursor is wrong", {
          errors: [{ field: "cursor", message: position.error }],
        });
      after = position.value;
    }
    const { letters, next } = await listLetters(c.env.LEDGER, filter, { after, limit });
    return c.json(
      { letters: letters.map(summaryView), nextCursor: next === null ? null : encodeCursor(next, filter) },
      200,
    );
  });

  app.openapi(showRoute, async (c) => {
    const { id } = c.req.valid("param");
    const found = await showLetter(c.env.LEDGER, id);
    if (found === null) return problem(404, `no letter has the id ${id}`);
    return c.json(letterView(found.letter, found.history), 200);
  });

  return app;
}
