/** Ctrl-C and its relatives, as something that work can listen to. */
export interface Interruption {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** What a shell expects of a program that the signal ended; null before. */
  exitCode(): number | null;
}

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** From now on the first signal only aborts; a second one exits at once. Call it once. */
export function interruption(): Interruption {
  const controller = new AbortController();
  let exitCode: number | null = null;
  for (const name of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (exitCode !== null) process.exit(exitCode);
      exitCode = SIGNALS[name];
      controller.abort(new Error(`ended by ${name}`));
    });
  }
  return { signal: controller.signal, exitCode: () => exitCode };
}
