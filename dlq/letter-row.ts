import { z } from "zod";
import {
  BODY_FORMATS,
  LETTER_KINDS,
  LETTER_RESOLUTIONS,
  LETTER_STATES,
  type LetterSummary,
} from "../domain/dead-letter.ts";

/** All of `letters` but the body, which may be 128 KB. */
export const SUMMARY_COLUMNS = `seq, id, kind, state, lane, directive_id, digest, generation, source_queue, code, message,
  first_failure_code, first_failure_at, last_failure_at, attempts, directive_status, sequence, transactions, opened_at, updated_at,
  refund, resolution, previous, next, replaced_by, replaces, replay_id`;

/** A row of `letters` but its body. */
export const summaryRow = z.object({
  seq: z.number(),
  id: z.string(),
  kind: z.enum(LETTER_KINDS),
  state: z.enum(LETTER_STATES),
  lane: z.string(),
  directive_id: z.string(),
  digest: z.string(),
  generation: z.number(),
  source_queue: z.string(),
  code: z.string(),
  message: z.string(),
  first_failure_code: z.string(),
  first_failure_at: z.number(),
  last_failure_at: z.number(),
  attempts: z.number(),
  directive_status: z.enum(["dead", "review", "reverted"]).nullable(),
  sequence: z.number().nullable(),
  transactions: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(z.array(z.object({ hash: z.string(), sequence: z.number(), status: z.string() }))),
  opened_at: z.number(),
  updated_at: z.number(),
  refund: z.enum(["manual"]).nullable(),
  resolution: z.enum(LETTER_RESOLUTIONS).nullable(),
  previous: z.string().nullable(),
  next: z.string().nullable(),
  replaced_by: z.string().nullable(),
  replaces: z.string().nullable(),
  replay_id: z.string().nullable(),
});
export const letterRow = summaryRow.extend({ body_format: z.enum(BODY_FORMATS), body: z.string() });
export const historyRow = z.object({
  at: z.number(),
  actor: z.string(),
  action: z.string(),
  reason: z.string(),
});
export const countRow = z.object({ state: z.enum(LETTER_STATES), code: z.string(), letters: z.number() });
export const laneRow = z.object({ lane: z.string(), letters: z.number() });
export const oldestRow = z.object({ at: z.number().nullable() });

export function toSummary(row: z.infer<typeof summaryRow>): LetterSummary {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    lane: row.lane === "" ? null : row.lane,
    directiveId: row.directive_id,
    digest: row.digest,
    generation: row.generation,
    sourceQueue: row.source_queue,
    code: row.code,
    message: row.message,
    firstFailureCode: row.first_failure_code,
    firstFailureAtMs: row.first_failure_at,
    lastFailureAtMs: row.last_failure_at,
    attempts: row.attempts,
    directiveStatus: row.directive_status,
    sequence: row.sequence,
    transactions: row.transactions,
    openedAtMs: row.opened_at,
    updatedAtMs: row.updated_at,
    refund: row.refund,
    resolution: row.resolution,
    previous: row.previous,
    next: row.next,
    replacedBy: row.replaced_by,
    replaces: row.replaces,
    replayId: row.replay_id,
  };
}
