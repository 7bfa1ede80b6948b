import type { LaneEvent } from "../domain/lane.ts";
import { jsonRows, readDirective, readFlight, readHeader, text, type LaneSql } from "./sequencer-rows.ts";
import {
  isWatched,
  newHeader,
  type DirectiveRecord,
  type DueDirective,
  type LaneHeader,
  type LaneState,
  type Slot,
} from "./sequencer-state.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS lane (one INTEGER PRIMARY KEY CHECK (one = 1), header TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS outbox (
    admission INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, facts TEXT NOT NULL, payload TEXT
  );
  CREATE TABLE IF NOT EXISTS backlog (admission INTEGER PRIMARY KEY, id TEXT NOT NULL, due_ms INTEGER NOT NULL, watched INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS flights (flight INTEGER PRIMARY KEY, slots TEXT NOT NULL, closed_ms INTEGER);
  CREATE INDEX IF NOT EXISTS flights_open ON flights (flight) WHERE closed_ms IS NULL;
  CREATE TABLE IF NOT EXISTS letters_owed (id TEXT PRIMARY KEY, due_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS events (event INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
`;
/** A lane that an earlier version wrote has its outbox in two tables, of which one is in the order of the ids. */
const EARLIER = `
  INSERT INTO outbox (admission, id, state, facts, payload)
  SELECT d.admission, d.id, d.state, d.facts, p.payload FROM directives d LEFT JOIN payloads p USING (admission);
  DROP TABLE directives;
  DROP TABLE payloads;
`;
/** Rows that one step of pruning passes by: most of them were pruned before. */
const PRUNE_STRIDE = 5000;
const KEPT_EVENTS = 1000;
const ENDED: ReadonlySet<string> = new Set(["confirmed", "reverted", "replaced"]);

/**
 * The lane in its SQLite database. Rows are few on purpose, since each costs: two for a directive's admission (one of
 * them in the index of ids) and one for its end, one in the backlog and out, and the slots of a flight together in one
 * row. The outbox is in the order of admission: what is worked together lies together, however many came before, and
 * only the index of ids, which is small, is touched all over.
 * The header and the open slots are kept in memory; `flush` writes what changed. After an error the instance must
 * be thrown away, for then memory and database may differ.
 */
export class LaneStorage implements LaneState {
  readonly header: LaneHeader;
  readonly #sql: LaneSql;
  readonly #slots = new Map<number, Slot>();
  /** The flight whose row holds a sequence. */
  readonly #flightOf = new Map<number, number>();
  readonly #members = new Map<number, Set<number>>();
  /** Slots that left the lane, but stay in their flight's row: the transaction log. */
  readonly #closed = new Map<number, Slot>();
  readonly #dirty = new Set<number>();
  /** Directives read or changed in the transaction under way. */
  readonly #records = new Map<string, DirectiveRecord>();
  readonly #changed = new Set<string>();
  #flight: number;
  #flightOpen = false;
  #savedHeader: string;

  constructor(sql: LaneSql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
    const earlier = sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'directives'");
    if (earlier.toArray().length > 0) sql.exec(EARLIER);
    const [row] = sql.exec("SELECT header FROM lane").toArray();
    this.#savedHeader = row === undefined ? "" : text(row["header"]);
    this.header = row === undefined ? newHeader() : readHeader(this.#savedHeader);
    const [last] = sql.exec("SELECT max(flight) AS flight FROM flights").toArray();
    this.#flight = Number(last?.["flight"] ?? 0);
    for (const flight of sql.exec(
      "SELECT flight, slots FROM flights WHERE closed_ms IS NULL ORDER BY flight",
    )) {
      this.#loadFlight(Number(flight["flight"]), text(flight["slots"]));
    }
  }

  #loadFlight(flight: number, json: string): void {
    const members = new Set<number>();
    this.#members.set(flight, members);
    for (const slot of readFlight(json)) {
      members.add(slot.sequence);
      this.#flightOf.set(slot.sequence, flight);
      if (slot.sequence >= this.header.floor) this.#slots.set(slot.sequence, slot);
      else this.#closed.set(slot.sequence, slot);
    }
  }

  get slots(): ReadonlyMap<number, Slot> {
    return this.#slots;
  }

  putSlot(slot: Slot): void {
    if (!this.#slots.has(slot.sequence)) {
      // New slots of one event share a row: they live and end together.
      if (!this.#flightOpen) {
        this.#flight += 1;
        this.#flightOpen = true;
        this.#members.set(this.#flight, new Set());
      }
      this.#flightOf.set(slot.sequence, this.#flight);
      this.#members.get(this.#flight)?.add(slot.sequence);
    }
    this.#slots.set(slot.sequence, slot);
    this.#touch(slot.sequence);
  }

  deleteSlot(sequence: number): void {
    const slot = this.#slots.get(sequence);
    if (slot === undefined) return;
    this.#touch(sequence);
    this.#slots.delete(sequence);
    if (slot.state === "own" || slot.state === "other") {
      this.#closed.set(sequence, slot);
      return;
    }
    // A released number may be given out again, then in another flight. Its transactions are in the directive's log.
    const flight = this.#flightOf.get(sequence);
    this.#flightOf.delete(sequence);
    if (flight !== undefined) this.#members.get(flight)?.delete(sequence);
  }

  #touch(sequence: number): void {
    const flight = this.#flightOf.get(sequence);
    if (flight !== undefined) this.#dirty.add(flight);
  }

  directive(id: string): DirectiveRecord | undefined {
    const read = this.#records.get(id);
    if (read !== undefined) return read;
    const [row] = this.#sql.exec("SELECT id, admission, state, facts FROM outbox WHERE id = ?", id).toArray();
    return row === undefined ? undefined : readDirective(row);
  }

  prefetch(ids: readonly string[]): void {
    const rows = this.#sql.exec(
      "SELECT id, admission, state, facts FROM outbox WHERE id IN (SELECT value FROM json_each(?))",
      JSON.stringify(ids.filter((id) => !this.#records.has(id))),
    );
    for (const row of rows) this.#records.set(text(row["id"]), readDirective(row));
  }

  /** Written by `flush`, all in one statement. */
  putDirective(record: DirectiveRecord): void {
    this.#records.set(record.id, record);
    this.#changed.add(record.id);
  }

  #saveDirectives(): void {
    const changed = Array.from(this.#changed, (id) => {
      const record = this.#records.get(id);
      if (record === undefined) throw new Error("a changed directive is not in memory");
      const { id: _, admission, state, ...facts } = record;
      return { admission, state, facts: JSON.stringify(facts) };
    });
    for (const rows of jsonRows(changed)) {
      this.#sql.exec(
        `UPDATE outbox SET state = changed.value->>'state', facts = changed.value->>'facts'
         FROM json_each(?) AS changed WHERE outbox.admission = changed.value->>'admission'`,
        rows,
      );
    }
    this.#changed.clear();
    this.#records.clear();
  }

  payloadOf({ admission }: DirectiveRecord): string {
    const [row] = this.#sql.exec("SELECT payload FROM outbox WHERE admission = ?", admission).toArray();
    return text(row?.["payload"] ?? "");
  }

  existing(ids: readonly string[]): ReadonlySet<string> {
    const rows = this.#sql.exec(
      "SELECT id FROM outbox WHERE id IN (SELECT value FROM json_each(?))",
      JSON.stringify(ids),
    );
    return new Set(Array.from(rows, (row) => text(row["id"])));
  }

  insert(admitted: readonly { readonly record: DirectiveRecord; readonly payload: string }[]): void {
    const inserted = admitted.map(({ record, payload }) => {
      const { id, admission, state, ...facts } = record;
      const watched = isWatched(record) ? 1 : 0;
      return {
        id,
        admission,
        state,
        payload,
        due: record.notBeforeMs,
        watched,
        facts: JSON.stringify(facts),
      };
    });
    for (const rows of jsonRows(inserted)) {
      this.#sql.exec(
        `INSERT INTO outbox (admission, id, state, facts, payload)
         SELECT value->>'admission', value->>'id', value->>'state', value->>'facts', value->>'payload' FROM json_each(?)`,
        rows,
      );
      this.#sql.exec(
        `INSERT INTO backlog (admission, id, due_ms, watched)
         SELECT value->>'admission', value->>'id', value->>'due', value->>'watched' FROM json_each(?)`,
        rows,
      );
    }
  }

  prune(
    endedBeforeMs: number,
    from: number,
    limit: number,
  ): { readonly next: number | null; readonly left: boolean } {
    const rows = this.#sql
      .exec(
        "SELECT admission, id FROM outbox WHERE admission >= ? AND admission < ? AND payload IS NOT NULL ORDER BY admission LIMIT ?",
        from,
        from + PRUNE_STRIDE,
        limit,
      )
      .toArray();
    const pruned = rows.flatMap((row) => {
      const record = this.directive(text(row["id"]));
      if (record === undefined || !ENDED.has(record.state) || record.updatedAtMs >= endedBeforeMs) return [];
      return this.letterOwed(record.id) ? [] : [record.admission];
    });
    this.#sql.exec(
      "UPDATE outbox SET payload = NULL WHERE admission IN (SELECT value FROM json_each(?))",
      JSON.stringify(pruned),
    );
    this.#sql.exec(
      "DELETE FROM flights WHERE closed_ms < ? AND flight IN (SELECT flight FROM flights ORDER BY flight LIMIT ?)",
      endedBeforeMs,
      limit,
    );
    const last = rows.length === limit ? Number(rows.at(-1)?.["admission"]) + 1 : from + PRUNE_STRIDE;
    if (last < this.header.nextAdmission) return { next: last, left: true };
    const left = this.#sql.exec(
      `SELECT 1 WHERE EXISTS (SELECT 1 FROM outbox WHERE payload IS NOT NULL)
                   OR EXISTS (SELECT 1 FROM flights WHERE closed_ms IS NOT NULL)`,
    );
    return { next: null, left: left.toArray().length > 0 };
  }

  enqueue(record: DirectiveRecord): void {
    this.#sql.exec(
      "INSERT INTO backlog (admission, id, due_ms, watched) VALUES (?, ?, ?, ?)",
      record.admission,
      record.id,
      record.notBeforeMs,
      isWatched(record) ? 1 : 0,
    );
  }

  dequeue(admissions: readonly number[]): void {
    if (admissions.length === 0) return;
    this.#sql.exec(
      "DELETE FROM backlog WHERE admission IN (SELECT value FROM json_each(?))",
      JSON.stringify(admissions),
    );
  }

  /** Everything that waits is due. */
  hasten(nowMs: number): void {
    this.#sql.exec("UPDATE backlog SET due_ms = ? WHERE due_ms > ?", nowMs, nowMs);
  }

  backlogDue(nowMs: number, limit: number, except: ReadonlySet<string>): readonly DueDirective[] {
    const rows = this.#sql.exec(
      `SELECT b.id, b.admission, b.watched, p.payload FROM backlog b LEFT JOIN outbox p ON p.admission = b.admission
       WHERE b.due_ms <= ? ORDER BY b.admission LIMIT ?`,
      nowMs,
      limit + except.size,
    );
    const due: DueDirective[] = [];
    for (const row of rows) {
      if (due.length === limit) break;
      const id = text(row["id"]);
      if (except.has(id)) continue;
      due.push({
        id,
        admission: Number(row["admission"]),
        payload: text(row["payload"] ?? ""),
        watched: row["watched"] === 1,
      });
    }
    return due;
  }

  backlogOldest(): DirectiveRecord | undefined {
    const [row] = this.#sql.exec("SELECT id FROM backlog ORDER BY admission LIMIT 1").toArray();
    return row === undefined ? undefined : this.directive(text(row["id"]));
  }

  backlogNextDueMs(nowMs: number, except: ReadonlySet<string>): number | null {
    // Something is due now, as a rule: then the first rows tell, however long the backlog is.
    for (const row of this.#sql.exec(
      "SELECT id FROM backlog WHERE due_ms <= ? ORDER BY admission LIMIT ?",
      nowMs,
      except.size + 1,
    )) {
      if (!except.has(text(row["id"]))) return nowMs;
    }
    const [next] = this.#sql
      .exec("SELECT min(due_ms) AS due_ms FROM backlog WHERE due_ms > ?", nowMs)
      .toArray();
    return next === undefined || next["due_ms"] === null ? null : Number(next["due_ms"]);
  }

  oweLetter(id: string, dueMs: number): void {
    this.#sql.exec(
      "INSERT INTO letters_owed (id, due_ms) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET due_ms = excluded.due_ms",
      id,
      dueMs,
    );
  }

  letterPaid(id: string): boolean {
    return this.#sql.exec("DELETE FROM letters_owed WHERE id = ? RETURNING id", id).toArray().length > 0;
  }

  lettersOwedDue(nowMs: number, limit: number): readonly string[] {
    return this.#sql
      .exec("SELECT id FROM letters_owed WHERE due_ms <= ? ORDER BY due_ms LIMIT ?", nowMs, limit)
      .toArray()
      .map((row) => text(row["id"]));
  }

  lettersOwedNextMs(): number | null {
    const [row] = this.#sql.exec("SELECT min(due_ms) AS due_ms FROM letters_owed").toArray();
    return row === undefined || row["due_ms"] === null ? null : Number(row["due_ms"]);
  }

  lettersOwedCount(): number {
    return Number(this.#sql.exec("SELECT count(*) AS owed FROM letters_owed").one()["owed"]);
  }

  letterOwed(id: string): boolean {
    return this.#sql.exec("SELECT 1 FROM letters_owed WHERE id = ?", id).toArray().length > 0;
  }

  addEvent({ atMs, kind, detail }: LaneEvent): void {
    const { event } = this.#sql
      .exec("INSERT INTO events (at_ms, kind, detail) VALUES (?, ?, ?) RETURNING event", atMs, kind, detail)
      .one();
    this.#sql.exec("DELETE FROM events WHERE event <= ?", Number(event) - KEPT_EVENTS);
  }

  /** Newest first. */
  events(limit: number): readonly LaneEvent[] {
    return this.#sql
      .exec("SELECT at_ms, kind, detail FROM events ORDER BY event DESC LIMIT ?", limit)
      .toArray()
      .map((row) => ({ atMs: Number(row["at_ms"]), kind: text(row["kind"]), detail: text(row["detail"]) }));
  }

  /** Writes the header and the flights that changed. The last call of a transaction. */
  flush(nowMs: number): void {
    this.#saveDirectives();
    for (const flight of this.#dirty) this.#saveFlight(flight, nowMs);
    this.#dirty.clear();
    this.#flightOpen = false;
    const json = JSON.stringify(this.header);
    if (json === this.#savedHeader) return;
    this.#sql.exec(
      "INSERT INTO lane (one, header) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET header = excluded.header",
      json,
    );
    this.#savedHeader = json;
  }

  #saveFlight(flight: number, nowMs: number): void {
    const members = [...(this.#members.get(flight) ?? [])];
    if (members.length === 0) {
      this.#sql.exec("DELETE FROM flights WHERE flight = ?", flight);
      this.#members.delete(flight);
      return;
    }
    const closed = members.every((sequence) => !this.#slots.has(sequence));
    const slots = members.flatMap(
      (sequence) => this.#slots.get(sequence) ?? this.#closed.get(sequence) ?? [],
    );
    this.#sql.exec(
      "INSERT INTO flights (flight, slots, closed_ms) VALUES (?, ?, ?) ON CONFLICT (flight) DO UPDATE SET slots = excluded.slots, closed_ms = excluded.closed_ms",
      flight,
      JSON.stringify(slots),
      closed ? nowMs : null,
    );
    if (!closed) return;
    this.#members.delete(flight);
    for (const sequence of members) {
      this.#flightOf.delete(sequence);
      this.#closed.delete(sequence);
    }
  }
}
