import type { Problem } from "../../domain/api.ts";
import { unreachable } from "../../domain/result.ts";
import type { LetterState } from "../../domain/dead-letter.ts";
import type { Ending } from "./exit.ts";
import { facts, table, type Cell, type Column } from "./table.ts";
import type { Sink, Terminal } from "./terminal.ts";
import { plain } from "./text.ts";

export type Paint = (text: string) => string;

export interface Palette {
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly dim: Paint;
  readonly bold: Paint;
}

const COLUMNS = 80;

/** Where a command says what it found. Either JSON or text goes to standard output, never both. */
export interface Output {
  readonly json: boolean;
  /** Null with `--wide`: no limit. */
  readonly width: number | null;
  readonly paint: Palette;
  /** `value` is printed as one line of JSON with `--json`, else `text` is. */
  answer(value: unknown, text: () => string): void;
  /** For people, on standard error; nothing with `--json`. */
  note(text: string): void;
  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): string;
  facts(pairs: readonly (readonly [string, Cell])[]): string;
  heading(text: string): string;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly wide: boolean;
}

export function createOutput({ stdout, stderr, env }: Terminal, { json, wide }: OutputOptions): Output {
  const paint = paletteFor(stdout, env);
  const width = wide ? null : widthFor(stdout);
  return {
    json,
    width,
    paint,
    answer(value, text) {
      stdout.write(`${json ? JSON.stringify(value) : text()}\n`);
    },
    note(text) {
      if (!json) stderr.write(`${text}\n`);
    },
    table: (columns, rows) => table(columns, rows, width, paint.dim),
    facts: (pairs) => facts(pairs, width),
    heading: (text) => paint.bold(text),
  };
}

export function widthFor(sink: Sink): number {
  return sink.isTTY ? Math.max(40, sink.columns || COLUMNS) : COLUMNS;
}

/** Colours only where a person sees them. Source: no-color.org. */
export function paletteFor(sink: Sink, env: Terminal["env"]): Palette {
  const coloured = sink.isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  const with_ =
    (code: number): Paint =>
    (text) =>
      coloured ? `\u001B[${code}m${text}\u001B[0m` : text;
  return { red: with_(31), green: with_(32), yellow: with_(33), dim: with_(2), bold: with_(1) };
}

/** Why a command ended, on standard error: as text, or as one line of JSON. */
export function writeEnding(terminal: Terminal, json: boolean, { message, problem, exitCode }: Ending): void {
  const { stderr, env } = terminal;
  if (json) {
    const error = { message, exitCode, ...(problem === null ? {} : { problem }) };
    stderr.write(`${JSON.stringify({ error })}\n`);
    return;
  }
  const { red } = paletteFor(stderr, env);
  const title = problem === null ? "" : ` ${problem.status} ${plain(problem.title)}:`;
  stderr.write(`${red("error:")}${title} ${plain(message)}\n`);
  for (const line of fieldLines(problem)) stderr.write(`${line}\n`);
}

function fieldLines(problem: Problem | null): readonly string[] {
  return (problem?.errors ?? []).map(({ field, message }) =>
    field === "" ? `  ${plain(message)}` : `  ${plain(field)}: ${plain(message)}`,
  );
}

/** A letter's state in its colour. */
export function stateCell(state: LetterState, paint: Palette): Cell {
  switch (state) {
    case "open":
      return { text: state, paint: paint.red };
    case "replaying":
      return { text: state, paint: paint.yellow };
    case "resolved":
      return { text: state, paint: paint.green };
    case "discarded":
      return { text: state, paint: paint.dim };
    default:
      return unreachable(state);
  }
}

/** Any status in the colour of what it means for an operator. */
export function statusCell(status: string, paint: Palette): Cell {
  if (GOOD.has(status)) return { text: status, paint: paint.green };
  return BAD.has(status) ? { text: status, paint: paint.red } : { text: status, paint: paint.yellow };
}

const GOOD = new Set(["live", "confirmed", "settled", "done", "included"]);
const BAD = new Set([
  "paused",
  "degraded",
  "dead",
  "review",
  "reverted",
  "conflict",
  "unavailable",
  "cancelled",
  "failed",
]);
