// In:  a letter of a directive that is dead or reverted, and that somebody must refund by hand.
// Out: a `directive.failed` event for the destination of `operations.notify`.
// On failure: throws what the inbox throws; the same call again makes no second event.
import { z } from "zod";
import type { LetterTransaction } from "../domain/dead-letter.ts";
import { notify, type NotifyEnv } from "./notify.ts";

/** What a letter knows of its directive. */
export interface FailedDirective {
  /** Of the letter, so that the fact is told once for each time that the directive died: see `letterId`. */
  readonly letterId: string;
  readonly account: string;
  readonly id: string;
  readonly status: "dead" | "reverted";
  readonly code: string;
  readonly message: string;
  readonly sequence: number | null;
  readonly transactions: readonly LetterTransaction[];
  /** As `encodePayload` writes it. */
  readonly payload: string;
  readonly atMs: number;
}

/** Tells it: durable when this resolves. Nothing is refunded by it: it says that somebody has to look. */
export async function tellDirectiveFailed(env: NotifyEnv, directive: FailedDirective): Promise<void> {
  const { letterId, account, id, status, code, message, sequence, transactions, payload, atMs } = directive;
  const metadata = metadataOf(payload);
  await notify(env, {
    type: "directive.failed",
    id: `directive-failed:${letterId}`,
    key: account,
    data: { account, id, status, code, message, sequence, transactions, metadata },
    atMs,
  });
}

/** Whether the directive's metadata asks for a refund by hand, from its stored payload. */
export function refundOf(payload: string): "manual" | null {
  return metadataOf(payload)?.["refund"] === "manual" ? "manual" : null;
}

const payloadSchema = z.object({ metadata: z.record(z.string(), z.unknown()) });

/** Null where there is none, and where the payload was not written by `encodePayload`. */
function metadataOf(payload: string): Readonly<Record<string, unknown>> | null {
  let json: unknown;
  try {
    json = JSON.parse(payload);
  } catch {
    return null;
  }
  const parsed = payloadSchema.safeParse(json);
  return parsed.success ? parsed.data.metadata : null;
}
