// In:  admissions (HTTP, own notifications), work and settlements (the consumer), receipts of letters (the ledger), operators.
// Out: doorbells and owed letters, all from the one alarm. The first doorbell is its who admits.
// On failure: a transaction that throws is rolled back and the memory thrown away; what is due stays due, the alarm rings again.
import { DurableObject } from "cloudflare:workers";
import type { InboxAddress } from "../domain/inbox-name.ts";
import type { LetterKey } from "../domain/lane.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import type {
  EventAdmission,
  EventAdmissionAnswer,
  EventPlan,
  EventReadmissionAnswer,
  EventView,
  InboxLetter,
  InboxSettleAnswer,
  InboxSettlement,
  InboxStatusView,
  InboxTakeAnswer,
  SkipAnswer,
} from "../domain/webhook-event.ts";
import { DEFAULT_INBOX_POLICY } from "../domain/webhook-source.ts";
import config from "../lockstep.config.ts";
import { admitEvent, readmitEvent } from "./webhook-inbox-admission.ts";
import { inboxAlarmMs, ringInbox, type InboxRing } from "./webhook-inbox-alarm.ts";
import { planEvents, takeEvents } from "./webhook-inbox-lease.ts";
import { inboxLetter, lettersRecorded } from "./webhook-inbox-letters.ts";
import { pauseInbox, resumeInbox, skipHead } from "./webhook-inbox-operations.ts";
import { settleEvents } from "./webhook-inbox-settlement.ts";
import type { InboxMoment } from "./webhook-inbox-state.ts";
import { InboxStorage } from "./webhook-inbox-storage.ts";
import { emptyStatus, eventView, inboxStatus } from "./webhook-inbox-view.ts";

const BROKEN_ALARM_MS = 60_000;
/** Of one `sendBatch`. */
const MAX_BATCH = 100;
const MAX_SHOWN = 200;

interface InboxEnv {
  readonly WEBHOOK_EVENTS: Pick<Queue<Body>, "send">;
  readonly WEBHOOK_EVENTS_DLQ: Pick<Queue<Body>, "sendBatch">;
}

/**
 * The events of one source and ordering key, in the order of their admission. Its public methods are the wire protocol
 * (`InboxProtocol`). No network inside; each method is one synchronous transaction of the machine in
 * `webhook-inbox-state`. An inbox begins with its first admission: whatever else is asked of it before writes nothing.
 */
export class WebhookInbox extends DurableObject<InboxEnv> {
  #inbox: InboxStorage | null = null;
  #alarmAtMs: number | null = null;

