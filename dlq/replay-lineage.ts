import type { LedgerDatabase } from "./ledger.ts";

/**
 * Statements that tie a raw letter to the one whose replay brought it: the same body, back from the same queue. To run in
 * the transaction that records the letter, behind its insertion; with a letter that is there already they change nothing. Its
 * id stays that of generation 0, so that recording the same message again finds it.
 */
export function linkRaw(db: LedgerDatabase, id: string): readonly D1PreparedStatement[] {
  const like = `p.kind = 'raw' AND p.digest = l.digest AND p.source_queue = l.source_queue AND p.next IS NULL AND p.id <> l.id`;
  // Its replay may not yet have written down that it was sent. What is being sent is a page of each replay at the most, so that
  // it leads to the letters: there may be any number with the same body.
  const previous = `SELECT f.id FROM (
      SELECT * FROM (
        SELECT p.id, p.opened_at, p.seq FROM letters p INDEXED BY letters_returned
        WHERE ${like} AND p.resolution = 'returned' ORDER BY p.opened_at, p.seq LIMIT 1)
      UNION ALL
      SELECT p.id, p.opened_at, p.seq FROM replay_letters r INDEXED BY raw_being_sent CROSS JOIN letters p ON p.id = r.letter_id
      WHERE r.outcome = 'waiting' AND r.claimed = 1 AND r.lane = '' AND ${like}) f
    ORDER BY f.opened_at, f.seq LIMIT 1`;
  return [
    // A letter's first history entry is written behind this: one that has a history was recorded before.
    db
      .prepare(
        `UPDATE letters AS l SET previous = (${previous})
         WHERE l.id = ? AND l.kind = 'raw' AND l.previous IS NULL
           AND NOT EXISTS (SELECT 1 FROM letter_history h WHERE h.letter_id = l.id)`,
      )
      .bind(id),
    db
      .prepare(
        `UPDATE letters AS l SET generation = 1 + (SELECT p.generation FROM letters p WHERE p.id = l.previous)
         WHERE l.id = ? AND l.kind = 'raw' AND l.previous IS NOT NULL AND l.generation = 0`,
      )
      .bind(id),
    db
      .prepare(
        `UPDATE letters AS p SET next = ?1
         WHERE p.id = (SELECT l.previous FROM letters l WHERE l.id = ?1 AND l.kind = 'raw') AND p.next IS NULL`,
      )
      .bind(id),
  ];
}
