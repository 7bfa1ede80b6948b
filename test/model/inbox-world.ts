import { inboxOfKey, inboxOfShard } from "../../domain/inbox-name.ts";
import type { LetterKey } from "../../domain/lane.ts";
import type { Effect, EventPlan, InboxTakeAnswer } from "../../domain/webhook-event.ts";
import { DEFAULT_INBOX_POLICY } from "../../domain/webhook-source.ts";
import { admitEvent, readmitEvent } from "../../durable-objects/webhook-inbox-admission.ts";
import { inboxAlarmMs, ringInbox } from "../../durable-objects/webhook-inbox-alarm.ts";
import { planEvents, takeEvents } from "../../durable-objects/webhook-inbox-lease.ts";
import { inboxLetter, lettersRecorded } from "../../durable-objects/webhook-inbox-letters.ts";
import { pauseInbox, resumeInbox, skipHead } from "../../durable-objects/webhook-inbox-operations.ts";
import { settleEvents } from "../../durable-objects/webhook-inbox-settlement.ts";
import type { InboxMoment } from "../../durable-objects/webhook-inbox-state.ts";
import { HANDLER, PERMANENT, TRANSIENT, type Flight, type InboxKind } from "./inbox-flight.ts";
import { InboxInvariants } from "./inbox-invariants.ts";
import { MemoryInbox } from "./memory-inbox.ts";
import { ModelReceiver, type Answer, type Delivery } from "./model-receiver.ts";

/**
 * One inbox, a receiver, a network that delivers late or never, and consumers that stop anywhere. What a consumer
 * owes the inbox, and every one here keeps: it plans before it delivers, handles a key's events in the order of the
 * flight, begins the next only when each effect of the one before has had its answer, stops at the first transient
 * one, and begins no delivery after its lease's end. A delivery that has begun may arrive at any time.
 */
export class InboxWorld {
  nowMs = 1_000_000;
  readonly inbox: MemoryInbox;
  readonly kind: InboxKind;
  readonly receiver = new ModelReceiver();
  readonly invariants: InboxInvariants;
  readonly #random: () => number;
  #flights: Flight[] = [];
  #network: Delivery[] = [];
  #letters: LetterKey[] = [];
  #doorbells = 0;
  #nonce = 0;
  /** The one token that may change something. */
  #current: { readonly token: number; readonly deadlineMs: number } | null = null;
  readonly #tokens: number[] = [];

  constructor(random: () => number, kind: InboxKind, inbox = new MemoryInbox()) {
    this.#random = random;
    this.kind = kind;
    this.inbox = inbox;
    this.invariants = new InboxInvariants(this);
  }

  get moment(): InboxMoment {
    const policy = {
      ...DEFAULT_INBOX_POLICY,
      leaseSeconds: 10,
      giveUpAfterSeconds: 300,
      retentionSeconds: 900,
      afterPermanentFailure: this.kind.afterPermanentFailure,
    };
    return { nowMs: this.nowMs, random: this.#random, policy };
  }

  get violations(): readonly string[] {
    return [...this.receiver.violations, ...this.invariants.violations];
  }

  pick(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #event<Given>(event: () => Given): Given {
    const answer = event();
    inboxAlarmMs(this.inbox, this.moment);
    this.inbox.afterEvent();
    this.invariants.check();
    return answer;
  }

  admitSome(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#nonce += 1;
      this.admit(`event-${this.#nonce}`);
    }
  }

  admit(id: string, altered = ""): void {
    const address = this.kind.ordered ? inboxOfKey("model", "key") : inboxOfShard("model", id, 1);
    const event = {
      id,
      digest: `digest of ${id}${altered}`,
      body: `body of ${id}`,
      contentType: "text/plain",
    };
    const answer = this.#event(() => admitEvent(this.inbox, address, event, this.moment));
    this.invariants.admitted(id, answer);
  }

  admitAgain(): void {
    const ids = [...this.inbox.records.values()].map(({ id }) => id);
    const id = ids[this.pick(ids.length)];
    if (id !== undefined) this.admit(id, this.pick(2) === 0 ? ", altered" : "");
  }

  begin(): InboxTakeAnswer["kind"] {
    const answer = this.#event(() => takeEvents(this.inbox, "model", this.moment));
    this.#fly(answer);
    return answer.kind;
  }

