import type { LetterFullReport, LetterSummaryReport } from "../domain/api-letters.ts";
import type { Letter, LetterHistoryEntry, LetterSummary } from "../domain/dead-letter.ts";
import { FAILURES, isFailureCode } from "../domain/failure.ts";
import type { NowAnswer } from "./letter-now.ts";

/** Many JSON readers recurse, and some stop at a few hundred levels. */
const MAX_NESTING = 100;

/** A letter as the HTTP API lists it. */
export function summaryView(letter: LetterSummary): LetterSummaryReport {
  const { firstFailureAtMs, lastFailureAtMs, openedAtMs, updatedAtMs, replayId, transactions, ...facts } =
    letter;
  return {
    ...facts,
    firstFailureAt: iso(firstFailureAtMs),
    lastFailureAt: iso(lastFailureAtMs),
    transactions: transactions.map((transaction) => ({ ...transaction })),
    replay: replayId,
    openedAt: iso(openedAtMs),
    updatedAt: iso(updatedAtMs),
  };
}

/** One letter, whole, with what its lane says now. */
export function letterView(
  letter: Letter,
  history: readonly LetterHistoryEntry[],
  { now, error }: NowAnswer,
): LetterFullReport {
  const { body: _, bodyFormat: _format, ...summary } = letter;
  return {
    ...summaryView(summary),
    remedy: isFailureCode(letter.code) ? FAILURES[letter.code].remedy : null,
    ...bodyView(letter),
    now:
      now === null
        ? null
        : { ...now, transactions: now.transactions.map((transaction) => ({ ...transaction })) },
    ...(error === null ? {} : { nowError: error }),
    history: history.map(({ atMs, actor, action, reason }) => ({ at: iso(atMs), actor, action, reason })),
  };
}

function bodyView({ body, bodyFormat }: Letter): Pick<LetterFullReport, "body" | "bodyFormat"> {
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
