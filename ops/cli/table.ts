import type { Paint } from "./output.ts";
import { clipEnd, clipMiddle, plain, widthOf } from "./text.ts";

export interface Column {
  readonly header: string;
  readonly align?: "right";
  /**
   * How a cell gives way when the table is too wide; columns without it never do. `below` is for the last column, of what
   * people say: where it has no room beside the others, it goes on below them.
   */
  readonly clip?: "middle" | "end" | "below";
}

/** What a cell says, and how it is painted. */
export type Cell = string | number | null | { readonly text: string; readonly paint: Paint };

const GAP = "  ";
/** A column that gives way keeps so much. */
const LEAST = 5;
const INDENT = "  ";
/** So many lines below a row; the rest is cut. */
const MOST_BELOW = 3;

/** Lines of at most `width` columns; null for no limit. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number | null,
  paintHeader: Paint,
): string {
  const texts = rows.map((row) => columns.map((_, index) => plain(textOf(row[index]))));
  const widths = columns.map(({ header }, index) =>
    Math.max(widthOf(header), ...texts.map((row) => widthOf(row[index] ?? ""))),
  );
  const last = columns.length - 1;
  if (width !== null) fit(columns, widths, width - GAP.length * last);
  const line = (cells: readonly string[], paintOf: (index: number) => Paint | null): string => {
    const painted = columns.map((column, index) => {
      const space = widths[index] ?? 0;
      const clip = column.clip === "middle" ? clipMiddle : clipEnd;
      const text = clip(cells[index] ?? "", space);
      const padding = " ".repeat(space - widthOf(text));
      const shown = paintOf(index)?.(text) ?? text;
      if (column.align === "right") return padding + shown;
      return index === columns.length - 1 ? shown : shown + padding;
    });
    return painted.join(GAP).trimEnd();
  };
  const linesOf = (row: readonly string[], cells: readonly Cell[] = []): readonly string[] => {
    const paintOf = (index: number): Paint | null => paintIn(cells[index]);
    const text = row[last] ?? "";
    if (width === null || columns[last]?.clip !== "below" || widthOf(text) <= (widths[last] ?? 0))
      return [line(row, paintOf)];
    const beside = line(row.with(last, ""), paintOf);
    if (cells[last] === null) return [beside];
    const space = width - INDENT.length;
    const below = wrapped(text, space);
    const kept = below.slice(0, MOST_BELOW - 1);
    const rest = below.length < MOST_BELOW ? [] : [clipEnd(below.slice(kept.length).join(" "), space)];
    return [beside, ...[...kept, ...rest].map((part) => INDENT + (paintOf(last)?.(part) ?? part))];
  };
  return [
    line(
      columns.map(({ header }) => header),
      () => paintHeader,
    ),
    ...texts.flatMap((row, index) => linesOf(row, rows[index])),
  ].join("\n");
}

/** Makes the columns fit. One whose cells may go below gets what the others leave, or nothing when not even its header fits. */
function fit(columns: readonly Column[], widths: number[], width: number): void {
  const last = columns.length - 1;
  const column = columns[last];
  if (column?.clip !== "below") return narrow(columns, widths, width);
  const beside = widths.slice(0, last);
  narrow(columns, beside, width);
  const room = width - beside.reduce((sum, one) => sum + one, 0);
  const least = widthOf(column.header);
  widths.splice(0, widths.length, ...beside, room < least ? 0 : Math.min(room, widths[last] ?? 0));
}

/** Takes from the widest column that gives way, until all fit; then from any. */
function narrow(columns: readonly Column[], widths: number[], width: number): void {
  const widest = (among: (index: number) => boolean): number | undefined => {
    let found: number | undefined;
    for (const [index, columnWidth] of widths.entries()) {
      if (among(index) && columnWidth > LEAST && columnWidth > (widths[found ?? -1] ?? 0)) found = index;
    }
    return found;
  };
  let excess = widths.reduce((sum, one) => sum + one, 0) - width;
  while (excess > 0) {
    const index = widest((column) => columns[column]?.clip !== undefined) ?? widest(() => true);
    if (index === undefined) return;
    widths[index] = (widths[index] ?? 0) - 1;
    excess -= 1;
  }
}

/** `name  value` lines; a value that is too long goes on below itself. */
export function facts(pairs: readonly (readonly [string, Cell])[], width: number | null): string {
  const given = pairs.filter(([, value]) => value !== null);
  const left = Math.max(...given.map(([name]) => widthOf(name)));
  const lines = given.flatMap(([name, value]) => {
    const paint = paintIn(value);
    const space = width === null ? null : width - left - GAP.length;
    return wrapped(plain(textOf(value)), space).map((text, index) => {
      const label = (index === 0 ? name : "").padEnd(left);
      return `${label}${GAP}${paint?.(text) ?? text}`.trimEnd();
    });
  });
  return lines.join("\n");
}

/** Breaks at spaces, and within a word that is longer than a line. */
export function wrapped(text: string, width: number | null): readonly string[] {
  if (width === null || widthOf(text) <= width) return [text];
  const lines: string[] = [];
  let line = "";
  let used = 0;
  for (const word of text.split(" ")) {
    const space = used === 0 ? 0 : 1;
    if (used + space + widthOf(word) <= width) {
      line += (space === 1 ? " " : "") + word;
      used += space + widthOf(word);
      continue;
    }
    if (used > 0) lines.push(line);
    line = "";
    used = 0;
    for (const character of word) {
      if (used + widthOf(character) > width) {
        lines.push(line);
        line = "";
        used = 0;
      }
      line += character;
      used += widthOf(character);
    }
  }
  return [...lines, line];
}

function textOf(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return "-";
  return typeof cell === "object" ? cell.text : String(cell);
}

function paintIn(cell: Cell | undefined): Paint | null {
  return typeof cell === "object" && cell !== null ? cell.paint : null;
}
