/**
 * The text exposition format, version 0.0.4, of which Lockstep needs two kinds of lines and two kinds of escapes. There is
 * no library for it here: prom-client reads the process that it runs in (`process`, `perf_hooks`, `cluster`), and all keep
 * registries that are incremented in memory, while a Worker's isolates come and go and every number here is read
 * from where it is stored. The tests read the text with an independent parser.
 */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export interface Metric {
  readonly name: string;
  /** The name of a counter ends in `_total`. */
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** No two samples of a metric have the same. */
  readonly labels: Readonly<Record<string, string>>;
  /** A sample that is no finite number is left out: it says nothing that its absence does not. */
  readonly value: number;
}

export function exposition(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, type, help, samples }) => {
      const lines = samples
        .filter(({ value }) => Number.isFinite(value))
        .map(({ labels, value }) => `${name}${labelled(labels)} ${value}\n`);
      return `# HELP ${name} ${escapedHelp(help)}\n# TYPE ${name} ${type}\n${lines.join("")}`;
    })
    .join("");
}

function labelled(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapedValue(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapedHelp(text: string): string {
  return text.toWellFormed().replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapedValue(text: string): string {
  return escapedHelp(text).replaceAll('"', '\\"');
}

/** The samples of a metric without labels: none while its number is not known. */
export function single(value: number | null): readonly Sample[] {
  return value === null ? [] : [{ labels: {}, value }];
}

/** One number for each name, in the order of the names. */
export function summed(
  entries: readonly (readonly [string, number])[],
): readonly (readonly [string, number])[] {
  const sums = new Map<string, number>();
  for (const [name, value] of entries) sums.set(name, (sums.get(name) ?? 0) + value);
  return [...sums].toSorted(([left], [right]) => (left < right ? -1 : 1));
}
