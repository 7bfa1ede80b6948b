import type { LaneEvent } from "../../domain/lane.ts";
import {
  isWatched,
  newHeader,
  type DirectiveRecord,
  type DueDirective,
  type LaneState,
  type Slot,
} from "../../durable-objects/sequencer-state.ts";

/** `LaneState` in memory: what the machine is proven over. The SQLite one is held to the same tests. */
export class MemoryLane implements LaneState {
  readonly header = newHeader();
  readonly events: LaneEvent[] = [];
  readonly directives = new Map<string, DirectiveRecord>();
  readonly backlog = new Map<number, { id: string; dueMs: number }>();
  readonly owed = new Map<string, number>();
  readonly #payloads = new Map<string, string>();
  readonly #slots = new Map<number, Slot>();

  get slots(): ReadonlyMap<number, Slot> {
    return this.#slots;
  }
  putSlot(slot: Slot): void {
    this.#slots.set(slot.sequence, slot);
  }
  deleteSlot(sequence: number): void {
    this.#slots.delete(sequence);
  }
  directive(id: string): DirectiveRecord | undefined {
    return this.directives.get(id);
  }
  prefetch(): void {}
  putDirective(record: DirectiveRecord): void {
    this.directives.set(record.id, record);
  }
  payloadOf({ id }: DirectiveRecord): string {
    return this.#payloads.get(id) ?? "";
  }
  existing(ids: readonly string[]): ReadonlySet<string> {
    return new Set(ids.filter((id) => this.directives.has(id)));
  }
  insert(admitted: readonly { readonly record: DirectiveRecord; readonly payload: string }[]): void {
    for (const { record, payload } of admitted) {
      if (this.directives.has(record.id)) throw new Error(`${record.id} is there already`);
      this.directives.set(record.id, record);
      this.#payloads.set(record.id, payload);
      this.enqueue(record);
    }
  }
  prune(): { readonly next: null; readonly left: boolean } {
    return { next: null, left: false };
  }
  enqueue({ admission, id, notBeforeMs }: DirectiveRecord): void {
    if (this.backlog.has(admission)) throw new Error(`${id} is in the backlog already`);
    this.backlog.set(admission, { id, dueMs: notBeforeMs });
  }
  dequeue(admissions: readonly number[]): void {
    for (const admission of admissions) this.backlog.delete(admission);
  }
  backlogDue(nowMs: number, limit: number, except: ReadonlySet<string>): readonly DueDirective[] {
    return this.#waiting()
      .filter(({ id, dueMs }) => dueMs <= nowMs && !except.has(id))
      .slice(0, limit)
      .flatMap(({ id }) => this.directives.get(id) ?? [])
      .map((record) => ({
        id: record.id,
        admission: record.admission,
        payload: this.payloadOf(record),
        watched: isWatched(record),
      }));
  }
  backlogOldest(): DirectiveRecord | undefined {
    const [oldest] = this.#waiting();
    return oldest === undefined ? undefined : this.directives.get(oldest.id);
  }
  backlogNextDueMs(nowMs: number, except: ReadonlySet<string>): number | null {
    const due = this.#waiting().flatMap(({ id, dueMs }) => (except.has(id) ? [] : [dueMs]));
    return due.length === 0 ? null : Math.max(nowMs, Math.min(...due));
  }
  #waiting(): readonly { id: string; dueMs: number }[] {
    return [...this.backlog].toSorted(([left], [right]) => left - right).map(([, entry]) => entry);
  }
  oweLetter(id: string, dueMs: number): void {
    this.owed.set(id, dueMs);
  }
  letterPaid(id: string): boolean {
    return this.owed.delete(id);
  }
  lettersOwedDue(nowMs: number, limit: number): readonly string[] {
    return [...this.owed].flatMap(([id, dueMs]) => (dueMs <= nowMs ? [id] : [])).slice(0, limit);
  }
  lettersOwedNextMs(): number | null {
    return this.owed.size === 0 ? null : Math.min(...this.owed.values());
  }
  lettersOwedCount(): number {
    return this.owed.size;
  }
  /** The transaction of one event is over. */
  afterEvent(): void {}
  addEvent(event: LaneEvent): void {
    this.events.push(event);
  }
}
