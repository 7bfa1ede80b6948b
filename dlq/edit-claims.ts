import { z } from "zod";
import type { LedgerDatabase } from "./ledger.ts";
import { changeStatements, type LetterChange } from "./letter-changes.ts";

/** No request takes so long: what claimed a letter earlier, and is not in the lane, was cut off. */
export const ABANDONED_AFTER_MS = 60_000;

/** Which directive is taking the place of a letter's: there is one at most, so that of two edits one happens. */
export interface EditClaim {
  readonly newId: string;
  readonly newDigest: string;
  readonly atMs: number;
}

export interface NewClaim extends EditClaim {
  readonly letterId: string;
  readonly lane: string;
  readonly oldId: string;
  readonly actor: string;
}

const claimRow = z
  .object({ new_id: z.string(), new_digest: z.string(), at: z.number() })
  .transform(({ new_id, new_digest, at }): EditClaim => ({ newId: new_id, newDigest: new_digest, atMs: at }));

export async function claimOf(db: LedgerDatabase, letterId: string): Promise<EditClaim | null> {
  const { results } = await db
    .prepare("SELECT new_id, new_digest, at FROM edits WHERE letter_id = ?")
    .bind(letterId)
    .all();
  return results[0] === undefined ? null : claimRow.parse(results[0]);
}

/**
 * Claims an open letter, unless it is claimed. `hold`: in the same transaction it leaves `open`, so that no replay takes
 * it meanwhile. Answers the claim that stands; null when the letter is not open and nobody has a claim.
 */
export async function claimEdit(
  db: LedgerDatabase,
  { letterId, lane, oldId, newId, newDigest, actor, atMs }: NewClaim,
  hold: LetterChange | null,
): Promise<EditClaim | null> {
  await db.batch([
    db
      .prepare(
        `INSERT INTO edits (letter_id, lane, old_id, new_id, new_digest, actor, at)
         SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM letters WHERE id = ?1 AND state = 'open'
         ON CONFLICT (letter_id) DO NOTHING`,
      )
      .bind(letterId, lane, oldId, newId, newDigest, actor, atMs),
    ...(hold === null ? [] : changeStatements(db, [hold])),
  ]);
  return claimOf(db, letterId);
}

/** Puts one claim in the place of another, if that still stands. */
export async function overtakeClaim(
  db: LedgerDatabase,
  { letterId, newId, newDigest, actor, atMs }: NewClaim,
  before: EditClaim,
): Promise<EditClaim | null> {
  await db
    .prepare(
      `UPDATE edits SET new_id = ?2, new_digest = ?3, actor = ?4, at = ?5
       WHERE letter_id = ?1 AND new_id = ?6 AND new_digest = ?7 AND at = ?8`,
    )
    .bind(letterId, newId, newDigest, actor, atMs, before.newId, before.newDigest, before.atMs)
    .run();
  return claimOf(db, letterId);
}

/** The lane has decided for this edit, whoever claims the letter. */
export async function confirmClaim(db: LedgerDatabase, claim: NewClaim): Promise<void> {
  const { letterId, lane, oldId, newId, newDigest, actor, atMs } = claim;
  await db
    .prepare(
      `INSERT INTO edits (letter_id, lane, old_id, new_id, new_digest, actor, at) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (letter_id) DO UPDATE SET new_id = excluded.new_id, new_digest = excluded.new_digest`,
    )
    .bind(letterId, lane, oldId, newId, newDigest, actor, atMs)
    .run();
}

/** The lane refused, so another edit may be tried: the letter is as it was before the claim. */
export async function releaseClaim(
  db: LedgerDatabase,
  { letterId, newId, newDigest }: NewClaim,
  unhold: LetterChange | null,
): Promise<void> {
  await db.batch([
    db
      .prepare(
        `DELETE FROM edits WHERE letter_id = ?1 AND new_id = ?2 AND new_digest = ?3
           AND EXISTS (SELECT 1 FROM letters WHERE id = ?1 AND replaced_by IS NULL)`,
      )
      .bind(letterId, newId, newDigest),
    ...(unhold === null ? [] : changeStatements(db, [unhold])),
  ]);
}
