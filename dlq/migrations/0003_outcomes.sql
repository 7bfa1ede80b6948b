-- Letters of webhook events, what became of a letter, and what it is tied to. SQLite cannot change a CHECK, so the
-- table is written anew; the counters stay, since what they count does.

-- `refund`: 'manual' where somebody must refund by hand. `resolution`: how it was closed. `previous`, `next`: the letters
-- of the same work before and after a replay. `replaced_by`, `replaces`: ids of directives, by an edit. `replay_id`: the
-- replay that it is, or was last, in.
CREATE TABLE letters_new (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('directive', 'event', 'introduction', 'raw')),
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
  refund TEXT CHECK (refund IN ('manual')),
  resolution TEXT CHECK (resolution IN ('landed', 'not-landed', 'settled', 'failed-again', 'replaced', 'returned', 'discarded')),
  previous TEXT,
  next TEXT,
  replaced_by TEXT,
  replaces TEXT,
  replay_id TEXT,
  body_format TEXT NOT NULL CHECK (body_format IN ('json', 'superjson', 'base64', 'text')),
  body TEXT NOT NULL,
  UNIQUE (lane, directive_id, digest, generation, kind)
) STRICT;

INSERT INTO letters_new (seq, id, kind, state, lane, directive_id, digest, generation, source_queue, code, message, first_failure_code,
  first_failure_at, last_failure_at, attempts, directive_status, sequence, transactions, opened_at, updated_at, body_format, body)
SELECT seq, id, kind, state, lane, directive_id, digest, generation, source_queue, code, message, first_failure_code,
  first_failure_at, last_failure_at, attempts, directive_status, sequence, transactions, opened_at, updated_at, body_format, body FROM letters;

DROP TABLE letters;
ALTER TABLE letters_new RENAME TO letters;

CREATE INDEX letters_by_group ON letters (state, kind, code, opened_at);
CREATE INDEX letters_by_lane ON letters (lane, state, kind, code, opened_at);
CREATE INDEX letters_by_replay ON letters (replay_id, state) WHERE replay_id IS NOT NULL;
-- A raw letter's body that comes back from its queue is known by its digest.
CREATE INDEX letters_by_digest ON letters (digest) WHERE kind = 'raw';
CREATE INDEX letters_in_review ON letters (opened_at) WHERE state = 'open' AND directive_status = 'review';
CREATE INDEX letters_to_refund ON letters (opened_at) WHERE state = 'open' AND refund IS NOT NULL;

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

-- Every inbox that an event was ever admitted to: the list of inboxes, as `lanes` is of lanes.
CREATE TABLE inboxes (
  name TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inboxes_by_source ON inboxes (source, name);
