const FIRST_MS = 30_000;
const MAX_MS = 600_000;

/**
 * So long until a letter that the ledger has not acknowledged is sent again: about as long as it has been owed, so that
 * a ledger that is away for hours does not find thousands of copies of each. Milliseconds.
 */
export function letterAgainMs(owedForMs: number): number {
  return Math.min(MAX_MS, Math.max(FIRST_MS, owedForMs));
}
