import { err, ok, type Result } from "../../domain/result.ts";

/** Error: where the text stops being JSON, in words that hold nothing of it: the parser quotes it, and it may be secret. */
export function readJson(text: string): Result<unknown, string> {
  const fault = faultIn(text);
  if (fault === null) return ok(JSON.parse(text));
  const before = text.slice(0, positionOf(fault, text)).split("\n");
  return err(`is not JSON: line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`);
}

function positionOf(fault: string, text: string): number {
  const position = /at position (\d+)/.exec(fault)?.[1];
  if (position !== undefined) return Number(position);
  if (!isToken(fault)) return text.length;
  // Of a token the parser tells no position: it is the end of the shortest beginning that has it.
  let [shorter, enough] = [0, text.length];
  while (enough - shorter > 1) {
    const middle = Math.floor((shorter + enough) / 2);
    if (isToken(faultIn(text.slice(0, middle)))) enough = middle;
    else shorter = middle;
  }
  return enough - 1;
}

function isToken(fault: string | null): boolean {
  return fault?.startsWith("Unexpected token") === true;
}

/** Null for what is JSON. */
function faultIn(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
