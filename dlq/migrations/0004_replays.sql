-- Plans of replays and their runs. D1 is the truth of a replay: the Workflow that drives it may die at any line.

-- `digest`: SHA-256 over the ids of its letters in their order; NULL until all of them are written.
CREATE TABLE plans (
  id TEXT PRIMARY KEY,
  digest TEXT,
  filter TEXT NOT NULL CHECK (json_valid(filter)),
  actor TEXT NOT NULL,
  matched INTEGER NOT NULL,
  by_code TEXT NOT NULL CHECK (json_valid(by_code)),
  by_lane TEXT NOT NULL CHECK (json_valid(by_lane)),
  refused TEXT NOT NULL CHECK (json_valid(refused)),
  truncated INTEGER NOT NULL CHECK (truncated IN (0, 1)),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX plans_by_time ON plans (created_at);

-- Oldest first. `lane` is '' where a letter has none.
CREATE TABLE plan_letters (
  plan_id TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  letter_id TEXT NOT NULL,
  lane TEXT NOT NULL,
  PRIMARY KEY (plan_id, ordinal)
) STRICT, WITHOUT ROWID;

-- `driver`: the number of the one Workflow instance that may change the replay; a later one fences it off.
-- `driver_due_at`: it is heard of again by then, or another takes its place; NULL while nothing is to be done.
-- `page_token`: what the last page was claimed with. `watch_after`: the look-ups of what was sent go on after this ordinal.
CREATE TABLE replays (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  plan_id TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL CHECK (status IN ('running', 'paused', 'cancelling', 'cancelled', 'done')),
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  rate_per_second REAL NOT NULL CHECK (rate_per_second > 0),
  per_lane_per_second REAL NOT NULL CHECK (per_lane_per_second > 0),
  total INTEGER NOT NULL,
  driver INTEGER NOT NULL,
  driver_due_at INTEGER,
  page_token TEXT NOT NULL,
  next_page_at INTEGER NOT NULL,
  watch_after INTEGER NOT NULL,
  watch_at INTEGER NOT NULL,
  watch_delay_ms INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE INDEX replays_driven ON replays (driver_due_at) WHERE driver_due_at IS NOT NULL;

-- What operators did with a replay.
CREATE TABLE replay_history (
  replay_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (replay_id, number)
) STRICT, WITHOUT ROWID;

-- `claimed`: a driver is about to send it, or has: only carrying it through decides what became of it.
CREATE TABLE replay_letters (
  replay_id TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  letter_id TEXT NOT NULL,
  lane TEXT NOT NULL,
  claimed INTEGER NOT NULL CHECK (claimed IN (0, 1)),
  outcome TEXT NOT NULL CHECK (outcome IN ('waiting', 'sent', 'landed', 'already-landed', 'failed-again', 'refused', 'returned')),
  detail TEXT,
  at INTEGER NOT NULL,
  PRIMARY KEY (replay_id, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_letters_waiting ON replay_letters (replay_id, lane, ordinal) WHERE outcome = 'waiting' AND claimed = 0;
CREATE INDEX replay_letters_claimed ON replay_letters (replay_id, ordinal) WHERE outcome = 'waiting' AND claimed = 1;
CREATE INDEX replay_letters_sent ON replay_letters (replay_id, ordinal) WHERE outcome = 'sent';
CREATE INDEX letters_being_sent ON replay_letters (letter_id) WHERE outcome = 'waiting' AND claimed = 1;

-- The lanes of a replay, so that one with many letters does not hide the others. `head`: its lowest ordinal that nobody
-- has claimed. `next_at`: no letter of it is sent earlier. `failures`: calls to it that failed, in a row.
CREATE TABLE replay_lanes (
  replay_id TEXT NOT NULL,
  lane TEXT NOT NULL,
  head INTEGER,
  next_at INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY (replay_id, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_lanes_by_head ON replay_lanes (replay_id, head) WHERE head IS NOT NULL;

-- One row for each page that was claimed: the rate of the last minute.
CREATE TABLE replay_pages (
  replay_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  token TEXT NOT NULL,
  letters INTEGER NOT NULL,
  PRIMARY KEY (replay_id, at, token)
) STRICT, WITHOUT ROWID;

-- Counters, kept in the transaction of the change itself: progress costs the same with 50,000 letters as with ten.
CREATE TABLE replay_counts (
  replay_id TEXT NOT NULL,
  outcome TEXT NOT NULL,
  letters INTEGER NOT NULL,
  PRIMARY KEY (replay_id, outcome)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER replay_letters_moved AFTER UPDATE OF outcome ON replay_letters WHEN old.outcome <> new.outcome
BEGIN
  UPDATE replay_counts SET letters = letters - 1 WHERE replay_id = old.replay_id AND outcome = old.outcome;
  INSERT INTO replay_counts (replay_id, outcome, letters) VALUES (new.replay_id, new.outcome, 1)
    ON CONFLICT DO UPDATE SET letters = letters + 1;
END;
