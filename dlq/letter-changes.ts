// In:  what is to become of letters: an operator's word, a replay's, or a lane's.
// Out: letters in their next state, each with an entry of its history, all in one transaction.
// On failure: throws what D1 throws, and nothing has changed; the same again is harmless.
import { z } from "zod";
import type { LetterResolution, LetterSummary } from "../domain/dead-letter.ts";
import { chunks } from "./chunks.ts";
import type { LedgerDatabase } from "./ledger.ts";
import type { LetterFields } from "./letter-decision.ts";

/** Ended letters change no more: only these states are ever left. */
export type UnendedState = "open" | "replaying";

/**
 * What is to become of one letter. Compare-and-set: it is changed only while it is in one of `from` and `expected`
 * holds, so that of two changes that exclude one another one happens, and the same change again does nothing.
 */
export type LetterChange = LetterAim & {
  readonly id: string;
  readonly from: readonly UnendedState[];
  /** What the letter must say, beside its state. */
  readonly expected?: Pick<LetterSummary, "directiveStatus">;
  /** No edit may have claimed the letter after this time. */
  readonly unclaimedSinceMs?: number;
  /** The edit whose claim on the letter must stand; with a time, as it was claimed then. */
  readonly heldBy?: { readonly newId: string; readonly newDigest: string; readonly atMs?: number };
  readonly fields?: LetterFields;
  /** `lockstep`, or the name of the operator's token. */
  readonly actor: string;
  readonly action: string;
  readonly reason: string;
  readonly atMs: number;
};

type LetterAim =
  | {
      readonly to: "resolved";
      readonly resolution: Exclude<LetterResolution, "discarded">;
      readonly replayId?: string;
    }
  | { readonly to: "discarded"; readonly resolution: "discarded"; readonly replayId?: undefined }
  /** Null: held by an edit. */
  | { readonly to: "replaying"; readonly replayId: string | null; readonly resolution?: undefined }
  /** Back from a replay, or open as before with an entry in its history. */
  | { readonly to: "open"; readonly replayId?: undefined; readonly resolution?: undefined };

/** So many in one statement: a bound text holds 2 MB. */
const CHANGES_AT_ONCE = 50;

/** A condition on `letters`, for the change `c`. */
const AS_EXPECTED = `state IN (SELECT f.value FROM json_each(c.value, '$.from') f)
  AND (c.value->'expected' IS NULL OR directive_status IS (c.value->'expected'->>'directiveStatus'))
  AND (c.value->'unclaimedSinceMs' IS NULL
    OR NOT EXISTS (SELECT 1 FROM edits e WHERE e.letter_id = letters.id AND e.at > c.value->>'unclaimedSinceMs'))
  AND (c.value->'heldBy' IS NULL
    OR EXISTS (SELECT 1 FROM edits e WHERE e.letter_id = letters.id AND e.new_id = c.value->'heldBy'->>'newId'
      AND e.new_digest = c.value->'heldBy'->>'newDigest' AND e.at = COALESCE(c.value->'heldBy'->>'atMs', e.at)))`;

/** A field that the change does not name keeps its value; one that it names may become NULL. */
function changed(column: string, field: string): string {
  return `${column} = CASE WHEN json_type(c.value, '$.fields.${field}') IS NULL THEN ${column} ELSE c.value->'fields'->>'${field}' END`;
}

/** A letter's history is numbered from 1 without gaps: the entry and the change are in one transaction. */
const WRITE_HISTORY = `INSERT INTO letter_history (letter_id, number, at, actor, action, reason)
  SELECT letters.id, (SELECT COALESCE(MAX(h.number), 0) + 1 FROM letter_history h WHERE h.letter_id = letters.id),
    c.value->>'atMs', c.value->>'actor', c.value->>'action', c.value->>'reason'
  FROM json_each(?1) c CROSS JOIN letters ON letters.id = c.value->>'id' WHERE ${AS_EXPECTED}
  RETURNING letter_id`;

const CHANGE = `UPDATE letters SET state = c.value->>'to', resolution = c.value->>'resolution',
    replay_id = COALESCE(c.value->>'replayId', replay_id), updated_at = MAX(updated_at, c.value->>'atMs'),
    ${changed("directive_status", "directiveStatus")},
    ${changed("code", "code")},
    ${changed("message", "message")},
    ${changed("sequence", "sequence")},
    ${changed("transactions", "transactions")},
    ${changed("attempts", "attempts")},
    ${changed("last_failure_at", "lastFailureAtMs")},
    ${changed("next", "next")}
  FROM json_each(?1) c WHERE letters.id = c.value->>'id' AND ${AS_EXPECTED}`;

const movedRow = z.object({ letter_id: z.string() });

/** All of it or nothing; ids are distinct. Answers the ids of those that were changed. */
export async function moveLetters(
  db: LedgerDatabase,
  changes: readonly LetterChange[],
): Promise<ReadonlySet<string>> {
  if (changes.length === 0) return new Set();
  const written = await db.batch(changeStatements(db, changes));
  // Every other statement writes the history, and says of whom.
  const entries = written.filter((_, index) => index % 2 === 0).flatMap(({ results }) => results);
  return new Set(entries.map((row) => movedRow.parse(row).letter_id));
}

/** The same as part of another transaction. */
export function changeStatements(
  db: LedgerDatabase,
  changes: readonly LetterChange[],
): D1PreparedStatement[] {
  return chunks(changes, CHANGES_AT_ONCE).flatMap((chunk) => {
    const json = JSON.stringify(chunk);
    return [db.prepare(WRITE_HISTORY).bind(json), db.prepare(CHANGE).bind(json)];
  });
}
