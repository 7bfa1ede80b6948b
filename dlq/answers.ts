import type { z } from "zod";
import { problemSchema } from "../domain/api.ts";
import { fieldProblems, type FieldProblem } from "../domain/directive.ts";

/** A JSON answer, as OpenAPI describes it. */
export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

/** The content's key is no literal, so that handlers may answer with `problem`, the one form of every error. */
export function refusal(description: string): {
  description: string;
  content: Record<string, { schema: typeof problemSchema }>;
} {
  return { description, content: { "application/problem+json": { schema: problemSchema } } };
}

/** As `fieldProblems`, of an error that does not hold the input: only the message tells a missing field from a wrong one. */
export function wrongFields(error: z.core.$ZodError): readonly FieldProblem[] {
  return error.issues.flatMap((issue) => {
    const missing = issue.message.endsWith("received undefined");
    const problems = fieldProblems({ issues: [issue] });
    return issue.code === "invalid_type" && !missing
      ? problems.map((wrong) => ({ ...wrong, message: issue.message }))
      : problems;
  });
}
