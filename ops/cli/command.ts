import { InvalidArgumentError, Option, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Client } from "../client.ts";
import type { Output } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** What a command has when it runs: the flags before and after it are read by then. */
export interface Cli {
  readonly terminal: Terminal;
  output(): Output;
  /** Throws `CliFailure` when the settings are wrong. */
  client(): Client;
}

/** Adds a group of commands to the program. */
export type AddCommands = (parent: CommandUnknownOpts, cli: Cli) => void;

/** The end of a command's help. Every command has one. */
export function examples(command: CommandUnknownOpts, ...lines: readonly string[]): void {
  command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}`);
}

export function reasonOption() {
  return new Option("--reason <text>", "why; the audit log keeps it with your name").makeOptionMandatory();
}

/** A whole number of at least `least`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`must be a whole number, ${range}.`);
  };
}

/** A number above 0. */
export function positiveNumber(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0) return value;
  throw new InvalidArgumentError("must be a number above 0.");
}

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** ISO 8601 with a zone, or so long ago: `30m`, `24h`, `7d`. Answers ISO 8601. */
export function timeBefore(now: () => number): (text: string) => string {
  return (text) => {
    const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
    if (unit === "s" || unit === "m" || unit === "h" || unit === "d") {
      return new Date(now() - Number(amount) * UNITS_MS[unit]).toISOString();
    }
    if (/^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/.test(text) && !Number.isNaN(Date.parse(text))) {
      return text;
    }
    throw new InvalidArgumentError(
      "must be a time such as 2030-01-31T12:00:00Z, or so long ago: 30m, 24h, 7d.",
    );
  };
}

/** For a flag that may be given several times. */
export function several(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

export interface PageFlags {
  readonly all?: true | undefined;
}

/**
 * Reads one page, or with `--all` every page. `next` says what follows the last page that was read.
 */
export async function readPages<Page, Item>(
  flags: PageFlags,
  first: string | null,
  read: (cursor: string | null) => Promise<Page>,
  parts: (page: Page) => { readonly items: readonly Item[]; readonly next: string | null },
): Promise<{ readonly items: readonly Item[]; readonly next: string | null }> {
  const items: Item[] = [];
  let cursor = first;
  do {
    const { items: more, next } = parts(await read(cursor));
    items.push(...more);
    cursor = next;
  } while (flags.all === true && cursor !== null);
  return { items, next: cursor };
}
