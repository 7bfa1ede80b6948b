import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { LetterFilter } from "../domain/dead-letter.ts";
import { err, ok, type Result } from "../domain/result.ts";
import type { LetterPosition } from "./letters.ts";

const CURSOR = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-f]{16})$/;

/** A position as a caller carries it: opaque, URL-safe, and good for the one filter that it was made under. */
export function encodeCursor({ openedAtMs, seq }: LetterPosition, filter: LetterFilter): string {
  const position = `${openedAtMs.toString(36)}.${seq.toString(36)}`;
  return `${position}.${seal(position, filter)}`;
}

/** Error: what is wrong, for the caller. */
export function decodeCursor(cursor: string, filter: LetterFilter): Result<LetterPosition, string> {
  const [, at = "", seq = "", sealed = ""] = CURSOR.exec(cursor) ?? [];
  if (sealed === "" || sealed !== seal(`${at}.${seq}`, filter)) {
    return err("must be the nextCursor of a page with the same filter: leave it out to begin at the newest");
  }
  return ok({ openedAtMs: Number.parseInt(at, 36), seq: Number.parseInt(seq, 36) });
}

/** Finds mistakes, and is no secret: a forged cursor reads nothing that its forger could not list. */
function seal(
  position: string,
  { state, code, kind, lane, sourceQueue, fromMs, toMs }: LetterFilter,
): string {
  const asked = [state, code, kind, lane, sourceQueue, fromMs, toMs];
  const sealed = JSON.stringify(["lockstep.cursor.v2", position, ...asked]);
  return bytesToHex(sha256(utf8ToBytes(sealed))).slice(0, 16);
}
