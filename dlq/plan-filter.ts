import type { z } from "zod";
import type { planRequestSchema } from "../domain/api-letters.ts";
import type { LetterKind } from "../domain/dead-letter.ts";
import type { FieldProblem } from "../domain/directive.ts";
import { isFailureCode } from "../domain/failure.ts";
import { parseAccount } from "../domain/ids.ts";
import { parseInbox } from "../domain/inbox-name.ts";
import { err, ok, type Result } from "../domain/result.ts";

/** Which open letters a plan is about: all that are given must hold; null asks nothing. */
export interface PlanFilter {
  readonly ids: readonly string[] | null;
  readonly code: string | null;
  readonly kind: LetterKind | null;
  /** An account or the name of an inbox, in its one spelling. */
  readonly lane: string | null;
  readonly sourceQueue: string | null;
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

/** Error: each key that is wrong. Whether the ids exist is for the ledger to say. */
export function readFilter(
  input: z.infer<typeof planRequestSchema>["filter"],
): Result<PlanFilter, readonly FieldProblem[]> {
  const problems: FieldProblem[] = [];
  const { ids, code, kind, lane, sourceQueue, from, to } = input;
  if (code !== undefined && !isFailureCode(code))
    problems.push({ field: "filter.code", message: "is not a failure code" });
  const spelled = lane === undefined ? ok(null) : laneOf(lane);
  if (!spelled.ok) problems.push({ field: "filter.lane", message: spelled.error });
  const fromMs = from === undefined ? null : Date.parse(from);
  const toMs = to === undefined ? null : Date.parse(to);
  if (fromMs !== null && toMs !== null && fromMs >= toMs)
    problems.push({ field: "filter.from", message: "must be before to" });
  if (problems.length > 0 || !spelled.ok) return err(problems);
  return ok({
    ids: ids === undefined ? null : [...new Set(ids)],
    code: code ?? null,
    kind: kind ?? null,
    lane: spelled.value,
    sourceQueue: sourceQueue ?? null,
    fromMs,
    toMs,
  });
}

function laneOf(text: string): Result<string, string> {
  const inbox = parseInbox(text);
  if (inbox !== undefined) return ok(inbox.name);
  const account = parseAccount(text);
  return account.ok
    ? ok(account.value.id)
    : err("must be a CAIP-10 account, or the name of an inbox such as webhook:polar:cus_1");
}