  #fly(answer: InboxTakeAnswer): void {
    if (answer.kind !== "work") return;
    if (this.#current !== null && this.#current.deadlineMs > this.nowMs)
      this.invariants.fail("two consumers hold the inbox at once");
    const deadlineMs = this.nowMs + answer.leaseMs;
    this.#current = { token: answer.token, deadlineMs };
    this.#tokens.push(answer.token);
    this.invariants.lent(answer);
    this.#flights.push({
      work: answer,
      deadlineMs,
      step: "plan",
      effects: new Map(),
      results: new Map(),
      sending: null,
      skipped: new Set(),
      stopped: false,
    });
  }

  /** One step of one consumer. False when there is none that can go on. */
  step(calm = false): boolean {
    const ready = this.#flights.filter(({ sending }) => sending === null);
    const flight = ready[this.pick(ready.length)];
    if (flight === undefined) return false;
    switch (flight.step) {
      case "plan":
        this.#plan(flight, calm);
        break;
      case "deliver":
        this.#deliver(flight);
        break;
      case "settle":
        this.#settle(flight, calm);
        break;
    }
    return true;
  }

  /** The handler: another output each time. */
  #handle(): readonly Effect[] {
    return Array.from({ length: [0, 1, 1, 1, 2, 2][this.pick(6)] ?? 1 }, () => {
      this.#nonce += 1;
      return { kind: "delivery", destination: `to-${this.#nonce}` } as const;
    });
  }

  #plan(flight: Flight, calm: boolean): void {
    const plans: EventPlan[] = [];
    for (const { sequence, effects } of flight.work.events) {
      if (effects !== null) {
        const stored = effects.map(({ effect }) => effect);
        flight.effects.set(sequence, stored);
        // A consumer that runs the handler again does no harm.
        if (!calm && this.pick(4) === 0) plans.push({ sequence, effects: this.#handle(), failure: null });
      } else if (!calm && this.pick(12) === 0) plans.push({ sequence, effects: [], failure: HANDLER });
      else {
        const asked = this.#handle();
        flight.effects.set(sequence, asked);
        plans.push({ sequence, effects: asked, failure: null });
      }
    }
    const { token } = flight.work;
    const answer = this.#fenced(token, () => planEvents(this.inbox, token, plans, this.moment), "stale");
    if (answer === "stale") this.#end(flight);
    else flight.step = "deliver";
  }

  #deliver(flight: Flight): void {
    for (const event of flight.work.events) {
      const asked = flight.effects.get(event.sequence);
      if (asked === undefined) continue;
      const had = flight.results.get(event.sequence) ?? [];
      flight.results.set(event.sequence, had);
      for (const [index, effect] of asked.entries()) {
        const stored = event.effects?.[index]?.state ?? "pending";
        if (stored !== "pending" || had.some((result) => result.index === index)) continue;
        if (flight.stopped || this.nowMs >= flight.deadlineMs || effect.kind !== "delivery") {
          if (had.length === 0) flight.results.delete(event.sequence);
          flight.step = "settle";
          return;
        }
        const delivery = { sequence: event.sequence, index, destination: effect.destination };
        flight.sending = delivery;
        this.#network.push(delivery);
        return;
      }
    }
    flight.step = "settle";
  }

  /** A delivery arrives, now or long after it was sent. Its answer may be lost. */
  arrive(calm = false): boolean {
    const [delivery] = this.#network.splice(this.pick(this.#network.length), 1);
    if (delivery === undefined) return false;
    const answer = calm
      ? "done"
      : (["done", "done", "done", "transient", "permanent"] as const)[this.pick(5)];
    const lost = !calm && this.pick(6) === 0;
    if (answer === undefined) return false;
    this.receiver.handle(delivery, answer);
    if (answer === "done") this.invariants.happened(delivery);
    this.#answer(delivery, lost ? "transient" : answer);
    return true;
  }

  #answer(delivery: Delivery, answer: Answer): void {
    const flight = this.#flights.find(({ sending }) => sending === delivery);
    if (flight === undefined) return;
    flight.sending = null;
    const about = { index: delivery.index, status: null, latencyMs: 1 };
    flight.results
      .get(delivery.sequence)
      ?.push(
        answer === "done"
          ? { kind: "done", ...about }
          : { kind: answer, failure: answer === "permanent" ? PERMANENT : TRANSIENT, ...about },
      );
    if (answer === "permanent") this.invariants.refused(delivery.sequence);
    if (answer === "transient" && this.kind.ordered) flight.stopped = true;
  }

  /** The consumer waits no longer; what it sent is on its way still. */
  timeOut(): void {
    const delivery = this.#flights.find(({ sending }) => sending !== null)?.sending;
    if (delivery !== undefined && delivery !== null) this.#answer(delivery, "transient");
  }

  #settle(flight: Flight, calm: boolean): void {
    const { token } = flight.work;
    const results = [...flight.results].map(([sequence, effects]) => ({ sequence, effects }));
    const renew = calm || this.pick(3) > 0;
    this.#end(flight);
    const answer = this.#fenced(
      token,
      () => {
        const settled = settleEvents(this.inbox, { token, results, renew }, this.moment);
        if (settled.kind === "settled") this.#current = null;
        return settled;
      },
      "stale",
      ({ kind }) => kind,
    );
    if (answer.kind === "stale") return;
    this.invariants.settled(results.filter(({ sequence }) => !flight.skipped.has(sequence)));
    // The answer may be lost: then the lease that it brought ends by itself.
    this.#fly(answer.next);
    if (!calm && this.pick(8) === 0) this.#flights.pop();
  }

  /** A call under a token: a stale one must say so, and change nothing; a live one must not be refused. */
  #fenced<Given>(
    token: number,
    call: () => Given,
    stale: string,
    kindOf: (answer: Given) => unknown = (answer) => answer,
  ): Given {
    const live = this.#current?.token === token && this.#current.deadlineMs > this.nowMs;
    const before = live ? "" : this.invariants.snapshot();
    const answer = this.#event(call);
    if (live === (kindOf(answer) === stale))
      this.invariants.fail(`token ${token} is ${live ? "live" : "stale"}`);
    if (!live && before !== this.invariants.snapshot())
      this.invariants.fail(`the stale token ${token} changed something`);
    return answer;
  }

  /** A consumer of long ago says that it did everything. */
  zombie(): void {
    const token = this.#tokens[this.pick(this.#tokens.length)];
    if (token === undefined || token === this.#current?.token) return;
    const about = { status: null, latencyMs: 1 } as const;
    const results = [...this.inbox.records.keys()].map((sequence) => ({
      sequence,
      effects: [0, 1].map((index) => ({ kind: "done" as const, index, ...about })),
    }));
    const plans = [...this.inbox.records.keys()].map((sequence) => ({
      sequence,
      effects: this.#handle(),
      failure: null,
    }));
    this.#fenced(token, () => planEvents(this.inbox, token, plans, this.moment), "stale");
    this.#fenced(
      token,
      () => settleEvents(this.inbox, { token, results, renew: true }, this.moment),
      "stale",
      ({ kind }) => kind,
    );
  }

  #end(flight: Flight): void {
    this.#flights = this.#flights.filter((other) => other !== flight);
  }

  crash(): void {
    this.#flights.splice(this.pick(this.#flights.length), 1);
  }

  pause(): void {
    this.#event(() => pauseInbox(this.inbox, "model", "operator", this.moment));
  }

  resume(): void {
    this.#event(() => resumeInbox(this.inbox, "model", "operator", this.moment));
  }

  skip(): void {
    const holder = this.#flights.find(({ work }) => work.token === this.#current?.token);
    const skipped = this.#event(() =>
      skipHead(this.inbox, { reason: "model", actor: "operator", sequence: null }, this.moment),
    );
    if (skipped !== null) holder?.skipped.add(skipped);
  }

  /** An operator replays a dead event, from its letter or from an older one; or one that is not dead at all. */
  readmit(): void {
    const records = [...this.inbox.records.values()];
    const ended = records.filter(({ state }) => state !== "queued");
    const from = this.pick(4) === 0 ? records : ended;
    const record = from[this.pick(from.length)];
    if (record === undefined) return;
    const generation = Math.max(0, record.generation - this.pick(2));
    const key = { id: record.id, digest: record.digest, generation };
    this.invariants.readmitted(
      record,
      key,
      this.#event(() => readmitEvent(this.inbox, key, this.moment)),
    );
  }

  alarm(): void {
    const dueMs = inboxAlarmMs(this.inbox, this.moment);
    if (dueMs === null || dueMs > this.nowMs) return;
    const { doorbell, letters } = this.#event(() => ringInbox(this.inbox, this.moment));
    if (doorbell) this.#doorbells += 1;
    this.#letters.push(...letters);
  }

  /** The ledger hears of a letter, perhaps not for the first time; what it answers may be lost. */
  hear(lose: boolean): void {
    const [key] = this.#letters.splice(this.pick(this.#letters.length), 1);
    if (key === undefined || (lose && this.pick(3) === 0)) return;
    const letter = inboxLetter(this.inbox, key);
    if (letter === undefined) return;
    this.invariants.recorded(letter);
    if (lose && this.pick(3) === 0) return;
    this.#event(() => lettersRecorded(this.inbox, [key]));
  }

  /** Faults stop: only the alarm drives. True when everything has come to an end. */
  calm(): boolean {
    this.#flights = [];
    this.#network = [];
    this.#doorbells = 0;
    for (let turn = 0; turn < 5000; turn += 1) {
      if (this.violations.length > 0) return true;
      if (this.inbox.header.paused !== null) this.resume();
      if (this.arrive(true) || this.step(true)) continue;
      if (this.#letters.length > 0) this.hear(false);
      else if (this.#doorbells > 0) {
        this.#doorbells -= 1;
        this.begin();
      } else if (this.invariants.ended()) return true;
      else {
        const dueMs = inboxAlarmMs(this.inbox, this.moment);
        if (dueMs === null) return false;
        this.nowMs = Math.max(this.nowMs, dueMs);
        this.alarm();
      }
    }
    return false;
  }
}
