import { DEFAULT_CHAIN_POLICY } from "../../domain/config.ts";
import { parseAccount } from "../../domain/ids.ts";
import type { Evidence, Work } from "../../domain/lane.ts";
import type { Outcome } from "../../domain/outcome.ts";
import { admit } from "../../durable-objects/sequencer-admission.ts";
import { alarmDueMs, ring, schedule } from "../../durable-objects/sequencer-alarm.ts";
import { burn } from "../../durable-objects/sequencer-burn.ts";
import { confirm, lookUpFailed, unconfirmed } from "../../durable-objects/sequencer-evidence.ts";
import { recordSigned, take } from "../../durable-objects/sequencer-lease.ts";
import { readmit } from "../../durable-objects/sequencer-readmission.ts";
import { settle } from "../../durable-objects/sequencer-settlement.ts";
import { countsOf, type Moment } from "../../durable-objects/sequencer-state.ts";
import { MemoryLane } from "./memory-lane.ts";
import { ModelChain, type Tx } from "./model-chain.ts";
import { NO_FUNDS, REVERTS, TIMEOUT, TOO_LITTLE_GAS, UNAUTHORIZED, type Flight } from "./model-flight.ts";

const parsed = parseAccount("eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
if (!parsed.ok) throw new Error(parsed.error);
const ACCOUNT = parsed.value.id;

/**
 * One lane, a chain with a pool, a network that delivers late or never, and consumers that stop anywhere.
 * The chain's side is the truth that the lane cannot see: invariants are checked against it.
 */
export class World {
  nowMs = 1_000_000;
  readonly lane: MemoryLane;
  readonly #txs = new Map<string, Tx>();
  readonly #flights: Flight[] = [];
  readonly #evidence: Evidence[] = [];
  readonly #ledger = new Set<string>();
  #hashes = 0;
  #admitted = 0;
  readonly #random: () => number;
  readonly violations: string[] = [];
  readonly chain: ModelChain;

  constructor(
    random: () => number,
    { lane = new MemoryLane(), strict = false }: { lane?: MemoryLane; strict?: boolean } = {},
  ) {
    this.#random = random;
    this.lane = lane;
    this.chain = new ModelChain((count) => this.pick(count), strict);
  }

  get moment(): Moment {
    const policy = {
      ...DEFAULT_CHAIN_POLICY,
      confirmations: 1,
      leaseSeconds: 10,
      rpcTimeoutSeconds: 3,
      maxUnconfirmed: 12,
      maxFlights: 3,
      gapTolerant: !this.chain.strict,
      bumpAfterSeconds: 25,
      maxBumps: 3,
      rebroadcastAfterSeconds: 20,
      confirmEverySeconds: 5,
    };
    return { nowMs: this.nowMs, random: this.#random, policy };
  }

  pick(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #event<Answer>(event: () => Answer): Answer {
    const answer = event();
    schedule(this.lane, this.moment, false);
    this.lane.afterEvent();
    this.check();
    return answer;
  }

  admitSome(count: number): void {
    const kinds = ["good", "good", "good", "poison", "heavy"];
    for (let index = 0; index < count; index += 1) {
      const id = `${kinds[this.pick(kinds.length)]}-${this.#admitted}`;
      this.#admitted += 1;
      this.#event(() =>
        admit(this.lane, ACCOUNT, [{ id, digest: id, payload: "{}", expiresAtMs: null }], this.moment),
      );
    }
  }

  admitAgain(): void {
    const ids = [...this.lane.directives.keys()];
    const id = ids[this.pick(ids.length)];
    if (id === undefined) return;
    const [answer] = this.#event(() =>
      admit(this.lane, ACCOUNT, [{ id, digest: id, payload: "{}", expiresAtMs: null }], this.moment),
    );
    if (answer?.kind !== "duplicate") this.violations.push(`${id} was admitted twice`);
  }

  /** An operator replays a dead directive, from its letter or from an older one. */
  readmitSome(): void {
    const dead = [...this.lane.directives.values()].filter(
      ({ state }) => state === "dead" || state === "confirmed",
    );
    const record = dead[this.pick(dead.length)];
    if (record === undefined) return;
    const generation = Math.max(0, record.generation - this.pick(2));
    const answer = this.#event(() =>
      readmit(this.lane, { id: record.id, digest: record.digest, generation }, null, this.moment),
    );
    if (record.state === "confirmed" && answer.kind !== "already-landed")
      this.violations.push(`${record.id} landed and was ${answer.kind}`);
  }

  /** An operator says, rightly or not, that one did not land: nothing may follow from it but a no-op. */
  burnSome(): void {
    const records = [...this.lane.directives.values()];
    const review = records.filter(({ state }) => state === "review");
    const record = review[this.pick(review.length)] ?? records[this.pick(records.length)];
    if (record === undefined) return;
    const { kind } = this.#event(() => burn(this.lane, record.id, "model", "operator", this.moment));
    const expected = record.state !== "review" ? "settled" : this.chain.strict ? "impossible" : "burning";
    if (kind !== expected || this.lane.directive(record.id)?.state !== record.state)
      this.violations.push(`R5: ${record.id} was ${record.state}, and burning it ${kind}`);
  }

  begin(): void {
    const work = this.#event(() => take(this.lane, "model", this.moment));
    if (work.kind === "work") this.#fly(work);
  }

  #fly(work: Work): void {
    this.#flights.push({
      work,
      deadlineMs: this.nowMs + work.leaseMs,
      step: "prepare",
      reading: 0,
      entries: [],
      refusals: [],
      toSend: [],
      outcomes: [],
      outage: null,
    });
  }

  crash(): void {
    this.#flights.splice(this.pick(this.#flights.length), 1);
  }

  /** One step of one consumer. `faults` false: nothing goes wrong on the way. */
  step(faults: boolean): boolean {
    const index = this.pick(this.#flights.length);
    const flight = this.#flights[index];
    if (flight === undefined) return false;
    switch (flight.step) {
      case "prepare":
        this.#prepare(flight, faults);
        break;
      case "record":
        this.#record(flight, index);
        break;
      case "send":
        this.#send(flight, faults);
        break;
      case "settle":
        this.#settle(flight, index);
        break;
    }
    return true;
  }

  #prepare(flight: Flight, faults: boolean): void {
    const { work } = flight;
    flight.step = "settle";
    if (faults && this.pick(12) === 0) {
      flight.outage = this.pick(4) === 0 ? UNAUTHORIZED : TIMEOUT;
      return;
    }
    flight.reading = this.chain.nonce;
    const first = work.range[0];
    if (work.directives.length > 0 && (first === undefined || this.chain.nonce > first)) return;
    if (first !== undefined && this.chain.nonce > first) return;
    const survivors: (string | null)[] = [];
    for (const { id } of work.directives) {
      if (id.startsWith("poison")) flight.refusals.push({ id, failure: REVERTS });
      else if (faults && this.pick(10) === 0) flight.refusals.push({ id, failure: NO_FUNDS });
      else survivors.push(id);
    }
    while (survivors.length < work.holes) survivors.push(null);
    const fresh = survivors.flatMap((id, at) => {
      const sequence = work.range[at];
      return sequence === undefined ? [] : [{ sequence, id }];
    });
    const burns = work.burns.map(({ sequence }) => ({ sequence, id: null }));
    const bumps = work.bumps.map(({ sequence, directive }) => ({ sequence, id: directive.id }));
    flight.entries = [...burns, ...bumps, ...fresh].map((entry) => ({ ...entry, ...this.#sign() }));
    flight.step = "record";
  }

  #sign(): { hash: string; raw: string; validUntil: number | null } {
    this.#hashes += 1;
    return {
      hash: `h${this.#hashes}`,
      raw: "0x",
      validUntil: this.chain.strict ? this.chain.height + 4 + this.pick(6) : null,
    };
  }

  #record(flight: Flight, index: number): void {
    const { entries, work } = flight;
    if (entries.length > 0) {
      const answer = this.#event(() => recordSigned(this.lane, work.token, entries, this.moment));
      if (answer.kind === "stale") {
        this.#flights.splice(index, 1);
        return;
      }
      if (answer.kind === "holes") {
        const noops = answer.sequences.map((sequence) => ({ sequence, id: null, ...this.#sign() }));
        flight.entries = [...entries, ...noops];
        return;
      }
      if (answer.kind === "refused") {
        flight.entries = [];
        flight.refusals = [];
        flight.step = "settle";
        return;
      }
      for (const { hash, sequence, id, validUntil } of entries) {
        if (![...work.burns, ...work.bumps].some((replaced) => replaced.sequence === sequence))
          this.#checkBinding({ hash, sequence, id, validUntil });
        this.#txs.set(hash, { hash, sequence, id, validUntil });
      }
    }
    flight.toSend = [
      ...work.rebroadcast.flatMap(({ hash }) => this.#txs.get(hash) ?? []),
      ...entries.map(({ hash, sequence, id, validUntil }) => ({ hash, sequence, id, validUntil })),
    ];
    flight.step = "send";
  }

  /** G2 and G1 by the truth: what was signed before for this number, or for this directive, cannot land any more. */
  #checkBinding(tx: Tx): void {
    for (const earlier of this.#txs.values()) {
      const related = earlier.sequence === tx.sequence || (tx.id !== null && earlier.id === tx.id);
      if (!related || !this.chain.mayLand(earlier)) continue;
      this.violations.push(
        `${tx.hash} (${tx.id} at ${tx.sequence}) was recorded while ${earlier.hash} (${earlier.id} at ${earlier.sequence}) may land`,
      );
    }
  }

  #send(flight: Flight, faults: boolean): void {
    const tx = flight.toSend.shift();
    if (tx === undefined) {
      flight.step = "settle";
      return;
    }
    const answer = (outcome: Outcome): void => void flight.outcomes.push({ hash: tx.hash, outcome });
    if (this.nowMs >= flight.deadlineMs) return answer({ kind: "unavailable", failure: TIMEOUT });
    const fault = faults ? this.pick(10) : 9;
    if (fault === 0) {
      this.chain.network.push(tx);
      return answer({ kind: "uncertain", failure: this.pick(4) === 0 ? UNAUTHORIZED : TIMEOUT });
    }
    if (fault === 1) return answer({ kind: "uncertain", failure: TIMEOUT });
    if (fault === 2 && this.chain.pool.get(tx.sequence)?.hash !== tx.hash && this.chain.nonce <= tx.sequence)
      return answer({ kind: "refused", failure: NO_FUNDS });
    if (tx.id?.startsWith("heavy") === true && this.chain.nonce <= tx.sequence)
      return answer({ kind: "refused", failure: TOO_LITTLE_GAS });
    answer(this.chain.arrive(tx));
  }

  #settle(flight: Flight, index: number): void {
    const { work, outcomes, refusals, outage, reading } = flight;
    this.#flights.splice(index, 1);
    const read =
      outage === null &&
      (work.directives.length > 0 || work.holes > 0 || work.burns.length > 0 || work.bumps.length > 0);
    const settlement = {
      token: work.token,
      outcomes,
      refusals,
      outage,
      reading: read ? { sequence: reading } : null,
      renew: this.pick(8) !== 0,
    };
    const answer = this.#event(() => settle(this.lane, settlement, this.moment));
    if (answer.kind === "settled" && answer.next.kind === "work") this.#fly(answer.next);
  }

  lookUp(): void {
    const { slots } = unconfirmed(this.lane, 3 + this.pick(10));
    const looked = slots.flatMap(({ hashes }) => hashes);
    const { block, sequence, receipts } = this.chain.finalView(looked);
    // A node may have pruned a receipt, or not have indexed it yet.
    if (this.pick(6) === 0) receipts.splice(this.pick(receipts.length), 1);
    const mine = new Set(looked);
    const foreign = this.chain.finalUsers().filter(({ hash }) => !mine.has(hash));
    this.#evidence.push({ block, sequence, looked, receipts, foreign });
  }
  lookUpFails(): void {
    if (this.lane.header.account !== null) this.#event(() => lookUpFailed(this.lane, TIMEOUT, this.moment));
  }
  tell(): void {
    const [evidence] = this.#evidence.splice(this.pick(this.#evidence.length), 1);
    if (evidence !== undefined) this.#event(() => confirm(this.lane, evidence, this.moment));
  }

  /** The alarm, if it is due: what it asks for happens, unless the message is lost. */
  alarm(lost: boolean): void {
    const dueMs = alarmDueMs(this.lane);
    if (dueMs === null || dueMs > this.nowMs) return;
    const { doorbell, confirmation, letters } = this.#event(() => ring(this.lane, this.moment));
    if (lost) return;
    if (doorbell) this.begin();
    if (confirmation) this.lookUp();
    for (const { id, generation } of letters) {
      this.#ledger.add(`${id} ${generation}`);
      this.lane.letterPaid(id);
    }
  }

  /** Faults end; only the alarm drives. True when every directive came to an end. */
  calm(): boolean {
    if (this.lane.header.account === null) return true;
    for (let round = 0; round < 3000; round += 1) {
      if (this.lane.header.paused !== null) {
        this.lane.header.paused = null;
        this.lane.header.breaker = 0;
        schedule(this.lane, this.moment, true);
      }
      while (this.step(false)) if (this.violations.length > 0) return false;
      this.chain.mine(100);
      while (this.#evidence.length > 0) this.tell();
      const open = [...this.lane.directives.values()].some(
        ({ state }) => state === "queued" || state === "review",
      );
      if (!open && this.lane.owed.size === 0) return true;
      const dueMs = alarmDueMs(this.lane);
      if (dueMs === null) return false;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.alarm(false);
    }
    return false;
  }

  /** What must hold after every single event. */
  check(): void {
    const effects = new Map<string, number>();
    for (const { id } of this.chain.mined.values())
      if (id !== null) effects.set(id, (effects.get(id) ?? 0) + 1);
    for (const [id, count] of effects) if (count > 1) this.violations.push(`G1: ${id} has ${count} effects`);
    const states = [...this.lane.directives.values()];
    const counted = countsOf(this.lane.header);
    const settled = states.filter(({ state }) => state === "confirmed" || state === "replaced").length;
    const dead = states.filter(({ state }) => state === "dead" || state === "reverted").length;
    if (
      counted.settled !== settled ||
      counted.dead !== dead ||
      counted.inFlight !== states.length - settled - dead
    ) {
      this.violations.push(
        `G3: counts ${JSON.stringify(counted)} for ${states.length} directives, ${settled} settled, ${dead} dead`,
      );
    }
    for (const record of states) {
      const slots = [...this.lane.slots.values()].filter(
        ({ state, id }) => state === "open" && id === record.id,
      ).length;
      const places = slots + (this.lane.backlog.has(record.admission) ? 1 : 0);
      const expected = record.state === "queued" ? 1 : record.state === "review" ? slots : 0;
      if (places !== expected || slots > 1)
        this.violations.push(`G3: ${record.id} is ${record.state} in ${slots} slots and ${places} places`);
    }
    const granted = this.lane.header.leases.flatMap(({ range }) => range);
    if (new Set(granted).size !== granted.length) this.violations.push("R2: two leases share a number");
  }

  /** At the end: what the lane says landed, landed, and nothing else did. */
  checkEnd(): void {
    const effects = new Map(
      [...this.chain.mined.values()].flatMap(({ id, success }) =>
        id === null ? [] : [[id, success] as const],
      ),
    );
    for (const { id, state, generation } of this.lane.directives.values()) {
      const told = this.#ledger.has(`${id} ${generation}`);
      if ((state === "dead" || state === "reverted") && !told)
        this.violations.push(`R7: the ledger knows nothing of ${id}, which is ${state}`);
      const effect = effects.get(id);
      const expected = state === "confirmed" ? true : state === "reverted" ? false : undefined;
      if (effect !== expected) this.violations.push(`G1: ${id} is ${state}, the chain says ${effect}`);
    }
  }
}
