import type { LaneEvent } from "../domain/lane.ts";
import { text, type LaneSql } from "./sequencer-rows.ts";
import { readEvent, readInboxHeader, writeFacts, writeInboxHeader } from "./webhook-inbox-rows.ts";
import {
  newInboxHeader,
  type EventRecord,
  type InboxHeader,
  type InboxState,
  type Waiting,
} from "./webhook-inbox-state.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS inbox (one INTEGER PRIMARY KEY CHECK (one = 1), header TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, content_type TEXT NOT NULL,
    admitted_ms INTEGER NOT NULL, body TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS facts (
    sequence INTEGER PRIMARY KEY, state TEXT NOT NULL, updated_ms INTEGER NOT NULL, facts TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS waiting (
    late INTEGER NOT NULL, sequence INTEGER NOT NULL, due_ms INTEGER NOT NULL, PRIMARY KEY (late, sequence)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS waiting_due ON waiting (late, due_ms);
  CREATE TABLE IF NOT EXISTS letters_owed (sequence INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS letters_owed_due ON letters_owed (due_ms);
  CREATE TABLE IF NOT EXISTS log (entry INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
`;
const SELECT_EVENT = `SELECT e.sequence, e.id, e.digest, e.content_type, e.admitted_ms, f.facts
  FROM events e LEFT JOIN facts f ON f.sequence = e.sequence`;
const KEPT_LOG = 1000;
/** One bound value is at most 2 MB: facts are written together up to so many characters, larger ones alone. */
const CHUNK_CHARACTERS = 200_000;
/** Of the events of one ring's letters: those that asked for much have half a megabyte of facts each. */
const MAX_LETTERS_BYTES = 4 * 1024 * 1024;

/**
 * The inbox in its SQLite database. Rows are few on purpose, since each costs: an event's admission and body are one,
 * and never written again; what becomes of it is another. One that waits for a retry has a third.
 * The header is kept in memory; `flush` writes what changed. After an error the instance must be thrown away, for then
 * memory and database may differ.
 */
export class InboxStorage implements InboxState {
  readonly header: InboxHeader;
  readonly #sql: LaneSql;
  /** Events read or changed in the transaction under way. */
  readonly #records = new Map<number, EventRecord>();
  readonly #changed = new Set<number>();
  #saved: string;

  constructor(sql: LaneSql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
    const [row] = sql.exec("SELECT header FROM inbox").toArray();
    this.header = row === undefined ? newInboxHeader() : readInboxHeader(text(row["header"]));
    this.#saved = row === undefined ? "" : lasting(this.header);
    // An admission alone does not write the header: the last event tells the sequence.
    const [last] = sql.exec("SELECT max(sequence) AS sequence FROM events").toArray();
    const lastSequence = last?.["sequence"] ?? null;
    if (lastSequence !== null)
      this.header.nextSequence = Math.max(this.header.nextSequence, Number(lastSequence) + 1);
  }

  /** Whether an inbox was ever written here: a look alone makes none. */
  static isIn(sql: LaneSql): boolean {
    return (
      sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'inbox'").toArray().length > 0
    );
  }

  event(sequence: number): EventRecord | undefined {
    const read = this.#records.get(sequence);
    if (read !== undefined) return read;
    const [row] = this.#sql.exec(`${SELECT_EVENT} WHERE e.sequence = ?`, sequence).toArray();
    return row === undefined ? undefined : this.#read(readEvent(row));
  }

  #read(record: EventRecord): EventRecord {
    this.#records.set(record.sequence, record);
    return record;
  }

  prefetch(sequences: readonly number[]): void {
    const missing = sequences.filter((sequence) => !this.#records.has(sequence));
    if (missing.length === 0) return;
    const rows = this.#sql.exec(
      `${SELECT_EVENT} WHERE e.sequence IN (SELECT value FROM json_each(?))`,
      JSON.stringify(missing),
    );
    for (const row of rows) this.#read(readEvent(row));
  }

  /** Written by `flush`. */
  putEvent(record: EventRecord): void {
    this.#records.set(record.sequence, record);
    this.#changed.add(record.sequence);
  }

  insert({ sequence, id, digest, contentType, admittedAtMs }: EventRecord, body: string): void {
    this.#sql.exec(
      "INSERT INTO events (sequence, id, digest, content_type, admitted_ms, body) VALUES (?, ?, ?, ?, ?, ?)",
      sequence,
      id,
      digest,
      contentType,
      admittedAtMs,
      body,
    );
  }

  sequenceOf(id: string): number | undefined {
    const [row] = this.#sql.exec("SELECT sequence FROM events WHERE id = ?", id).toArray();
    return row === undefined ? undefined : Number(row["sequence"]);
  }

  bodyOf(sequence: number): string {
    const [row] = this.#sql.exec("SELECT body FROM events WHERE sequence = ?", sequence).toArray();
    return text(row?.["body"]);
  }

  /** Newest first. */
  eventsBelow(sequence: number, limit: number): readonly EventRecord[] {
    return this.#sql
      .exec(`${SELECT_EVENT} WHERE e.sequence < ? ORDER BY e.sequence DESC LIMIT ?`, sequence, limit)
      .toArray()
      .map(readEvent);
  }

  putWaiting({ sequence, late, dueMs }: Waiting): void {
    this.#sql.exec(
      `INSERT INTO waiting (late, sequence, due_ms) VALUES (?, ?, ?)
       ON CONFLICT (late, sequence) DO UPDATE SET due_ms = excluded.due_ms`,
      late ? 1 : 0,
      sequence,
      dueMs,
    );
  }

  clearWaiting({ sequence, late }: Pick<Waiting, "sequence" | "late">): void {
    this.#sql.exec("DELETE FROM waiting WHERE late = ? AND sequence = ?", late ? 1 : 0, sequence);
  }

  waiting(late: boolean, limit: number): readonly Waiting[] {
    return this.#waiting(
      "SELECT sequence, late, due_ms FROM waiting WHERE late = ? ORDER BY sequence LIMIT ?",
      late ? 1 : 0,
      limit,
    );
  }

  waitingDue(late: boolean, nowMs: number, limit: number): readonly Waiting[] {
    return this.#waiting(
      "SELECT sequence, late, due_ms FROM waiting WHERE late = ? AND due_ms <= ? ORDER BY due_ms, sequence LIMIT ?",
      late ? 1 : 0,
      nowMs,
      limit,
    );
  }

  firstLateDue(nowMs: number): number | undefined {
    return this.#waiting(
      "SELECT sequence, late, due_ms FROM waiting WHERE late = 1 AND due_ms <= ? ORDER BY sequence LIMIT 1",
      nowMs,
    )[0]?.sequence;
  }

  #waiting(query: string, ...bindings: number[]): readonly Waiting[] {
    return this.#sql
      .exec(query, ...bindings)
      .toArray()
      .map((row) => ({
        sequence: Number(row["sequence"]),
        dueMs: Number(row["due_ms"]),
        late: row["late"] === 1,
      }));
  }

  waitingNextMs(late: boolean): number | null {
    return this.#least("SELECT min(due_ms) AS due_ms FROM waiting WHERE late = ?", late ? 1 : 0);
  }

  #least(query: string, ...bindings: number[]): number | null {
    const [row] = this.#sql.exec(query, ...bindings).toArray();
    const dueMs = row?.["due_ms"] ?? null;
    return dueMs === null ? null : Number(dueMs);
  }

  oweLetter(sequence: number, dueMs: number): void {
    this.#sql.exec(
      "INSERT INTO letters_owed (sequence, due_ms) VALUES (?, ?) ON CONFLICT (sequence) DO UPDATE SET due_ms = excluded.due_ms",
      sequence,
      dueMs,
    );
  }

  letterPaid(sequence: number): void {
    this.#sql.exec("DELETE FROM letters_owed WHERE sequence = ?", sequence);
  }

  letterOwed(sequence: number): boolean {
    return this.#sql.exec("SELECT 1 FROM letters_owed WHERE sequence = ?", sequence).toArray().length > 0;
  }

  /** Fewer than are due where their events are large: the others stay due. */
  lettersOwedDue(nowMs: number, limit: number): readonly number[] {
    const rows = this.#sql.exec(
      `SELECT owed.sequence, octet_length(f.facts) AS bytes
       FROM letters_owed owed LEFT JOIN facts f ON f.sequence = owed.sequence
       WHERE owed.due_ms <= ? ORDER BY owed.due_ms, owed.sequence LIMIT ?`,
      nowMs,
      limit,
    );
    const due: number[] = [];
    let bytes = 0;
    for (const row of rows.toArray()) {
      bytes += Number(row["bytes"] ?? 0);
      if (due.length > 0 && bytes > MAX_LETTERS_BYTES) break;
      due.push(Number(row["sequence"]));
    }
    this.prefetch(due);
    return due;
  }

  lettersOwedNextMs(): number | null {
    return this.#least("SELECT min(due_ms) AS due_ms FROM letters_owed");
  }

  lettersOwedCount(): number {
    return Number(this.#sql.exec("SELECT count(*) AS owed FROM letters_owed").one()["owed"]);
  }

  addEvent({ atMs, kind, detail }: LaneEvent): void {
    const { entry } = this.#sql
      .exec("INSERT INTO log (at_ms, kind, detail) VALUES (?, ?, ?) RETURNING entry", atMs, kind, detail)
      .one();
    this.#sql.exec("DELETE FROM log WHERE entry <= ?", Number(entry) - KEPT_LOG);
  }

  /** Newest first. */
  log(limit: number): readonly LaneEvent[] {
    return this.#sql
      .exec("SELECT at_ms, kind, detail FROM log ORDER BY entry DESC LIMIT ?", limit)
      .toArray()
      .map((row) => ({ atMs: Number(row["at_ms"]), kind: text(row["kind"]), detail: text(row["detail"]) }));
  }

  prune(
    settledBeforeMs: number,
    from: number,
    limit: number,
  ): { readonly next: number | null; readonly dropped: number } {
    // Who was admitted later cannot have been settled before.
    const rows = this.#sql
      .exec(
        `SELECT e.sequence, f.state, f.updated_ms FROM events e LEFT JOIN facts f ON f.sequence = e.sequence
         WHERE e.sequence >= ? AND e.admitted_ms < ? ORDER BY e.sequence LIMIT ?`,
        from,
        settledBeforeMs,
        limit,
      )
      .toArray();
    const old = rows.filter(
      (row) => row["state"] === "settled" && Number(row["updated_ms"]) < settledBeforeMs,
    );
    const sequences = old.map((row) => Number(row["sequence"]));
    for (const table of ["events", "facts"])
      this.#sql.exec(
        `DELETE FROM ${table} WHERE sequence IN (SELECT value FROM json_each(?))`,
        JSON.stringify(sequences),
      );
    for (const sequence of sequences) this.#records.delete(sequence);
    const last = rows.length === limit ? rows.at(-1) : undefined;
    return { next: last === undefined ? null : Number(last["sequence"]) + 1, dropped: sequences.length };
  }

  /** Writes the header and the events that changed. The last call of a transaction. */
  flush(): void {
    let chunk: [sequence: number, state: string, updatedMs: number, facts: string][] = [];
    let characters = 0;
    for (const sequence of this.#changed) {
      const record = this.#records.get(sequence);
      if (record === undefined) throw new Error("a changed event is not in memory");
      const facts = writeFacts(record);
      if (chunk.length > 0 && characters + facts.length > CHUNK_CHARACTERS) {
        this.#saveFacts(chunk);
        chunk = [];
        characters = 0;
      }
      chunk.push([sequence, record.state, record.updatedAtMs, facts]);
      characters += facts.length;
    }
    this.#saveFacts(chunk);
    this.#changed.clear();
    this.#records.clear();
    const standing = lasting(this.header);
    if (standing === this.#saved) return;
    this.#sql.exec(
      "INSERT INTO inbox (one, header) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET header = excluded.header",
      writeInboxHeader(this.header),
    );
    this.#saved = standing;
  }

  #saveFacts(chunk: readonly (readonly [number, string, number, string])[]): void {
    const [only] = chunk;
    if (only === undefined) return;
    const upsert =
      "ON CONFLICT (sequence) DO UPDATE SET state = excluded.state, updated_ms = excluded.updated_ms, facts = excluded.facts";
    if (chunk.length === 1) {
      this.#sql.exec(
        `INSERT INTO facts (sequence, state, updated_ms, facts) VALUES (?, ?, ?, ?) ${upsert}`,
        ...only,
      );
      return;
    }
    this.#sql.exec(
      `INSERT INTO facts (sequence, state, updated_ms, facts)
       SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?) WHERE true ${upsert}`,
      JSON.stringify(chunk),
    );
  }
}

/** The header without what the events' rows tell. */
function lasting(header: InboxHeader): string {
  return writeInboxHeader({ ...header, nextSequence: 0 });
}
