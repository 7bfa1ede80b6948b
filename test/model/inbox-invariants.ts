import type { LetterKey } from "../../domain/lane.ts";
import type {
  EventAdmissionAnswer,
  EventReadmissionAnswer,
  InboxLetter,
  InboxSettlement,
  InboxWork,
} from "../../domain/webhook-event.ts";
import { inboxCounts, isLate, type EventRecord } from "../../durable-objects/webhook-inbox-state.ts";
import type { InboxWorld } from "./inbox-world.ts";
import type { Delivery } from "./model-receiver.ts";

/** What must hold of an inbox, whatever happens. Each is checked against what the world saw, not what the inbox says. */
export class InboxInvariants {
  readonly violations: string[] = [];
  readonly #world: InboxWorld;
  /** In the order of admission. */
  readonly #admitted: string[] = [];
  readonly #plans = new Map<number, string>();
  /** Events that a receiver refused for good, or that were dead: those behind them need not wait. */
  readonly #excused = new Set<number>();
  readonly #done = new Set<string>();
  readonly #ledger = new Set<string>();
  /** When each was first seen settled. */
  readonly #settledMs = new Map<number, number>();
  /** The unpaused time at the first failure of an event's generation. */
  readonly #failedMs = new Map<string, number>();
  #clock: { readonly atMs: number; readonly unpausedMs: number; readonly paused: boolean } | null = null;
  readonly #generations = new Map<number, number>();

  constructor(world: InboxWorld) {
    this.#world = world;
  }

  fail(what: string): void {
    this.violations.push(what);
  }

  get #records(): readonly EventRecord[] {
    return [...this.#world.inbox.records.values()];
  }

  snapshot(): string {
    const { header, records, rows, owed } = this.#world.inbox;
    return JSON.stringify([header, [...records], [...rows], [...owed]]);
  }

