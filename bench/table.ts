/** One measurement. Numbers come as they are, texts are shown as they are. */
export interface Line {
  readonly part: "a" | "b" | "c" | "d" | "e" | "f" | "g";
  readonly what: string;
  readonly value: number | string;
  readonly unit: string;
  /** What it is compared with, in the same run. */
  readonly against?: string;
  readonly ratio?: number;
  readonly target?: { readonly text: string; readonly met: boolean };
}

/** The lines as a Markdown table. */
export function table(lines: readonly Line[]): string {
  const rows = lines.map(({ part, what, value, unit, against, ratio, target }) => [
    part,
    what,
    `${shown(value)} ${unit}`.trim(),
    against ?? "",
    ratio === undefined ? "" : `${shown(ratio)} ×`,
    target?.text ?? "",
    target === undefined ? "" : target.met ? "pass" : "FAIL",
  ]);
  const head = ["", "measured", "result", "against", "ratio", "target", ""];
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...rows].map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** At most three digits that matter. */
export function shown(value: number | string): string {
  if (typeof value === "string") return value;
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** The value below which the share lies, of ascending values. */
export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(
    values.toSorted((left, right) => left - right),
    0.5,
  );
}
