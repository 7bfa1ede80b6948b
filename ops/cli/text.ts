import { stripVTControlCharacters } from "node:util";

const ELLIPSIS = "…";
/** Characters that take two columns: East Asian wide ones, and pictures. */
const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]/u;
const ZERO = /^[\p{Mn}\p{Me}\p{Cf}]$/u;

/** Without what a terminal obeys: text of others must not move the cursor, set a title or turn the line around. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/(?!\n)[\p{Cc}\u202A-\u202E\u2066-\u2069]/gu, "\uFFFD");
}

/** The same on one line. */
export function plain(text: string): string {
  return printable(text.replaceAll(/\s+/g, " "));
}

/** Columns that the text takes on a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += widthOfCharacter(character);
  return width;
}

function widthOfCharacter(character: string): number {
  if (ZERO.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** As much of the beginning as fits, with a mark where something is missing. */
export function clipEnd(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  return width < 1 ? "" : head(text, width - 1) + ELLIPSIS;
}

/** Beginning and end: what tells ids and accounts apart is often at their end. */
export function clipMiddle(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width < 3) return clipEnd(text, width);
  const tail = Math.floor((width - 1) / 2);
  const reversed = Array.from(text).toReversed().join("");
  return head(text, width - 1 - tail) + ELLIPSIS + Array.from(head(reversed, tail)).toReversed().join("");
}

function head(text: string, width: number): string {
  let taken = "";
  let left = width;
  for (const character of text) {
    left -= widthOfCharacter(character);
    if (left < 0) break;
    taken += character;
  }
  return taken;
}

/** 8 s, 12 min, 5 h, 3 d: one unit, rounded down. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** How long ago; `-` for never. */
export function age(at: string | null, nowMs: number): string {
  return at === null ? "-" : duration(nowMs - Date.parse(at));
}

/** A number with its digits in threes. */
export function grouped(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  return value < 1024 * 1024 ? `${(value / 1024).toFixed(1)} KB` : `${(value / 1024 / 1024).toFixed(1)} MB`;
}

/** `1 letter`, `2 letters`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** An argument as a shell reads it back. */
export function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
