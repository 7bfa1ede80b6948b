// In:  admissions (HTTP, the consumer), work and settlements (the consumer), evidence (confirmations), receipts of letters (the ledger).
// Out: doorbells, calls for confirmations and owed letters, all from the one alarm.
// On failure: a transaction that throws is rolled back and the memory thrown away; what is due stays due, the alarm rings again.
import { DurableObject } from "cloudflare:workers";
import type { ChainPolicy } from "../domain/config.ts";
import type { Failure } from "../domain/failure.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import {
  MAX_ASKED,
  type Admission,
  type AdmissionAnswer,
  type BurnAnswer,
  type ConfirmAnswer,
  type DirectiveFacts,
  type DirectiveView,
  type Evidence,
  type LaneLetter,
  type LaneStatusView,
  type LetterKey,
  type ReadmissionAnswer,
  type RecordAnswer,
  type SettleAnswer,
  type Settlement,
  type SignedEntry,
  type TakeAnswer,
  type Unconfirmed,
} from "../domain/lane.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import config from "../lockstep.config.ts";
import { IxoProtocol } from "./ixo-protocol.ts";
import { readIxoSettings, type IxoEnv } from "./ixo-request.ts";
import { IxoStorage } from "./ixo-storage.ts";
import { admit } from "./sequencer-admission.ts";
import { alarmDueMs, ring, schedule, type Ring } from "./sequencer-alarm.ts";
import { burn } from "./sequencer-burn.ts";
import { confirm, lookUpFailed, unconfirmed } from "./sequencer-evidence.ts";
import { recordSigned, take } from "./sequencer-lease.ts";
import { readmit } from "./sequencer-readmission.ts";
import { settle } from "./sequencer-settlement.ts";
import type { Moment } from "./sequencer-state.ts";
import { LaneStorage } from "./sequencer-storage.ts";
import {
  directiveFacts,
  directiveView,
  letterOf,
  pauseLane,
  repairLane,
  resumeLane,
  statusView,
} from "./sequencer-view.ts";

const BROKEN_ALARM_MS = 60_000;

interface SequencerEnv extends IxoEnv {
  readonly DIRECTIVES: Pick<Queue<Body>, "send">;
  readonly CONFIRMATIONS: Pick<Queue<Body>, "send">;
  readonly DIRECTIVES_DLQ: Pick<Queue<Body>, "sendBatch">;
}

/**
 * One account's lane: outbox, sequence and transaction log in one database, so that they commit together.
 * Its public methods are the wire protocol (`SequencerProtocol`). No network inside; each method is one synchronous
 * transaction of the machine in `sequencer-state`.
 */
export class Sequencer extends DurableObject<SequencerEnv> {
  #lane: LaneStorage | null = null;
  #alarmAtMs: number | null = null;
  #ixo: IxoProtocol | null = null;

