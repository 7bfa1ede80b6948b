import type { Guarantee, Table } from "./findings.ts";
import { bold, dim, green, red } from "./terminal.ts";

const WIDTHS = { label: 25, number: 8, expected: 26 } as const;

/** The tables and the guarantees, at most 80 columns wide. */
export function reportText(tables: readonly Table[], guarantees: readonly Guarantee[]): string {
  const rule = dim(`  ${"─".repeat(76)}`);
  const texts = tables.flatMap(({ columns: [first, second, third, last], rows }) => [
    `    ${bold(line("", [first, second, third], last))}`,
    rule,
    ...rows.map(({ label, numbers, expected, ok }) => marked(ok, line(label, numbers.map(cell), expected))),
    "",
  ]);
  const held = guarantees.map(({ name, found, ok }) => marked(ok, `${name.padEnd(17)}${found}`));
  const off = [...tables.flatMap(({ rows }) => rows), ...guarantees].filter(({ ok }) => !ok).length;
  const end = off === 0 ? green("Every number is as it must be.") : red(`${off} lines are off.`);
  return ["", ...texts, rule, ...held, "", `  ${end}`, ""].join("\n");
}

function line(label: string, numbers: readonly string[], expected: string): string {
  const padded = numbers.map((text) => text.padStart(WIDTHS.number)).join("");
  return `${label.padEnd(WIDTHS.label)}${padded}   ${expected.padEnd(WIDTHS.expected)}`.trimEnd();
}

function cell(count: number | null): string {
  return count === null ? "·" : String(count);
}

function marked(ok: boolean, text: string): string {
  return `  ${ok ? green("✓") : red("✗")} ${ok ? text : red(text)}`;
}
