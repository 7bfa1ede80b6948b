import { z } from "zod";
import type { FieldProblem } from "./directive.ts";

/** A hundred years: the times that are reckoned from it can still be told. */
const MAX_SECONDS = 100 * 365 * 24 * 3600;

/** An object with these fields and no others: a field that is misspelt would otherwise be its default. */
export function fields<Shape extends z.core.$ZodLooseShape>(shape: Shape, form?: string) {
  const known = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: ({ code }) =>
      code === "unrecognized_keys"
        ? `is not a known field: the fields are ${known}`
        : `must be ${form ?? `an object with ${known}`}`,
  });
}

export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER) {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
  const form = must(`a whole number, ${range}`);
  return z
    .number(form)
    .refine((value) => Number.isSafeInteger(value) && value >= least && value <= most, form);
}

export function positive(most: number, what = "a number") {
  const form = must(`${what} above 0, ${most} at most`);
  return z.number(form).refine((value) => value > 0 && value <= most, form);
}

export function between(least: number, most: number) {
  const form = must(`a number from ${least} to ${most}`);
  return z.number(form).refine((value) => value >= least && value <= most, form);
}

export function seconds(most = MAX_SECONDS) {
  return positive(most, "a number of seconds");
}

export function flag() {
  return z.boolean(must("true or false"));
}

export function oneOf<const Choice extends string>(choices: readonly Choice[]) {
  return z.enum(choices, must(choices.map((choice) => JSON.stringify(choice)).join(" or ")));
}

export function matching(pattern: RegExp, form: string) {
  return z.string(must(form)).regex(pattern, must(form));
}

export function func() {
  return z.custom((value) => typeof value === "function", must("a function"));
}

export const envName = fields(
  {
    env: matching(
      /^[A-Za-z_][A-Za-z0-9_]*$/,
      "the name of a variable or secret of the Worker: its value never stands in the configuration",
    ),
  },
  '{ env: "<name>" }, the name of a variable or secret of the Worker: its value never stands in the configuration',
);

export const envNames = z
  .array(envName, must('a list of { env: "<name>" }'))
  .min(1, { error: "must name at least one secret" });

/** What is wrong with a value, if it was read with `reportInput`: each field once. Repeats no text, which may be a secret. */
export function problemsOf(
  { issues }: Pick<z.core.$ZodError, "issues">,
  at: readonly string[] = [],
): readonly FieldProblem[] {
  const problems = issues.flatMap((issue): FieldProblem[] => {
    const field = [...at, ...issue.path].map(String).join(".");
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => ({
        field: [...at, ...issue.path, key].map(String).join("."),
        message: issue.message,
      }));
    const missing = issue.code === "invalid_type" && issue.input === undefined;
    return [{ field, message: missing ? `is missing: it ${issue.message}` : issue.message }];
  });
  return [...new Map(problems.map((problem) => [problem.field, problem])).values()];
}

/** The number is repeated; a text is not. */
function must(form: string) {
  return {
    error: ({ input }: { readonly input?: unknown }) =>
      typeof input === "number" ? `must be ${form}, not ${input}` : `must be ${form}`,
  };
}
