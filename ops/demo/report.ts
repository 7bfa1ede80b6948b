import { bold, dim, green, red } from "./terminal.ts";
import type { Guarantee, Row } from "./verdict.ts";

const WIDTHS = { label: 24, number: 7, expected: 26 } as const;

/** The table and the guarantees, at most 80 columns wide. */
export function reportText(rows: readonly Row[], guarantees: readonly Guarantee[]): string {
  const head = line("", "sent", "landed", "dead", "expected");
  const rule = dim(`  ${"─".repeat(76)}`);
  const table = rows.map(({ label, sent, landed, dead, expected, ok }) =>
    marked(ok, line(label, String(sent), cell(landed), cell(dead), expected)),
  );
  const held = guarantees.map(({ name, found, ok }) => marked(ok, `${name.padEnd(18)}${found}`));
  const off = [...rows, ...guarantees].filter(({ ok }) => !ok).length;
  const end = off === 0 ? green("Every number is as it must be.") : red(`${off} lines are off.`);
  return ["", `    ${bold(head)}`, rule, ...table, rule, ...held, "", `  ${end}`, ""].join("\n");
}

function line(label: string, sent: string, landed: string, dead: string, expected: string): string {
  const numbers = [sent, landed, dead].map((text) => text.padStart(WIDTHS.number)).join("");
  return `${label.padEnd(WIDTHS.label)}${numbers}    ${expected.padEnd(WIDTHS.expected)}`.trimEnd();
}

function cell(count: number | null): string {
  return count === null ? "·" : String(count);
}

function marked(ok: boolean, text: string): string {
  return `  ${ok ? green("✓") : red("✗")} ${ok ? text : red(text)}`;
}
