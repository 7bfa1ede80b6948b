import { z } from "@hono/zod-openapi";
import { problemSchema } from "../domain/api.ts";

/** What the descriptions of the routes share. */

export function json<Schema extends z.ZodType>(description: string, schema: Schema, example?: unknown) {
  const content = example === undefined ? { schema } : { schema, example };
  return { description, content: { "application/json": content } };
}

/**
 * The schema under a name, as a component of the document. A clone, since zod gives a schema its methods when it is
 * made: one that was made before `@hono/zod-openapi` was loaded has no `openapi`.
 */
export function named<Schema extends z.ZodType>(name: string, schema: Schema): Schema {
  return z.clone(schema).openapi(name);
}

const problemReport = named("Problem", problemSchema);

export function refusal(description: string) {
  return { description, content: { "application/problem+json": { schema: problemReport } } };
}

export const problems = { default: refusal("Every error, as RFC 9457 says") };

/** Of a call that needs no token: whatever does not say so needs one. */
export const PUBLIC: { [name: string]: string[] }[] = [];
