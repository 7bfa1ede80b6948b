/** One line of JSON in the Worker's log. `at` says where in the code; fields hold no header, token, key or body. */
export function logLine(
  level: "warn" | "error",
  at: string,
  fields: Readonly<Record<string, string | number>>,
): void {
  console[level](JSON.stringify({ at, ...fields }));
}

/**
 * What was thrown, fit for the log: name, place, and the message without what stands in quotes, since engines quote
 * their input there.
 */
export function describeThrown(thrown: unknown): Readonly<Record<string, string>> {
  if (!(thrown instanceof Error)) return { error: `a ${typeof thrown} was thrown` };
  const message = thrown.message.replaceAll(/"[^"]*"?|'[^']*'?|`[^`]*`?/g, "…").slice(0, 200);
  const frames = thrown.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  return {
    error: `${thrown.name}: ${message}`,
    stack: frames
      .slice(0, 5)
      .map((frame) => frame.trim())
      .join(" < "),
  };
}
