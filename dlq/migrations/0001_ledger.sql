-- The ledger of dead letters. Times are epoch milliseconds.

-- `lane` is '' where a letter has none: NULLs would be distinct in the unique key.
-- `body` comes last, so that reading the other columns never walks the pages of a large body.
CREATE TABLE letters (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('directive', 'introduction', 'raw')),
  state TEXT NOT NULL CHECK (state IN ('open', 'replaying', 'resolved', 'discarded')),
  lane TEXT NOT NULL,
  directive_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  generation INTEGER NOT NULL CHECK (generation >= 0),
  source_queue TEXT NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  first_failure_code TEXT NOT NULL,
  first_failure_at INTEGER NOT NULL,
  last_failure_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  directive_status TEXT CHECK (directive_status IN ('dead', 'review', 'reverted')),
  sequence INTEGER,
  transactions TEXT NOT NULL CHECK (json_valid(transactions)),
  opened_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  body_format TEXT NOT NULL CHECK (body_format IN ('json', 'superjson', 'base64', 'text')),
  body TEXT NOT NULL,
  UNIQUE (lane, directive_id, digest, generation, kind)
) STRICT;

-- Two indexes serve every combination of filters: a list asks each non-empty group of `letter_counts` for its
-- newest few and merges them, so that no filter, however rare its letters, scans the table.
CREATE INDEX letters_by_group ON letters (state, kind, code, opened_at);
CREATE INDEX letters_by_lane ON letters (lane, state, kind, code, opened_at);

CREATE TABLE letter_history (
  letter_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (letter_id, number)
) WITHOUT ROWID, STRICT;

-- Counters, kept by triggers in the transaction of the change itself: they cannot drift, and depth costs the same
-- with a million letters as with ten.
CREATE TABLE letter_counts (
  state TEXT NOT NULL,
  kind TEXT NOT NULL,
  code TEXT NOT NULL,
  letters INTEGER NOT NULL,
  PRIMARY KEY (state, kind, code)
) WITHOUT ROWID, STRICT;

CREATE TABLE open_lanes (
  lane TEXT NOT NULL PRIMARY KEY,
  letters INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX open_lanes_by_letters ON open_lanes (letters);

CREATE TRIGGER letters_inserted AFTER INSERT ON letters
BEGIN
  INSERT INTO letter_counts (state, kind, code, letters) VALUES (new.state, new.kind, new.code, 1)
    ON CONFLICT DO UPDATE SET letters = letters + 1;
  INSERT INTO open_lanes (lane, letters) SELECT new.lane, 1 WHERE new.state = 'open' AND new.lane <> ''
    ON CONFLICT DO UPDATE SET letters = letters + 1;
END;

CREATE TRIGGER letters_deleted AFTER DELETE ON letters
BEGIN
  UPDATE letter_counts SET letters = letters - 1 WHERE state = old.state AND kind = old.kind AND code = old.code;
  UPDATE open_lanes SET letters = letters - 1 WHERE lane = old.lane AND old.state = 'open';
  DELETE FROM open_lanes WHERE lane = old.lane AND letters = 0;
END;

CREATE TRIGGER letters_moved AFTER UPDATE OF state, kind, code, lane ON letters
BEGIN
  UPDATE letter_counts SET letters = letters - 1 WHERE state = old.state AND kind = old.kind AND code = old.code;
  INSERT INTO letter_counts (state, kind, code, letters) VALUES (new.state, new.kind, new.code, 1)
    ON CONFLICT DO UPDATE SET letters = letters + 1;
  UPDATE open_lanes SET letters = letters - 1 WHERE lane = old.lane AND old.state = 'open';
  INSERT INTO open_lanes (lane, letters) SELECT new.lane, 1 WHERE new.state = 'open' AND new.lane <> ''
    ON CONFLICT DO UPDATE SET letters = letters + 1;
  DELETE FROM open_lanes WHERE lane = old.lane AND letters = 0;
END;
