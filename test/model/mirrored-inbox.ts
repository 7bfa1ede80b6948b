import type { LaneEvent } from "../../domain/lane.ts";
import type { LaneSql } from "../../durable-objects/sequencer-rows.ts";
import type { EventRecord, Waiting } from "../../durable-objects/webhook-inbox-state.ts";
import { InboxStorage } from "../../durable-objects/webhook-inbox-storage.ts";
import { MemoryInbox } from "./memory-inbox.ts";

/**
 * The inbox in memory and the inbox in SQLite, side by side: every read is compared, and after every event the SQLite
 * one is thrown away and opened again, as after an eviction. `differs` says the first difference.
 */
export class MirroredInbox extends MemoryInbox {
  readonly #sql: LaneSql;
  #storage: InboxStorage;
  differs: string | null = null;

  constructor(sql: LaneSql) {
    super();
    this.#sql = sql;
    this.#storage = new InboxStorage(sql);
  }

  #same<Value>(what: string, memory: Value, storage: Value): Value {
    const [left, right] = [text(memory), text(storage)];
    if (left !== right) this.differs ??= `${what}: ${left} in memory, ${right} in SQLite`;
    return memory;
  }

  override event(sequence: number): EventRecord | undefined {
    return this.#same(`event ${sequence}`, super.event(sequence), this.#storage.event(sequence));
  }
  override prefetch(sequences: readonly number[]): void {
    this.#storage.prefetch(sequences);
  }
  override putEvent(record: EventRecord): void {
    super.putEvent(record);
    this.#storage.putEvent(record);
  }
  override insert(record: EventRecord, body: string): void {
    super.insert(record, body);
    this.#storage.insert(record, body);
  }
  override sequenceOf(id: string): number | undefined {
    return this.#same(`sequence of ${id}`, super.sequenceOf(id), this.#storage.sequenceOf(id));
  }
  override bodyOf(sequence: number): string {
    return this.#same("body", super.bodyOf(sequence), this.#storage.bodyOf(sequence));
  }
  override putWaiting(waiting: Waiting): void {
    super.putWaiting(waiting);
    this.#storage.putWaiting(waiting);
  }
  override clearWaiting(waiting: Pick<Waiting, "sequence" | "late">): void {
    super.clearWaiting(waiting);
    this.#storage.clearWaiting(waiting);
  }
  override waiting(late: boolean, limit: number): readonly Waiting[] {
    return this.#same("waiting", super.waiting(late, limit), this.#storage.waiting(late, limit));
  }
  override waitingDue(late: boolean, nowMs: number, limit: number): readonly Waiting[] {
    return this.#same(
      "due",
      super.waitingDue(late, nowMs, limit),
      this.#storage.waitingDue(late, nowMs, limit),
    );
  }
  override firstLateDue(nowMs: number): number | undefined {
    return this.#same("first late", super.firstLateDue(nowMs), this.#storage.firstLateDue(nowMs));
  }
  override waitingNextMs(late: boolean): number | null {
    return this.#same("next due", super.waitingNextMs(late), this.#storage.waitingNextMs(late));
  }
  override oweLetter(sequence: number, dueMs: number): void {
    super.oweLetter(sequence, dueMs);
    this.#storage.oweLetter(sequence, dueMs);
  }
  override letterPaid(sequence: number): void {
    super.letterPaid(sequence);
    this.#storage.letterPaid(sequence);
  }
  override letterOwed(sequence: number): boolean {
    return this.#same("owed", super.letterOwed(sequence), this.#storage.letterOwed(sequence));
  }
  override lettersOwedDue(nowMs: number, limit: number): readonly number[] {
    return this.#same(
      "letters due",
      super.lettersOwedDue(nowMs, limit),
      this.#storage.lettersOwedDue(nowMs, limit),
    );
  }
  override lettersOwedNextMs(): number | null {
    return this.#same("next letter", super.lettersOwedNextMs(), this.#storage.lettersOwedNextMs());
  }
  override addEvent(event: LaneEvent): void {
    super.addEvent(event);
    this.#storage.addEvent(event);
  }
  override prune(
    settledBeforeMs: number,
    from: number,
    limit: number,
  ): { readonly next: number | null; readonly dropped: number } {
    return this.#same(
      "pruned",
      super.prune(settledBeforeMs, from, limit),
      this.#storage.prune(settledBeforeMs, from, limit),
    );
  }

  override afterEvent(): void {
    Object.assign(this.#storage.header, structuredClone(this.header));
    this.#storage.flush();
    this.#storage = new InboxStorage(this.#sql);
    this.#same("header", this.header, this.#storage.header);
    const newest = [...this.records.values()].toReversed();
    this.#same("events", newest, this.#storage.eventsBelow(Number.MAX_SAFE_INTEGER, newest.length + 1));
    this.#same("log", this.log.slice(-5).toReversed(), this.#storage.log(5));
    this.#same("letters owed", this.owed.size, this.#storage.lettersOwedCount());
  }
}

/** As text, with the fields of every object in one order. */
function text(value: unknown): string | undefined {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).toSorted(([left], [right]) => (left < right ? -1 : 1)))
      : item,
  );
}
