import type { LaneEvent } from "../../domain/lane.ts";
import type { DirectiveRecord, DueDirective, Slot } from "../../durable-objects/sequencer-state.ts";
import type { LaneSql } from "../../durable-objects/sequencer-rows.ts";
import { LaneStorage } from "../../durable-objects/sequencer-storage.ts";
import { MemoryLane } from "./memory-lane.ts";

/**
 * The lane in memory and the lane in SQLite, side by side: every read is compared, and after every event the SQLite
 * one is thrown away and opened again, as after an eviction. `differs` says the first difference.
 */
export class MirroredLane extends MemoryLane {
  readonly #sql: LaneSql;
  #storage: LaneStorage;
  #inserting = false;
  differs: string | null = null;

  constructor(sql: LaneSql) {
    super();
    this.#sql = sql;
    this.#storage = new LaneStorage(sql);
  }

  #same<Value>(what: string, memory: Value, storage: Value): Value {
    const [left, right] = [text(memory), text(storage)];
    if (left !== right) this.differs ??= `${what}: ${left} in memory, ${right} in SQLite`;
    return memory;
  }

  override putSlot(slot: Slot): void {
    super.putSlot(slot);
    this.#storage.putSlot(slot);
  }
  override deleteSlot(sequence: number): void {
    super.deleteSlot(sequence);
    this.#storage.deleteSlot(sequence);
  }
  override directive(id: string): DirectiveRecord | undefined {
    return this.#same(`directive ${id}`, super.directive(id), this.#storage.directive(id));
  }
  override prefetch(ids: readonly string[] = []): void {
    this.#storage.prefetch(ids);
  }
  override putDirective(record: DirectiveRecord): void {
    super.putDirective(record);
    this.#storage.putDirective(record);
  }
  override payloadOf(record: DirectiveRecord): string {
    return this.#same("payload", super.payloadOf(record), this.#storage.payloadOf(record));
  }
  override existing(ids: readonly string[]): ReadonlySet<string> {
    const memory = super.existing(ids);
    this.#same("existing", [...memory].toSorted(), [...this.#storage.existing(ids)].toSorted());
    return memory;
  }
  override insert(admitted: readonly { readonly record: DirectiveRecord; readonly payload: string }[]): void {
    this.#inserting = true;
    super.insert(admitted);
    this.#inserting = false;
    this.#storage.insert(admitted);
  }
  override enqueue(record: DirectiveRecord): void {
    super.enqueue(record);
    if (!this.#inserting) this.#storage.enqueue(record);
  }
  override dequeue(admissions: readonly number[]): void {
    super.dequeue(admissions);
    this.#storage.dequeue(admissions);
  }
  override backlogDue(nowMs: number, limit: number, except: ReadonlySet<string>): readonly DueDirective[] {
    const memory = super.backlogDue(nowMs, limit, except);
    this.#same("due", memory, this.#storage.backlogDue(nowMs, limit, except));
    return memory;
  }
  override backlogOldest(): DirectiveRecord | undefined {
    return this.#same("oldest", super.backlogOldest(), this.#storage.backlogOldest());
  }
  override backlogNextDueMs(nowMs: number, except: ReadonlySet<string>): number | null {
    return this.#same(
      "next due",
      super.backlogNextDueMs(nowMs, except),
      this.#storage.backlogNextDueMs(nowMs, except),
    );
  }
  override oweLetter(id: string, dueMs: number): void {
    super.oweLetter(id, dueMs);
    this.#storage.oweLetter(id, dueMs);
  }
  override letterPaid(id: string): boolean {
    return this.#same("paid", super.letterPaid(id), this.#storage.letterPaid(id));
  }
  override lettersOwedNextMs(): number | null {
    return this.#same("next letter", super.lettersOwedNextMs(), this.#storage.lettersOwedNextMs());
  }
  override lettersOwedCount(): number {
    return this.#same("owed", super.lettersOwedCount(), this.#storage.lettersOwedCount());
  }
  override addEvent(event: LaneEvent): void {
    super.addEvent(event);
    this.#storage.addEvent(event);
  }

  override afterEvent(): void {
    Object.assign(this.#storage.header, structuredClone(this.header));
    this.#storage.flush(0);
    this.#storage = new LaneStorage(this.#sql);
    this.#same("header", this.header, this.#storage.header);
    const bySequence = (slots: ReadonlyMap<number, Slot>) =>
      [...slots.values()].toSorted((left, right) => left.sequence - right.sequence);
    this.#same("slots", bySequence(this.slots), bySequence(this.#storage.slots));
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
