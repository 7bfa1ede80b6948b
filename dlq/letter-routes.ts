// In:  HTTP requests of operators for letters; who calls is settled by the middleware in front.
// Out: the ledger's letters as JSON, one of them with what its lane says of it now.
// On failure: 400 names each parameter that is wrong, 404 an unknown letter; what D1 throws goes to the application's error handler.
import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { letterReportSchema, lettersPageSchema } from "../domain/api-letters.ts";
import { problem } from "../domain/api.ts";
import type { Config } from "../domain/config.ts";
import { LETTER_KINDS, LETTER_STATES, type LetterFilter } from "../domain/dead-letter.ts";
import { isFailureCode, type FailureCode } from "../domain/failure.ts";
import { parseAccount } from "../domain/ids.ts";
import { parseInbox } from "../domain/inbox-name.ts";
import { answer, refusal } from "./answers.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { letterNow, type NowEnv } from "./letter-now.ts";
import { letterView, summaryView } from "./letter-view.ts";
import { listLetters, showLetter, type LetterPosition } from "./letters.ts";

export interface LettersEnv extends NowEnv {
  readonly LEDGER: LedgerDatabase;
}

/** An account in its one spelling, or an inbox, which has but one. */
const lane = z.string().transform((text, context): string => {
  const inbox = parseInbox(text);
  if (inbox !== undefined) return inbox.name;
  const account = parseAccount(text);
  if (account.ok) return account.value.id;
  const message = text.startsWith("webhook:")
    ? "must be the name of an inbox: webhook:<source>:<key>, or webhook:<source>#<shard>"
    : account.error;
  context.issues.push({ code: "custom", message, input: text });
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
    lane: lane
      .optional()
      .openapi({ description: "A CAIP-10 account in any spelling, or the name of an inbox." }),
    sourceQueue: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .openapi({ description: "The queue that the message was on before it died." }),
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

const listRoute = createRoute({
  method: "get",
  path: "/v1/dlq/letters",
  operationId: "listLetters",
  summary: "Letters, newest first",
  tags: ["Dead letters"],
  request: { query: listQuery },
  responses: {
    200: answer("Letters, newest first, without bodies", lettersPageSchema),
    400: refusal("Wrong parameters, each named"),
  },
});
const showRoute = createRoute({
  method: "get",
  path: "/v1/dlq/letters/{id}",
  operationId: "getLetter",
  summary: "One letter with its history",
  tags: ["Dead letters"],
  request: { params: z.object({ id: z.string() }), query: z.strictObject({}) },
  responses: {
    200: answer("One letter, whole, with its history and what its lane says of it now", letterReportSchema),
    400: refusal("Unknown parameters"),
    404: refusal("No such letter"),
  },
});

/** Adds the routes of those who look. */
export function letterRoutes<Http extends { Bindings: LettersEnv }>(
  app: OpenAPIHono<Http>,
  config: Config,
): void {
  app.openapi(listRoute, async (c) => {
    const query = c.req.valid("query");
    const filter: LetterFilter = {
      state: query.state ?? null,
      code: query.code ?? null,
      kind: query.kind ?? null,
      lane: query.lane ?? null,
      sourceQueue: query.sourceQueue ?? null,
      fromMs: query.from ?? null,
      toMs: query.to ?? null,
    };
    let after: LetterPosition | null = null;
    if (query.cursor !== undefined) {
      const position = decodeCursor(query.cursor, filter);
      if (!position.ok)
        return problem(400, "the cursor is wrong", {
          errors: [{ field: "cursor", message: position.error }],
        });
      after = position.value;
    }
    const { letters, next } = await listLetters(c.env.LEDGER, filter, { after, limit: query.limit });
    return c.json(
      { letters: letters.map(summaryView), nextCursor: next === null ? null : encodeCursor(next, filter) },
      200,
    );
  });

  app.openapi(showRoute, async (c) => {
    const { id } = c.req.valid("param");
    const found = await showLetter(c.env.LEDGER, id);
    if (found === null) return problem(404, `no letter has the id ${id}`);
    const now = await letterNow(c.env, config, found.letter);
    return c.json(letterView(found.letter, found.history, now), 200);
  });
}
