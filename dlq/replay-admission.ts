import { z } from "zod";
import { decodePayload } from "../domain/directive.ts";
import type { Admission } from "../domain/lane.ts";
import type { ReplayLetter, StoredBody } from "./replay-page-store.ts";

const expirySchema = z.object({ expiresAt: z.iso.datetime().optional() });

/** An introduction as its lane takes it: id, digest and payload as they came. Null where the payload cannot be read. */
export function readAdmission(
  { directiveId: id, digest }: ReplayLetter,
  stored: StoredBody | undefined,
): Admission | null {
  if (stored?.format !== "json" || !decodePayload(stored.body).ok) return null;
  const { expiresAt } = expirySchema.parse(JSON.parse(stored.body));
  return {
    id,
    digest,
    payload: stored.body,
    expiresAtMs: expiresAt === undefined ? null : Date.parse(expiresAt),
  };
}
