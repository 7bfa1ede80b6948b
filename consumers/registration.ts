import { within } from "../domain/within.ts";

/** The ledger answers in far less, or is away. */
const MAX_REGISTRATION_MS = 2000;

/**
 * The entry of a lane or an inbox in its list. Nobody who works waits for it longer: the next work on the same lane or
 * inbox tries again. Never throws.
 */
export async function registration(entry: Promise<void>, failed: (error: unknown) => void): Promise<void> {
  try {
    await within(MAX_REGISTRATION_MS, entry);
  } catch (error) {
    failed(error);
  }
}
