// In:  where an event was admitted, and where one of its id was before (HTTP); look-ups (HTTP).
// Out: nothing. Its alarm forgets what is old.
// On failure: a look-up finds less, and an id that another inbox was given may be taken for new; admission goes on without it.
import { DurableObject } from "cloudflare:workers";
import { parseInbox } from "../domain/inbox-name.ts";
import type { IndexEntry, IndexPlace } from "../domain/webhook-event.ts";
import { text } from "./sequencer-rows.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, admitted_ms INTEGER NOT NULL, inbox TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS entries_by_time ON entries (admitted_ms, id);
`;
const KEPT_MS = 30 * 24 * 3600 * 1000;
const PRUNED_AT_ONCE = 1000;
const PRUNE_AGAIN_MS = 1000;
/** Entries grow old one by one: the alarm waits until some have. */
const PRUNE_EVERY_MS = 3600 * 1000;
const MAX_SHOWN = 200;

/** Which inbox has an event: one row for each, of a part of one source's events. */
export class WebhookIndex extends DurableObject {
  #isReady = false;
  #isArmed = false;

  /** The same again changes nothing. An id that has come to another inbox is where it came last. */
  async note({ id, admittedAtMs, inbox }: IndexEntry): Promise<void> {
    this.#sql().exec(
      `INSERT INTO entries (id, admitted_ms, inbox) VALUES (?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET admitted_ms = excluded.admitted_ms, inbox = excluded.inbox
       WHERE excluded.inbox <> inbox AND excluded.admitted_ms >= admitted_ms`,
      id,
      admittedAtMs,
      inbox,
    );
    if (this.#isArmed) return;
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + KEPT_MS);
    this.#isArmed = true;
  }

  find(id: string): IndexEntry | undefined {
    return this.#read("SELECT id, admitted_ms, inbox FROM entries WHERE id = ?", id)[0];
  }

  latest(before: IndexPlace | null, limit: number): readonly IndexEntry[] {
    const shown = Math.min(MAX_SHOWN, Math.max(1, Math.trunc(limit)));
    const newestFirst = "ORDER BY admitted_ms DESC, id DESC LIMIT ?";
    return before === null
      ? this.#read(`SELECT id, admitted_ms, inbox FROM entries ${newestFirst}`, shown)
      : this.#read(
          `SELECT id, admitted_ms, inbox FROM entries WHERE (admitted_ms, id) < (?, ?) ${newestFirst}`,
          before.admittedAtMs,
          before.id,
          shown,
        );
  }

  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    const { rowsDropped, oldestMs } = this.ctx.storage.transactionSync(() => {
      const dropped = this.#sql()
        .exec(
          `DELETE FROM entries WHERE id IN
             (SELECT id FROM entries WHERE admitted_ms < ? ORDER BY admitted_ms, id LIMIT ?) RETURNING id`,
          nowMs - KEPT_MS,
          PRUNED_AT_ONCE,
        )
        .toArray().length;
      const { oldest } = this.#sql().exec("SELECT min(admitted_ms) AS oldest FROM entries").one();
      return { rowsDropped: dropped, oldestMs: oldest === null ? null : Number(oldest) };
    });
    this.#isArmed = oldestMs !== null;
    if (oldestMs === null) return;
    const nextMs =
      rowsDropped === PRUNED_AT_ONCE
        ? nowMs + PRUNE_AGAIN_MS
        : Math.max(nowMs + PRUNE_EVERY_MS, oldestMs + KEPT_MS);
    await this.ctx.storage.setAlarm(Math.ceil(nextMs));
  }

  #read(query: string, ...bindings: (string | number)[]): IndexEntry[] {
    return this.#sql()
      .exec(query, ...bindings)
      .toArray()
      .map((row) => {
        const address = parseInbox(text(row["inbox"]));
        if (address === undefined) throw new Error("the index holds a name that is no inbox's");
        return { id: text(row["id"]), admittedAtMs: Number(row["admitted_ms"]), inbox: address.name };
      });
  }

  #sql(): SqlStorage {
    const { sql } = this.ctx.storage;
    if (!this.#isReady) sql.exec(SCHEMA);
    this.#isReady = true;
    return sql;
  }
}
