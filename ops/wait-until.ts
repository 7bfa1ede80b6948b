/** `within`: milliseconds. `failed` says why waiting on is useless, or null. `tail` is added to the error of a missed deadline. */
export interface WaitOptions {
  readonly what: string;
  readonly withinMs: number;
  readonly everyMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly failed?: () => string | null;
  readonly tail?: () => string;
}

/**
 * Asks until `probe` answers something other than undefined, and resolves with it.
 * Throws when the deadline passes, when `failed` says so, or with the signal's reason. What `probe` throws passes through.
 */
export async function waitUntil<Found>(
  probe: () => Promise<Found | undefined> | Found | undefined,
  options: WaitOptions,
): Promise<Found> {
  const { what, withinMs, everyMs = 50, signal, failed, tail } = options;
  const deadline = Date.now() + withinMs;
  for (;;) {
    signal?.throwIfAborted();
    const found = await probe();
    if (found !== undefined) return found;
    const reason = failed?.() ?? null;
    if (reason !== null) throw new Error(reason);
    if (Date.now() >= deadline) {
      throw new Error(`${what}: not within ${withinMs / 1000} s${tail?.() ?? ""}`);
    }
    await pause(everyMs);
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
