import { z } from "zod";
import type { LetterSummary } from "../domain/dead-letter.ts";
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
  .object({ letter_id: z.string(), new_id: z.string(), new_digest: z.string(), at: z.number() })
  .transform(({ letter_id, new_id, new_digest, at }): EditClaim & { readonly letterId: string } => ({
    letterId: letter_id,
    newId: new_id,
    newDigest: new_digest,
    atMs: at,
  }));

export async function claimOf(db: LedgerDatabase, letterId: string): Promise<EditClaim | null> {
  return (await claimsOf(db, [letterId])).get(letterId) ?? null;
}

/** The claims that stand on letters, by letter id. */
export async function claimsOf(
  db: LedgerDatabase,
  letterIds: readonly string[],
): Promise<ReadonlyMap<string, EditClaim>> {
  const { results } = await db
    .prepare(
      "SELECT letter_id, new_id, new_digest, at FROM edits WHERE letter_id IN (SELECT value FROM json_each(?))",
    )
    .bind(JSON.stringify(letterIds))
    .all();
  return new Map(
    results.map((row) => claimRow.parse(row)).map(({ letterId, ...claim }) => [letterId, claim]),
  );
}

/**
 * The claim that holds a letter; null when it is in a replay. Only an introduction is ever held: it leaves `open` in the
 * transaction that claims it, so that while a claim stands no replay has it. A letter of a lane's directive may be in a
 * replay beside a claim, since its lane lets one of the two happen.
 */
export function holderOf(
  { kind, state }: Pick<LetterSummary, "kind" | "state">,
  claim: EditClaim | null,
): EditClaim | null {
  return state === "replaying" && kind === "introduction" ? claim : null;
}

/**
 * Claims an open letter, unless it is claimed; the same claim again is as good as new, so that nobody finds it abandoned
 * while its request runs. `hold`: in the same transaction it leaves `open`, so that no replay takes it meanwhile. Answers
 * the claim that stands; null when the letter is not open and nobody has a claim.
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
    db
      .prepare("UPDATE edits SET at = MAX(at, ?4) WHERE letter_id = ?1 AND new_id = ?2 AND new_digest = ?3")
      .bind(letterId, newId, newDigest, atMs),
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

/** `claimedAtMs`: as it was claimed then; null whenever that was. */
export interface ReleasedClaim extends Pick<NewClaim, "letterId" | "newId" | "newDigest"> {
  readonly claimedAtMs: number | null;
}

/**
 * Another edit may be tried: the letter is as it was before the claim. `unhold` is made only while the claim stands,
 * since the letter may be somebody else's by then. Answers whether it did.
 */
export async function releaseClaim(
  db: LedgerDatabase,
  { letterId, newId, newDigest, claimedAtMs }: ReleasedClaim,
  unhold: LetterChange | null,
): Promise<boolean> {
  const heldBy = { newId, newDigest, ...(claimedAtMs === null ? {} : { atMs: claimedAtMs }) };
  const results = await db.batch([
    ...(unhold === null ? [] : changeStatements(db, [{ ...unhold, heldBy }])),
    db
      .prepare(
        `DELETE FROM edits WHERE letter_id = ?1 AND new_id = ?2 AND new_digest = ?3 AND at = COALESCE(?4, at)
           AND EXISTS (SELECT 1 FROM letters WHERE id = ?1 AND replaced_by IS NULL)
         RETURNING letter_id`,
      )
      .bind(letterId, newId, newDigest, claimedAtMs),
  ]);
  return (results.at(-1)?.results.length ?? 0) > 0;
}