  /** G4: a place in the order of admission for each id, and one alone. */
  admitted(id: string, { kind, sequence }: EventAdmissionAnswer): void {
    if (kind === "admitted") {
      if (sequence !== this.#admitted.length)
        this.fail(`${id} has ${sequence}, not ${this.#admitted.length}`);
      const earlier = this.#records.filter((record) => record.id === id);
      if (earlier.length > 1) this.fail(`${id} is two events`);
      this.#admitted.push(id);
    } else if (this.#admitted[sequence] !== id) this.fail(`${id} is said to be ${sequence}`);
  }

  /**
   * G4: none is lent before one of its key that was admitted earlier, and was never dead. Late ones come one at a time, the
   * earliest of those that are due first.
   */
  lent({ events }: InboxWork): void {
    const { ordered, afterPermanentFailure } = this.#world.kind;
    let earlier = -1;
    for (const event of events) {
      const record = this.#world.inbox.event(event.sequence);
      if (record?.state !== "queued") this.fail(`${event.sequence} is lent, and is ${record?.state}`);
      if (record !== undefined && !this.#isDue(record))
        this.fail(`${event.sequence} is lent before its delay is over`);
      for (const [index, { state }] of (event.effects ?? []).entries())
        if (state === "pending" && this.#done.has(`${event.sequence}/${index}`))
          this.fail(`effect ${event.sequence}/${index} was settled as done, and is to be done again`);
      if (!ordered) continue;
      if (event.generation > 0 && afterPermanentFailure === "continue") {
        const before = this.#records.find(
          (other) => isLate(other) && other.sequence < event.sequence && this.#isDue(other),
        );
        if (before !== undefined) this.fail(`${event.sequence} is lent late before ${before.sequence}`);
        if (events.length > 1) this.fail(`${event.sequence} is late, and is lent with others`);
        continue;
      }
      const skipped = this.#records.find(
        (other) =>
          other.state === "queued" &&
          other.sequence < event.sequence &&
          (other.generation === 0 || afterPermanentFailure === "pause") &&
          !events.some(({ sequence }) => sequence === other.sequence),
      );
      if (skipped !== undefined) this.fail(`${event.sequence} is lent, and ${skipped.sequence} waits`);
      if (event.sequence < earlier) this.fail(`${event.sequence} is lent after ${earlier}`);
      earlier = event.sequence;
    }
  }

  #isDue({ state, lastRetry }: EventRecord): boolean {
    const { atMs, delayMs } = lastRetry ?? { atMs: 0, delayMs: 0 };
    return state === "queued" && atMs + delayMs <= this.#world.nowMs;
  }

  /**
   * G4 at the receiver: an effect first succeeds when all effects of the key's earlier events have succeeded, but for
   * events that were refused for good, or dead, before.
   */
  happened({ sequence }: Delivery): void {
    const { inbox, kind, receiver } = this.#world;
    const record = inbox.event(sequence);
    if (!kind.ordered || (record !== undefined && isLate(record))) return;
    for (const earlier of this.#records) {
      if (earlier.sequence >= sequence || this.#excused.has(earlier.sequence)) continue;
      const whole = earlier.effects?.every((_, index) => receiver.has(earlier.sequence, index)) ?? false;
      if (!whole) this.fail(`${sequence} happened before ${earlier.sequence}`);
    }
  }

  refused(sequence: number): void {
    this.#excused.add(sequence);
  }

  settled(results: InboxSettlement["results"]): void {
    for (const { sequence, effects } of results)
      for (const { kind, index } of effects) if (kind === "done") this.#done.add(`${sequence}/${index}`);
  }

  /** Compare-and-set, and only from `dead`. */
  readmitted(before: EventRecord, key: LetterKey, answer: EventReadmissionAnswer): void {
    const due = before.state === "dead" && before.generation === key.generation;
    if (due !== (answer.kind === "readmitted"))
      this.fail(`the letter ${key.id}, ${key.generation} is ${answer.kind}`);
    if (before.state === "settled" && answer.kind !== "already-landed")
      this.fail(`${key.id} is settled, and ${answer.kind}`);
  }

  recorded({ id, generation, sequence }: InboxLetter): void {
    this.#ledger.add(`${sequence}/${generation}`);
    if (this.#admitted[sequence] !== id) this.fail(`the letter of ${id} is of ${sequence}`);
  }

  check(): void {
    const { inbox, nowMs, moment } = this.#world;
    const { header } = inbox;
    const records = this.#records;
    const of = (state: EventRecord["state"]) => records.filter((record) => record.state === state).length;
    const counts = inboxCounts(header);
    const gone = header.nextSequence - records.length;
    if (
      counts.dead !== of("dead") ||
      counts.inFlight !== of("queued") ||
      counts.settled !== of("settled") + gone
    )
      this.fail(`the counts are ${JSON.stringify(counts)}, with ${gone} forgotten`);
    this.#checkQueue(records);
    const unpausedMs = this.#unpausedMs();
    for (const record of records) this.#checkRecord(record, unpausedMs);
    const { retentionSeconds } = moment.policy;
    for (let sequence = 0; sequence < this.#admitted.length; sequence += 1) {
      if (inbox.records.has(sequence)) continue;
      const settledMs = this.#settledMs.get(sequence) ?? nowMs;
      if (nowMs - settledMs < retentionSeconds * 1000) this.fail(`${sequence} was forgotten before its time`);
    }
    for (const { sequence, state } of records)
      if (state === "settled" && !this.#settledMs.has(sequence)) this.#settledMs.set(sequence, nowMs);
  }

  /** The time in which the inbox was not paused, by the world's clock. */
  #unpausedMs(): number {
    const { nowMs, inbox } = this.#world;
    const before = this.#clock ?? { atMs: nowMs, unpausedMs: 0, paused: false };
    const unpausedMs = before.unpausedMs + (before.paused ? 0 : nowMs - before.atMs);
    this.#clock = { atMs: nowMs, unpausedMs, paused: inbox.header.paused !== null };
    return unpausedMs;
  }

  /** Each queued event is in one place: lent, waiting or fresh. */
  #checkQueue(records: readonly EventRecord[]): void {
    const { header, rows } = this.#world.inbox;
    const lent = new Set(header.lease?.sequences ?? []);
    const base = header.lease?.freshBase ?? 0;
    const waits = [...rows.values()];
    for (const record of records) {
      const { sequence } = record;
      const row = waits.filter((waiting) => waiting.sequence === sequence);
      const lentFresh = lent.has(sequence) && sequence >= base;
      const places = Number(lentFresh) + row.length + Number(sequence >= header.freshFrom);
      if (places !== (record.state === "queued" ? 1 : 0))
        this.fail(`${sequence} is ${record.state}, and in ${places} places`);
      if (row.some(({ late }) => late !== isLate(record))) this.fail(`${sequence} waits in another's line`);
      if (lent.has(sequence) && record.state !== "queued")
        this.fail(`${sequence} is lent and ${record.state}`);
    }
  }

  #checkRecord(record: EventRecord, unpausedMs: number): void {
    const { inbox, moment } = this.#world;
    const { sequence, generation, state, effects } = record;
    if (state === "dead") this.#excused.add(sequence);
    const owed = inbox.letterOwed(sequence);
    if (state === "dead" && !owed && !this.#ledger.has(`${sequence}/${generation}`))
      this.fail(`${sequence} is dead, and nobody will hear of it`);
    if (state !== "dead" && owed) this.fail(`${sequence} is ${state}, and owes a letter`);
    const seen = this.#generations.get(sequence) ?? 0;
    if (generation < seen) this.fail(`${sequence} went back to generation ${generation}`);
    this.#generations.set(sequence, generation);
    const key = `${sequence}/${generation}`;
    if (record.retries > 0 && !this.#failedMs.has(key)) this.#failedMs.set(key, unpausedMs);
    const spentMs = unpausedMs - (this.#failedMs.get(key) ?? 0);
    const gaveUp =
      state === "dead" && record.failure?.code === "gave_up" && record.failure.atMs === this.#world.nowMs;
    if (gaveUp && spentMs < moment.policy.giveUpAfterSeconds * 1000)
      this.fail(`${sequence} was given up after ${spentMs} ms`);
    if (effects === null) {
      if (this.#plans.has(sequence)) this.fail(`the plan of ${sequence} is gone`);
      if (state === "settled") this.fail(`${sequence} is settled without a plan`);
      return;
    }
    const plan = JSON.stringify(effects.map(({ effect }) => effect));
    const stored = this.#plans.get(sequence) ?? plan;
    this.#plans.set(sequence, stored);
    if (stored !== plan) this.fail(`the plan of ${sequence} changed`);
    for (const [index, { state: effectState }] of effects.entries()) {
      if (effectState === "done" && !this.#world.receiver.has(sequence, index))
        this.fail(`effect ${sequence}/${index} is done, and never happened`);
      if (state === "settled" && effectState !== "done")
        this.fail(`${sequence} is settled without all of it`);
    }
  }

  /** Nothing is queued, every letter is acknowledged, and what was settled is forgotten. */
  ended(): boolean {
    return this.#world.inbox.owed.size === 0 && this.#records.every(({ state }) => state === "dead");
  }
}
