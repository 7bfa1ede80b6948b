-- What is watched: the age of open letters, the growth of the registries, and the incidents that alerts are of. Times
-- are epoch milliseconds. The counters are kept by triggers, as those of 0001 are.

-- Open letters by the ten minutes in which they were opened, `opened_from` being their beginning: a year of them is 52,560
-- rows at the most, so that their ages cost the same with a million letters as with ten.
CREATE TABLE open_ages (
  opened_from INTEGER PRIMARY KEY,
  letters INTEGER NOT NULL
) STRICT;

-- Open letters of which somebody must refund by hand.
CREATE TABLE open_refunds (
  refund TEXT NOT NULL PRIMARY KEY,
  letters INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

INSERT INTO open_ages (opened_from, letters)
  SELECT opened_at - opened_at % 600000, COUNT(*) FROM letters WHERE state = 'open' GROUP BY 1;
INSERT INTO open_refunds (refund, letters)
  SELECT refund, COUNT(*) FROM letters WHERE state = 'open' AND refund IS NOT NULL GROUP BY 1;

CREATE TRIGGER open_letters_inserted AFTER INSERT ON letters WHEN new.state = 'open'
BEGIN
  INSERT INTO open_ages (opened_from, letters) VALUES (new.opened_at - new.opened_at % 600000, 1)
    ON CONFLICT DO UPDATE SET letters = letters + 1;
  INSERT INTO open_refunds (refund, letters) SELECT new.refund, 1 WHERE new.refund IS NOT NULL
    ON CONFLICT DO UPDATE SET letters = letters + 1;
END;

CREATE TRIGGER open_letters_deleted AFTER DELETE ON letters WHEN old.state = 'open'
BEGIN
  UPDATE open_ages SET letters = letters - 1 WHERE opened_from = old.opened_at - old.opened_at % 600000;
  DELETE FROM open_ages WHERE opened_from = old.opened_at - old.opened_at % 600000 AND letters = 0;
  UPDATE open_refunds SET letters = letters - 1 WHERE refund = old.refund;
END;

CREATE TRIGGER open_letters_left AFTER UPDATE OF state, opened_at, refund ON letters WHEN old.state = 'open'
BEGIN
  UPDATE open_ages SET letters = letters - 1 WHERE opened_from = old.opened_at - old.opened_at % 600000;
  DELETE FROM open_ages WHERE opened_from = old.opened_at - old.opened_at % 600000 AND letters = 0;
  UPDATE open_refunds SET letters = letters - 1 WHERE refund = old.refund;
END;

CREATE TRIGGER open_letters_joined AFTER UPDATE OF state, opened_at, refund ON letters WHEN new.state = 'open'
BEGIN
  INSERT INTO open_ages (opened_from, letters) VALUES (new.opened_at - new.opened_at % 600000, 1)
    ON CONFLICT DO UPDATE SET letters = letters + 1;
  INSERT INTO open_refunds (refund, letters) SELECT new.refund, 1 WHERE new.refund IS NOT NULL
    ON CONFLICT DO UPDATE SET letters = letters + 1;
END;

-- How many names each registry has.
CREATE TABLE registered (
  registry TEXT NOT NULL PRIMARY KEY CHECK (registry IN ('lanes', 'inboxes')),
  names INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
INSERT INTO registered (registry, names) SELECT 'lanes', COUNT(*) FROM lanes;
INSERT INTO registered (registry, names) SELECT 'inboxes', COUNT(*) FROM inboxes;

CREATE TRIGGER lanes_inserted AFTER INSERT ON lanes
BEGIN
  UPDATE registered SET names = names + 1 WHERE registry = 'lanes';
END;
CREATE TRIGGER inboxes_inserted AFTER INSERT ON inboxes
BEGIN
  UPDATE registered SET names = names + 1 WHERE registry = 'inboxes';
END;

-- Oldest first: the names that are scanned stay the same ones when others come.
CREATE INDEX lanes_by_age ON lanes (registered_at, account);
CREATE INDEX inboxes_by_age ON inboxes (registered_at, name);

-- Codes that letters have had. Those of now are no news.
CREATE TABLE seen_codes (
  code TEXT NOT NULL PRIMARY KEY,
  seen_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
INSERT INTO seen_codes (code, seen_at) SELECT DISTINCT code, 0 FROM letter_counts;

-- `subject`: the queue, lane, inbox or code; '' where the rule has no subject. `opened_told`, `closed_told`: 1 when the
-- alert is in the inbox of Lockstep's own events.
CREATE TABLE incidents (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  rule TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  opened_told INTEGER NOT NULL DEFAULT 0 CHECK (opened_told IN (0, 1)),
  closed_told INTEGER NOT NULL DEFAULT 0 CHECK (closed_told IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX incidents_open ON incidents (rule, subject) WHERE closed_at IS NULL;
CREATE INDEX incidents_closed ON incidents (closed_at, seq) WHERE closed_at IS NOT NULL;
CREATE INDEX incidents_untold ON incidents (seq) WHERE opened_told = 0 OR (closed_at IS NOT NULL AND closed_told = 0);
