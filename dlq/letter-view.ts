import { z } from "@hono/zod-openapi";
import {
  LETTER_KINDS,
  LETTER_STATES,
  type Letter,
  type LetterHistoryEntry,
  type LetterSummary,
} from "../domain/dead-letter.ts";
import { FAILURES, isFailureCode } from "../domain/failure.ts";

/** Many JSON readers recurse, and some stop at a few hundred levels. */
const MAX_NESTING = 100;

const time = z.string().openapi({ format: "date-time" });

/** A letter as the HTTP API lists it. */
export const summarySchema = z
  .object({
    id: z.string(),
    kind: z.enum(LETTER_KINDS),
    state: z.enum(LETTER_STATES),
    lane: z.string().nullable().openapi({ description: "The account; null for a raw letter." }),
    directiveId: z.string().openapi({ description: "For a raw letter, the id of the queue message." }),
    digest: z.string(),
    generation: z.int(),
    sourceQueue: z.string(),
    code: z.string(),
    message: z.string(),
    firstFailureCode: z.string(),
    firstFailureAt: time,
    lastFailureAt: time,
    attempts: z.int(),
    directiveStatus: z.enum(["dead", "review", "reverted"]).nullable(),
    sequence: z.int().nullable(),
    transactions: z.array(z.object({ hash: z.string(), sequence: z.int(), status: z.string() })),
    openedAt: time,
    updatedAt: time,
  })
  .openapi("LetterSummary");

export const letterSchema = summarySchema
  .extend({
    remedy: z.string().nullable().openapi({ description: "What helps against this failure." }),
    bodyFormat: z.enum(["json", "json-text", "superjson", "base64", "text"]).openapi({
      description:
        "How `body` holds what came. json, superjson: parsed. json-text: JSON nested too deep for this answer, as text. base64: bytes. text: a description only.",
    }),
    body: z.unknown(),
    history: z.array(z.object({ at: time, actor: z.string(), action: z.string(), reason: z.string() })),
  })
  .openapi("Letter");

export function summaryView(letter: LetterSummary): z.infer<typeof summarySchema> {
  const {
    id,
    kind,
    state,
    lane,
    directiveId,
    digest,
    generation,
    sourceQueue,
    code,
    message,
    firstFailureCode,
    attempts,
    directiveStatus,
    sequence,
  } = letter;
  return {
    id,
    kind,
    state,
    lane,
    directiveId,
    digest,
    generation,
    sourceQueue,
    code,
    message,
    firstFailureCode,
    firstFailureAt: iso(letter.firstFailureAtMs),
    lastFailureAt: iso(letter.lastFailureAtMs),
    attempts,
    directiveStatus,
    sequence,
    transactions: letter.transactions.map((transaction) => ({ ...transaction })),
    openedAt: iso(letter.openedAtMs),
    updatedAt: iso(letter.updatedAtMs),
  };
}

export function letterView(
  letter: Letter,
  history: readonly LetterHistoryEntry[],
): z.infer<typeof letterSchema> {
  return {
    ...summaryView(letter),
    remedy: isFailureCode(letter.code) ? FAILURES[letter.code].remedy : null,
    ...bodyView(letter),
    history: history.map(({ atMs, actor, action, reason }) => ({ at: iso(atMs), actor, action, reason })),
  };
}

function bodyView({ body, bodyFormat }: Letter): Pick<z.infer<typeof letterSchema>, "body" | "bodyFormat"> {
  switch (bodyFormat) {
    case "json":
    case "superjson": {
      const parsed = parsedWithin(body);
      return parsed === null ? { body, bodyFormat: "json-text" } : { body: parsed.value, bodyFormat };
    }
    case "base64":
    case "text":
      return { body, bodyFormat };
  }
}

/** Null for what a reader of the answer could not be asked to read. */
function parsedWithin(text: string): { readonly value: unknown } | null {
  try {
    const value: unknown = JSON.parse(text);
    return nestsDeeper(value, MAX_NESTING) ? null : { value };
  } catch {
    return null;
  }
}

function nestsDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => nestsDeeper(inner, levels - 1));
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
