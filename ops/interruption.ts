/** Ctrl-C and its relatives, as something that work can listen to. */
export interface Interruption {
  /** Aborted by the first signal, or by the end of the npm that runs this program. */
  readonly signal: AbortSignal;
  /** What a shell expects of a program that the signal ended; null before. */
  exitCode(): number | null;
}

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const PARENT_EVERY_MS = 200;

/** From now on the first signal only aborts; a second one exits at once. Call it once. */
export function interruption(): Interruption {
  const controller = new AbortController();
  let exitCode: number | null = null;
  const end = (name: keyof typeof SIGNALS): void => {
    exitCode = SIGNALS[name];
    controller.abort(new Error(`ended by ${name}`));
  };
  for (const name of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (exitCode !== null) process.exit(exitCode);
      end(name);
    });
  }
  if (process.env["npm_lifecycle_event"] !== undefined) {
    // npm passes SIGTERM to a shell between it and this program, and that shell just ends.
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid !== parent && exitCode === null) end("SIGTERM");
    }, PARENT_EVERY_MS);
    watch.unref();
  }
  return { signal: controller.signal, exitCode: () => exitCode };
}
