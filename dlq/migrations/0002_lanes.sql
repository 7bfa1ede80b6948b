-- Every account that a directive was ever admitted for: the list of lanes, since Durable Objects cannot be listed.
CREATE TABLE lanes (
  account TEXT PRIMARY KEY,
  registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
