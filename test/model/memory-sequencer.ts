import { DEFAULT_CHAIN_POLICY, type ChainPolicy } from "../../domain/config.ts";
import type { Failure } from "../../domain/failure.ts";
import type { AccountId } from "../../domain/ids.ts";
import type { Admission, Evidence, Settlement, SignedEntry } from "../../domain/lane.ts";
import { admit } from "../../durable-objects/sequencer-admission.ts";
import { schedule } from "../../durable-objects/sequencer-alarm.ts";
import { confirm, lookUpFailed, unconfirmed } from "../../durable-objects/sequencer-evidence.ts";
import { recordSigned, take } from "../../durable-objects/sequencer-lease.ts";
import { settle } from "../../durable-objects/sequencer-settlement.ts";
import { statusOf, type Moment } from "../../durable-objects/sequencer-state.ts";
import { MemoryLane } from "./memory-lane.ts";

/** The lane's wire protocol over memory and a clock that the test moves. */
export class MemorySequencer {
  readonly lane = new MemoryLane();
  readonly #now: () => number;
  readonly #policy: ChainPolicy;
  /** Called before and after each call: a test crashes the caller here. */
  readonly #step: (at: string) => void;

  constructor(
    now: () => number,
    step: (at: string) => void = () => undefined,
    policy: Partial<ChainPolicy> = {},
  ) {
    this.#now = now;
    this.#step = step;
    this.#policy = { ...DEFAULT_CHAIN_POLICY, confirmations: 1, ...policy };
  }

  async #call<Answer>(name: string, event: (moment: Moment) => Answer): Promise<Answer> {
    this.#step(`before ${name}`);
    const moment = { nowMs: this.#now(), random: () => 0.5, policy: this.#policy };
    const answer = structuredClone(event(moment));
    schedule(this.lane, moment, false);
    this.#step(`after ${name}`);
    return answer;
  }

  admit(account: AccountId, admissions: readonly Admission[]) {
    return this.#call("admit", (moment) => admit(this.lane, account, admissions, moment));
  }
  take(_account: AccountId, holder: string) {
    return this.#call("take", (moment) => take(this.lane, holder, moment));
  }
  recordSigned(token: number, entries: readonly SignedEntry[]) {
    return this.#call("recordSigned", (moment) => recordSigned(this.lane, token, entries, moment));
  }
  settle(settlement: Settlement) {
    return this.#call("settle", (moment) => settle(this.lane, settlement, moment));
  }
  unconfirmed(limit: number) {
    return this.#call("unconfirmed", () => unconfirmed(this.lane, limit));
  }
  lookUpFailed(failure: Failure) {
    return this.#call("lookUpFailed", (moment) => lookUpFailed(this.lane, failure, moment));
  }
  confirm(evidence: Evidence) {
    return this.#call("confirm", (moment) => confirm(this.lane, evidence, moment));
  }

  statusOf(id: string): string {
    const record = this.lane.directive(id);
    return record === undefined ? "unknown" : statusOf(this.lane, record);
  }
}