  /** The wire protocol of the ixo SDK, for clients that sign by themselves. It touches neither lane nor alarm. */
  override fetch(request: Request): Promise<Response> {
    this.#ixo ??= new IxoProtocol(
      new IxoStorage(this.ctx.storage),
      readIxoSettings(this.env),
      config.signers,
      { now: Date.now, wait: (ms) => scheduler.wait(ms) },
    );
    return this.#ixo.fetch(request);
  }

  admit(account: AccountId, admissions: readonly Admission[]): readonly AdmissionAnswer[] {
    return this.#transact((lane, moment) => admit(lane, account, admissions, moment), account);
  }

  take(account: AccountId, holder: string): TakeAnswer {
    // An account that nothing was ever admitted for has no lane: a stray doorbell must not make one.
    if (this.#open().header.account === null) return { kind: "empty" };
    return this.#transact((lane, moment) => take(lane, holder, moment), account);
  }

  recordSigned(token: number, entries: readonly SignedEntry[]): RecordAnswer {
    return this.#transact((lane, moment) => recordSigned(lane, token, entries, moment));
  }

  settle(settlement: Settlement): SettleAnswer {
    return this.#transact((lane, moment) => settle(lane, settlement, moment));
  }

  unconfirmed(limit: number): Unconfirmed {
    return unconfirmed(this.#open(), limit);
  }

  confirm(evidence: Evidence): ConfirmAnswer {
    return this.#transact((lane, moment) => confirm(lane, evidence, moment), undefined, true);
  }

  lookUpFailed(failure: Failure): void {
    this.#transact((lane, moment) => lookUpFailed(lane, failure, moment));
  }

  readmit(key: LetterKey, edit: Admission | null): ReadmissionAnswer {
    if (this.#open().header.account === null) return { kind: "unknown" };
    return this.#transact((lane, moment) => readmit(lane, key, edit, moment), undefined, true);
  }

  readmitAll(keys: readonly LetterKey[]): readonly ReadmissionAnswer[] {
    if (this.#open().header.account === null) return keys.map(() => ({ kind: "unknown" }));
    return this.#transact(
      (lane, moment) => keys.map((key) => readmit(lane, key, null, moment)),
      undefined,
      true,
    );
  }

  letter(key: LetterKey): LaneLetter | undefined {
    return letterOf(this.#open(), key);
  }

  letterRecorded(keys: readonly LetterKey[]): void {
    this.#transact((lane) => {
      for (const key of keys) if (letterOf(lane, key) !== undefined) lane.letterPaid(key.id);
    });
  }

  directive(id: string): DirectiveView | undefined {
    return directiveView(this.#open(), id);
  }

  directives(ids: readonly string[]): readonly (DirectiveFacts | null)[] {
    if (ids.length > MAX_ASKED) throw new Error(`at most ${MAX_ASKED} directives are told of at once`);
    const lane = this.#open();
    return ids.map((id) => directiveFacts(lane, id));
  }

  burn(account: AccountId, id: string, reason: string, actor: string): BurnAnswer {
    if (this.#open().header.account === null) return { kind: "unknown" };
    return this.#transact((lane, moment) => burn(lane, id, reason, actor, moment), account, true);
  }

  status(): LaneStatusView {
    return statusView(this.#open(), Date.now());
  }

  pause(account: AccountId, reason: string, actor: string): LaneStatusView {
    return this.#transact((lane, moment) => pauseLane(lane, account, reason, actor, moment), account);
  }

  resume(account: AccountId, reason: string, actor: string): LaneStatusView {
    return this.#transact((lane, moment) => resumeLane(lane, account, reason, actor, moment), account, true);
  }

  repair(account: AccountId, reason: string, actor: string): LaneStatusView {
    return this.#transact((lane, moment) => repairLane(lane, account, reason, actor, moment), account, true);
  }

  override async alarm(): Promise<void> {
    this.#alarmAtMs = null;
    if (this.#open().header.account === null) return;
    let rung: Ring;
    try {
      rung = this.#transact((lane, moment) => ring(lane, moment));
    } catch (error) {
      // R6: the platform gives an alarm up that keeps throwing. A lane whose chain is not configured waits for it.
      console.error(
        JSON.stringify({
          at: "sequencer.alarm",
          error: error instanceof Error ? error.message : "not an Error",
        }),
      );
      this.#arm(Date.now() + BROKEN_ALARM_MS);
      return;
    }
    const { doorbell, confirmation, letters } = rung;
    const account = this.#account();
    // The next alarm is set and commits before these: what is lost here is sent again.
    const sends: Promise<unknown>[] = [];
    if (doorbell) sends.push(this.env.DIRECTIVES.send(encodeMessage({ kind: "doorbell", account })));
    if (confirmation)
      sends.push(this.env.CONFIRMATIONS.send(encodeMessage({ kind: "confirmation", account })));
    if (letters.length > 0) {
      sends.push(
        this.env.DIRECTIVES_DLQ.sendBatch(
          letters.map((key) => ({
            body: encodeMessage({ kind: "rejection", origin: "lane", account, ...key }),
          })),
        ),
      );
    }
    for (const sent of await Promise.allSettled(sends)) {
      if (sent.status === "rejected")
        console.warn(JSON.stringify({ at: "sequencer.alarm", account, error: String(sent.reason) }));
    }
  }

  /** Runs one event as one transaction, sets the due times anew, and arms the alarm when it must ring earlier. */
  #transact<Answer>(
    event: (lane: LaneStorage, moment: Moment) => Answer,
    account?: AccountId,
    prompt = false,
  ): Answer {
    const lane = this.#open();
    try {
      const answer = this.ctx.storage.transactionSync(() => {
        const moment = {
          nowMs: Date.now(),
          random: Math.random,
          policy: this.#policy(account ?? this.#account()),
        };
        const result = event(lane, moment);
        schedule(lane, moment, prompt);
        lane.flush(moment.nowMs);
        return result;
      });
      this.#arm(alarmDueMs(lane));
      return answer;
    } catch (error) {
      this.#lane = null;
      throw error;
    }
  }

  #arm(dueMs: number | null): void {
    if (dueMs === null || (this.#alarmAtMs !== null && this.#alarmAtMs <= dueMs)) return;
    this.#alarmAtMs = dueMs;
    void this.ctx.storage.setAlarm(dueMs);
  }

  #open(): LaneStorage {
    this.#lane ??= new LaneStorage(this.ctx.storage.sql);
    return this.#lane;
  }

  #account(): AccountId {
    const { account } = this.#open().header;
    if (account === null) throw new Error("the lane was never admitted to");
    return account;
  }

  #policy(account: AccountId): ChainPolicy {
    const parsed = parseAccount(account);
    const chain = parsed.ok ? config.chains.get(parsed.value.chain) : undefined;
    if (chain === undefined) throw new Error(`no chain is configured for ${account}`);
    return chain.policy;
  }
}
