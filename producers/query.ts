import type { z } from "zod";
import { problem } from "../domain/api.ts";
import { fieldProblems } from "../domain/directive.ts";
import { err, ok, type Result } from "../domain/result.ts";

/**
 * Reads the parameters of a URL by the schema that its route documents. One that is there twice is a list to the
 * schema, so that it is wrong. Error: the answer to give: 400, naming each parameter that is wrong.
 */
export function readQuery<Schema extends z.ZodType>(
  url: string,
  schema: Schema,
): Result<z.output<Schema>, Response> {
  const given = Map.groupBy(new URL(url).searchParams, ([name]) => name);
  const query = Object.fromEntries(
    Array.from(given, ([name, pairs]) => {
      const values = pairs.map(([, value]) => value);
      return [name, values.length > 1 ? values : values[0]];
    }),
  );
  const parsed = schema.safeParse(query, { reportInput: true });
  if (parsed.success) return ok(parsed.data);
  return err(problem(400, "Some parameters are wrong.", { errors: fieldProblems(parsed.error) }));
}
