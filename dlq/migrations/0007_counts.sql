-- Counters and indexes that keep scrapes, and the recording of raw letters, as cheap with a million letters as with ten.

-- Letters ever recorded, by the failure code that they were recorded with: it never falls, whatever becomes of them.
CREATE TABLE opened_counts (
  code TEXT NOT NULL PRIMARY KEY,
  letters INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
INSERT INTO opened_counts (code, letters) SELECT code, SUM(letters) FROM letter_counts GROUP BY code;

CREATE TRIGGER letters_opened AFTER INSERT ON letters
BEGIN
  INSERT INTO opened_counts (code, letters) VALUES (new.code, 1) ON CONFLICT DO UPDATE SET letters = letters + 1;
END;

CREATE INDEX replays_unended ON replays (id) WHERE ended_at IS NULL;

-- A raw letter that comes back from its queue goes on one of these: the oldest that was returned and that none goes on yet,
-- or one that is on its way. Of the many with one body, most are neither.
DROP INDEX letters_by_digest;
CREATE INDEX letters_returned ON letters (digest, source_queue, opened_at)
  WHERE kind = 'raw' AND next IS NULL AND resolution = 'returned';
DROP INDEX letters_being_sent;
CREATE INDEX raw_being_sent ON replay_letters (letter_id) WHERE outcome = 'waiting' AND claimed = 1 AND lane = '';