  admit(address: InboxAddress, event: EventAdmission): EventAdmissionAnswer {
    const { name } = this.ctx.id;
    if (name !== undefined && name !== address.name) throw new Error("the event is another inbox's");
    this.#inbox ??= new InboxStorage(this.ctx.storage.sql);
    const { altered, ...answer } = this.#transact(this.#inbox, (inbox, moment) =>
      admitEvent(inbox, address, event, moment),
    );
    if (altered)
      console.warn(JSON.stringify({ at: "webhook-inbox.altered", inbox: address.name, event: event.id }));
    return answer;
  }

  take(holder: string): InboxTakeAnswer {
    return this.#event((inbox, moment) => takeEvents(inbox, holder, moment)) ?? { kind: "empty" };
  }

  plan(token: number, plans: readonly EventPlan[]): { readonly kind: "planned" | "stale" } {
    return { kind: this.#event((inbox, moment) => planEvents(inbox, token, plans, moment)) ?? "stale" };
  }

  settle(settlement: InboxSettlement): InboxSettleAnswer {
    return this.#event((inbox, moment) => settleEvents(inbox, settlement, moment)) ?? { kind: "stale" };
  }

  readmit(key: LetterKey): EventReadmissionAnswer {
    return this.#event((inbox, moment) => readmitEvent(inbox, key, moment)) ?? { kind: "unknown" };
  }

  letter(key: LetterKey): InboxLetter | undefined {
    return this.#event((inbox) => inboxLetter(inbox, key));
  }

  letterRecorded(keys: readonly LetterKey[]): void {
    this.#event((inbox) => lettersRecorded(inbox, keys));
  }

  events(below: number | null, limit: number): readonly EventView[] {
    const shown = Math.min(MAX_SHOWN, Math.max(1, Math.trunc(limit)));
    return (
      this.#open()
        ?.eventsBelow(below ?? Number.MAX_SAFE_INTEGER, shown)
        .map(eventView) ?? []
    );
  }

  event(id: string): EventView | undefined {
    return this.#event((inbox) => {
      const sequence = inbox.sequenceOf(id);
      const record = sequence === undefined ? undefined : inbox.event(sequence);
      return record === undefined ? undefined : eventView(record);
    });
  }

  status(): InboxStatusView {
    return this.#event(inboxStatus) ?? emptyStatus();
  }

  pause(reason: string, actor: string): InboxStatusView {
    return this.#operate((inbox, moment) => pauseInbox(inbox, reason, actor, moment));
  }

  resume(reason: string, actor: string): InboxStatusView {
    return this.#operate((inbox, moment) => resumeInbox(inbox, reason, actor, moment));
  }

  skipHead(reason: string, actor: string, sequence: number | null): SkipAnswer {
    const nothing: SkipAnswer = { kind: "not-head", head: null };
    return (
      this.#event((inbox, moment): SkipAnswer => {
        const skipped = skipHead(inbox, { reason, actor, sequence }, moment);
        const status = inboxStatus(inbox, moment);
        return skipped === null ? { kind: "not-head", head: status.head } : { kind: "skipped", status };
      }) ?? nothing
    );
  }

  override async alarm(): Promise<void> {
    this.#alarmAtMs = null;
    let rung: InboxRing | undefined;
    try {
      rung = this.#event(ringInbox);
    } catch (error) {
      // The platform gives an alarm up that keeps throwing.
      warn(error);
      this.#arm(Date.now() + BROKEN_ALARM_MS);
      return;
    }
    const inbox = this.#open()?.header.address?.name;
    if (rung === undefined || inbox === undefined) return;
    const letters = rung.letters.map((key) => ({
      body: encodeMessage({ kind: "rejection", origin: "inbox", inbox, ...key }),
    }));
    // The next alarm is set and commits before these: what is lost here is sent again.
    const sends: Promise<unknown>[] = [];
    if (rung.doorbell)
      sends.push(this.env.WEBHOOK_EVENTS.send(encodeMessage({ kind: "inbox-doorbell", inbox })));
    for (let from = 0; from < letters.length; from += MAX_BATCH)
      sends.push(this.env.WEBHOOK_EVENTS_DLQ.sendBatch(letters.slice(from, from + MAX_BATCH)));
    for (const sent of await Promise.allSettled(sends)) if (sent.status === "rejected") warn(sent.reason);
  }

  #operate(event: (inbox: InboxStorage, moment: InboxMoment) => void): InboxStatusView {
    return (
      this.#event((inbox, moment) => {
        event(inbox, moment);
        return inboxStatus(inbox, moment);
      }) ?? emptyStatus()
    );
  }

  /** Undefined where there is no inbox. */
  #event<Answer>(event: (inbox: InboxStorage, moment: InboxMoment) => Answer): Answer | undefined {
    const inbox = this.#open();
    return inbox === null ? undefined : this.#transact(inbox, event);
  }

  /** Runs one event as one transaction, and arms the alarm when it must ring earlier. */
  #transact<Answer>(
    inbox: InboxStorage,
    event: (inbox: InboxStorage, moment: InboxMoment) => Answer,
  ): Answer {
    try {
      const { answer, dueMs } = this.ctx.storage.transactionSync(() => {
        const moment = { nowMs: Date.now(), random: Math.random };
        const policyOf = ({ header }: InboxStorage) =>
          config.sources.get(header.address?.source ?? "")?.policy ?? DEFAULT_INBOX_POLICY;
        const result = event(inbox, { ...moment, policy: policyOf(inbox) });
        const alarmMs = inboxAlarmMs(inbox, { ...moment, policy: policyOf(inbox) });
        inbox.flush();
        return { answer: result, dueMs: alarmMs };
      });
      this.#arm(dueMs);
      return answer;
    } catch (error) {
      this.#inbox = null;
      throw error;
    }
  }

  #arm(dueMs: number | null): void {
    if (dueMs === null || (this.#alarmAtMs !== null && this.#alarmAtMs <= dueMs)) return;
    this.#alarmAtMs = dueMs;
    void this.ctx.storage.setAlarm(dueMs);
  }

  /** Null where nothing was ever admitted. */
  #open(): InboxStorage | null {
    if (this.#inbox === null && InboxStorage.isIn(this.ctx.storage.sql))
      this.#inbox = new InboxStorage(this.ctx.storage.sql);
    return this.#inbox;
  }
}

function warn(error: unknown): void {
  const message = error instanceof Error ? error.message : "not an Error";
  console.warn(JSON.stringify({ at: "webhook-inbox.alarm", error: message }));
}
