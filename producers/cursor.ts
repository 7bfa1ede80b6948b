import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import type { z } from "zod";
import { err, ok, type Result } from "../domain/result.ts";

const CURSOR = /^((?:[0-9a-f]{2}){1,2048})\.([0-9a-f]{16})$/;

/** A place in a list as a caller carries it: opaque, URL-safe, and good for the one list that it was made under. */
export function encodeCursor(place: unknown, list: readonly (string | null)[]): string {
  const text = bytesToHex(utf8ToBytes(JSON.stringify(place)));
  return `${text}.${seal(text, list)}`;
}

/** Error: what is wrong, for the caller. */
export function decodeCursor<Schema extends z.ZodType>(
  cursor: string,
  list: readonly (string | null)[],
  place: Schema,
): Result<z.output<Schema>, string> {
  const [, text = "", sealed = ""] = CURSOR.exec(cursor) ?? [];
  const parsed = sealed !== "" && sealed === seal(text, list) ? place.safeParse(jsonOf(text)) : undefined;
  if (parsed?.success === true) return ok(parsed.data);
  return err("must be the nextCursor of a page of the same list: leave it out to begin at the newest");
}

/** Undefined for what is not JSON. */
function jsonOf(hex: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(hexToBytes(hex)));
  } catch {
    return undefined;
  }
}

/** Finds mistakes, and is no secret: a forged cursor reads nothing that its forger could not list. */
function seal(text: string, list: readonly (string | null)[]): string {
  const sealed = JSON.stringify(["lockstep.list.v1", text, ...list]);
  return bytesToHex(sha256(utf8ToBytes(sealed))).slice(0, 16);
}
