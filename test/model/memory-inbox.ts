import type { LaneEvent } from "../../domain/lane.ts";
import {
  newInboxHeader,
  type EventRecord,
  type InboxState,
  type Waiting,
} from "../../durable-objects/webhook-inbox-state.ts";

/** `InboxState` in memory: what the machine is proven over. The SQLite one is held to the same tests. */
export class MemoryInbox implements InboxState {
  readonly header = newInboxHeader();
  readonly log: LaneEvent[] = [];
  readonly records = new Map<number, EventRecord>();
  readonly rows = new Map<string, Waiting>();
  readonly owed = new Map<number, number>();
  readonly #bodies = new Map<number, string>();

  event(sequence: number): EventRecord | undefined {
    return this.records.get(sequence);
  }
  prefetch(_sequences: readonly number[]): void {}
  putEvent(record: EventRecord): void {
    this.records.set(record.sequence, record);
  }
  insert(record: EventRecord, body: string): void {
    this.records.set(record.sequence, record);
    this.#bodies.set(record.sequence, body);
  }
  sequenceOf(id: string): number | undefined {
    for (const record of this.records.values()) if (record.id === id) return record.sequence;
    return undefined;
  }
  bodyOf(sequence: number): string {
    const body = this.#bodies.get(sequence);
    if (body === undefined) throw new Error(`${sequence} has no body`);
    return body;
  }
  putWaiting(waiting: Waiting): void {
    this.rows.set(rowKey(waiting), waiting);
  }
  clearWaiting(waiting: Pick<Waiting, "sequence" | "late">): void {
    this.rows.delete(rowKey(waiting));
  }
  waiting(late: boolean, limit: number): readonly Waiting[] {
    return this.#of(late)
      .toSorted((left, right) => left.sequence - right.sequence)
      .slice(0, limit);
  }
  waitingDue(late: boolean, nowMs: number, limit: number): readonly Waiting[] {
    return this.#of(late)
      .filter(({ dueMs }) => dueMs <= nowMs)
      .toSorted((left, right) => left.dueMs - right.dueMs || left.sequence - right.sequence)
      .slice(0, limit);
  }
  firstLateDue(nowMs: number): number | undefined {
    const due = this.#of(true).filter(({ dueMs }) => dueMs <= nowMs);
    return due.length === 0 ? undefined : Math.min(...due.map(({ sequence }) => sequence));
  }
  waitingNextMs(late: boolean): number | null {
    return least(this.#of(late).map(({ dueMs }) => dueMs));
  }
  #of(late: boolean): readonly Waiting[] {
    return [...this.rows.values()].filter((waiting) => waiting.late === late);
  }
  oweLetter(sequence: number, dueMs: number): void {
    this.owed.set(sequence, dueMs);
  }
  letterPaid(sequence: number): void {
    this.owed.delete(sequence);
  }
  letterOwed(sequence: number): boolean {
    return this.owed.has(sequence);
  }
  lettersOwedDue(nowMs: number, limit: number): readonly number[] {
    return [...this.owed]
      .filter(([, dueMs]) => dueMs <= nowMs)
      .toSorted(([left, leftMs], [right, rightMs]) => leftMs - rightMs || left - right)
      .map(([sequence]) => sequence)
      .slice(0, limit);
  }
  lettersOwedNextMs(): number | null {
    return least([...this.owed.values()]);
  }
  addEvent(event: LaneEvent): void {
    this.log.push(event);
  }
  prune(
    settledBeforeMs: number,
    from: number,
    limit: number,
  ): { readonly next: number | null; readonly dropped: number } {
    const looked = [...this.records.values()]
      .filter(({ sequence, admittedAtMs }) => sequence >= from && admittedAtMs < settledBeforeMs)
      .toSorted((left, right) => left.sequence - right.sequence)
      .slice(0, limit);
    const old = looked.filter(
      ({ state, updatedAtMs }) => state === "settled" && updatedAtMs < settledBeforeMs,
    );
    for (const { sequence } of old) {
      this.records.delete(sequence);
      this.#bodies.delete(sequence);
    }
    const last = looked.length === limit ? looked.at(-1) : undefined;
    return { next: last === undefined ? null : last.sequence + 1, dropped: old.length };
  }
  /** The transaction of one event is over. */
  afterEvent(): void {}
}

function rowKey({ sequence, late }: Pick<Waiting, "sequence" | "late">): string {
  return `${late ? "late" : "in order"} ${sequence}`;
}

function least(times: readonly number[]): number | null {
  return times.length === 0 ? null : Math.min(...times);
}
