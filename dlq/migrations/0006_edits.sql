-- What letters are tied to, how they are found by their queue, and how far reconciliation has come. Times are epoch
-- milliseconds. The triggers tie letters whoever writes them.

-- An edit (R9) is claimed before its lane is asked: while a claim stands, no other directive can take the place of the
-- letter's, and a request that was cut off between the lane and the ledger can be finished by sending it again.
CREATE TABLE edits (
  letter_id TEXT NOT NULL PRIMARY KEY,
  lane TEXT NOT NULL,
  old_id TEXT NOT NULL,
  new_id TEXT NOT NULL,
  new_digest TEXT NOT NULL,
  actor TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE INDEX letters_replaced ON letters (lane, replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX letters_by_source ON letters (source_queue, state, kind, code, opened_at);

-- A letter that is closed as replaced names the directive that its claim named, and that directive's letters name it.
CREATE TRIGGER letters_replaced_by AFTER UPDATE OF resolution ON letters WHEN new.resolution = 'replaced'
BEGIN
  UPDATE letters SET replaced_by = (SELECT e.new_id FROM edits e WHERE e.letter_id = new.id) WHERE seq = new.seq;
  UPDATE letters SET replaces = new.directive_id
    WHERE lane = new.lane AND directive_id = (SELECT e.new_id FROM edits e WHERE e.letter_id = new.id);
END;

-- A new letter finds the one of the same work before its last replay, or from before its lane took it, and the directive whose place its own took.
CREATE TRIGGER letters_tied AFTER INSERT ON letters WHEN new.lane <> ''
BEGIN
  UPDATE letters SET next = new.id
    WHERE lane = new.lane AND directive_id = new.directive_id AND digest = new.digest AND generation = new.generation - 1
      AND kind = new.kind;
  UPDATE letters SET previous = (
      SELECT p.id FROM letters p WHERE p.lane = new.lane AND p.directive_id = new.directive_id AND p.digest = new.digest
        AND p.generation = new.generation - 1 AND p.kind = new.kind)
    WHERE seq = new.seq AND new.generation > 0 AND previous IS NULL;
  UPDATE letters SET previous = (
      SELECT p.id FROM letters p WHERE p.lane = new.lane AND p.directive_id = new.directive_id AND p.digest = new.digest
        AND p.generation = 0 AND p.kind = 'introduction')
    WHERE seq = new.seq AND new.kind = 'directive' AND new.generation = 0 AND previous IS NULL;
  UPDATE letters SET replaces = (
      SELECT o.directive_id FROM letters o WHERE o.lane = new.lane AND o.replaced_by = new.directive_id LIMIT 1)
    WHERE seq = new.seq AND EXISTS (
      SELECT 1 FROM letters o WHERE o.lane = new.lane AND o.replaced_by = new.directive_id);
END;

-- Where reconciliation left off in each of its scans, as JSON.
CREATE TABLE reconcile_scans (
  scan TEXT NOT NULL PRIMARY KEY,
  position TEXT NOT NULL
) WITHOUT ROWID, STRICT;
