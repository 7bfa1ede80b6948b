/** One line of JSON in the Worker's log. Fields hold no header, token, key or body. */
export function logLine(
  level: "warn" | "error",
  event: string,
  fields: Readonly<Record<string, string | number>>,
): void {
  console[level](JSON.stringify({ level, event, ...fields }));
}

/**
 * What was thrown, fit for the log: its name, where it was thrown, and its message without what stands in quotes,
 * since engines quote their input there.
 */
export function describeThrown(thrown: unknown): Readonly<Record<string, string>> {
  if (!(thrown instanceof Error)) return { error: typeof thrown };
  const message = thrown.message.replaceAll(/"[^"]*"?|'[^']*'?|`[^`]*`?/g, "…").slice(0, 200);
  const frames = thrown.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  return {
    error: thrown.name,
    message,
    at: frames
      .slice(0, 5)
      .map((frame) => frame.trim())
      .join(" < "),
  };
}
