// In:  the queues directives-dlq and webhook-events-dlq, and dead-letters-parking when somebody empties it: rejections by lanes, inboxes and consumers, and raw messages, unreadable or given up by the platform.
// Out: letters in the ledger; `directive.failed` of those that somebody must refund; then the lane's or inbox's debt is paid; then the message is acked.
// On failure: whatever is not committed is retried with a delay, and after `max_retries` lies on dead-letters-parking.
import { letterId, type NewLetter } from "../domain/dead-letter.ts";
import { encodePayload } from "../domain/directive.ts";
import type { AccountId } from "../domain/ids.ts";
import type { InboxName } from "../domain/inbox-name.ts";
import type { LaneLetter, LetterKey } from "../domain/lane.ts";
import { decodeMessage, type MessageProblem } from "../domain/message.ts";
import { unreachable } from "../domain/result.ts";
import { retryDelaySeconds } from "../domain/retry.ts";
import type { InboxLetter } from "../domain/webhook-event.ts";
import { within } from "../domain/within.ts";
import { CALL_BOUNDS } from "./call-bounds.ts";
import { refundOf, tellDirectiveFailed } from "./directive-failed.ts";
import { recordLetters, type LedgerDatabase } from "./ledger.ts";
import { eventLetter, introductionLetter, laneLetter, rawLetter, type Arrival } from "./new-letter.ts";
import type { NotifyEnv } from "./notify.ts";

export interface DeadLetterEnv extends NotifyEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: { getByName(account: AccountId): Debtor<LaneLetter> };
  readonly WEBHOOK_INBOX: {
    getByName(name: InboxName): Debtor<InboxLetter> & ReturnType<NotifyEnv["WEBHOOK_INBOX"]["getByName"]>;
  };
}

/** A lane or an inbox as the ledger sees it: it owes letters until it hears that they are recorded. */
export interface Debtor<Owed> {
  letter(key: LetterKey): Promise<Owed | undefined>;
  letterRecorded(keys: readonly LetterKey[]): Promise<void>;
}

export interface DeadLetterContext {
  readonly nowMs: number;
  /** Whether anybody hears `directive.failed`. */
  readonly notifies: boolean;
  /** A lane or an inbox is waited for so long. */
  readonly callMs?: number;
}

export interface DeadBatch {
  readonly queue: string;
  readonly messages: readonly DeadMessage[];
}

export interface DeadMessage {
  readonly id: string;
  readonly timestamp: Date;
  readonly body: unknown;
  readonly attempts: number;
  ack(): void;
  retry(options?: { delaySeconds?: number }): void;
}

interface Debt {
  /** An account, or the name of an inbox: the two are never spelled alike. */
  readonly lane: string;
  readonly debtor: Pick<Debtor<unknown>, "letterRecorded">;
  readonly key: LetterKey;
}

/** What a message comes to. `nothing`: there is no letter to write. `debt`: the lane that must hear of the letter. */
type Reading =
  | { readonly kind: "nothing" }
  | { readonly kind: "letter"; readonly letter: NewLetter; readonly debt: Debt | null }
  | { readonly kind: "failed"; readonly reason: string };

interface Read {
  readonly message: DeadMessage;
  readonly reading: Reading;
}

/** A letter's body may be nearly 2 MB, and the isolate holds each one as it came, as it is bound, and as it is sent. */
const READ_AT_ONCE = 16;
/** In characters. No further message is read into a part that has so many. */
const PART_SIZE = 4 * 1024 * 1024;

/** Brings each message to exactly one end, ack or retry. Never throws. */
export async function consumeDeadLetters(
  batch: DeadBatch,
  env: DeadLetterEnv,
  context: DeadLetterContext,
): Promise<void> {
  const waiting = batch.messages.entries();
  for (;;) {
    const part = await readPart(waiting, sourceQueueOf(batch.queue), env, context);
    if (part.length === 0) return;
    await recordPart(part, env, context);
  }
}

/** The next messages in their order, as many as fit into a part; none when none is left. */
async function readPart(
  waiting: Iterator<readonly [index: number, message: DeadMessage]>,
  sourceQueue: string,
  env: DeadLetterEnv,
  { nowMs, callMs = CALL_BOUNDS.callMs }: DeadLetterContext,
): Promise<readonly Read[]> {
  const part = new Map<number, Read>();
  let size = 0;
  const reader = async (): Promise<void> => {
    while (size < PART_SIZE) {
      const next = waiting.next();
      if (next.done === true) return;
      const [index, message] = next.value;
      const { id: messageId, body, timestamp } = message;
      const arrival = { messageId, body, sentAtMs: timestamp.getTime(), nowMs, sourceQueue };
      const reading = await read(arrival, env, callMs);
      part.set(index, { message, reading });
      if (reading.kind === "letter") size += reading.letter.body.length;
    }
  };
  await Promise.all(Array.from({ length: READ_AT_ONCE }, reader));
  return [...part].toSorted(([left], [right]) => left - right).map(([, made]) => made);
}

async function recordPart(
  readings: readonly Read[],
  env: DeadLetterEnv,
  { notifies, callMs = CALL_BOUNDS.callMs }: DeadLetterContext,
): Promise<void> {
  const letters = readings.flatMap(({ reading }) => (reading.kind === "letter" ? [reading] : []));
  const { failed } = await recordLetters(
    env.LEDGER,
    letters.map(({ letter }) => letter),
  );
  const recorded = letters.filter(({ letter }) => !failed.has(letterId(letter)));
  // Before the debt is paid: a lane that owes nothing would not bring the message's letter again.
  const untold = notifies ? await tell(recorded, env) : new Map<string, string>();
  const unpaid = await pay(
    recorded.flatMap(({ letter, debt }) => (debt === null || untold.has(letterId(letter)) ? [] : [debt])),
    callMs,
  );
  for (const { message, reading } of readings) finish(message, failureOf(reading, [failed, untold], unpaid));
}

/**
 * A parked message does not say where it came from. Whole messages from others come to `directives` alone; what an inbox
 * rejected says so itself.
 */
function sourceQueueOf(queue: string): string {
  return queue === "dead-letters-parking" ? "directives" : queue.replace(/-dlq$/, "");
}

async function read(arrival: Arrival, env: DeadLetterEnv, callMs: number): Promise<Reading> {
  try {
    const decoded = decodeMessage(arrival.body);
    if (!decoded.ok)
      return written(
        await rawLetter({ code: decoded.error.code, message: sentence(decoded.error) }, 1, arrival),
      );
    const message = decoded.value;
    switch (message.kind) {
      // A call to a lane is not its work: the lane's alarm has rung again long before this.
      case "doorbell":
      case "inbox-doorbell":
      case "confirmation":
        return { kind: "nothing" };
      case "directive": {
        const text = `the queue ${arrival.sourceQueue} gave up the directive ${message.directive.id} of ${message.directive.account.id} before a lane had it`;
        // Counted, and told to nobody: a lane may have the directive by another message.
        const letter = await rawLetter({ code: "exhausted", message: text }, 0, arrival);
        return written({ ...letter, refund: refundOf(encodePayload(message.directive)) });
      }
      case "rejection": {
        if (message.origin === "introduction") return written(introductionLetter(message, arrival));
        const { id, digest, generation } = message;
        const key: LetterKey = { id, digest, generation };
        if (message.origin === "inbox") {
          const { inbox } = message;
          const debtor = env.WEBHOOK_INBOX.getByName(inbox);
          const facts = await within(callMs, debtor.letter(key));
          return facts === undefined
            ? { kind: "nothing" }
            : written(
                eventLetter(inbox, { ...facts, ...key }, { ...arrival, sourceQueue: "webhook-events" }),
                {
                  lane: inbox,
                  debtor,
                  key,
                },
              );
        }
        const { account } = message;
        const debtor = env.SEQUENCER.getByName(account);
        const facts = await within(callMs, debtor.letter(key));
        return facts === undefined
          ? { kind: "nothing" }
          : written(laneLetter({ ...facts, account, ...key }, arrival), { lane: account, debtor, key });
      }
      default:
        return unreachable(message);
    }
  } catch (error) {
    return { kind: "failed", reason: reasonOf(error) };
  }
}

function written(letter: NewLetter, debt: Debt | null = null): Reading {
  return { kind: "letter", letter, debt };
}

/** Says of each directive that is dead or reverted, and whose refund is a person's, that it failed. Answers what nobody heard. */
async function tell(
  recorded: readonly { readonly letter: NewLetter }[],
  env: DeadLetterEnv,
): Promise<ReadonlyMap<string, string>> {
  const untold = new Map<string, string>();
  await Promise.all(
    recorded.map(async ({ letter }) => {
      const { lane, directiveId: id, directiveStatus, refund, lastFailureAtMs: atMs } = letter;
      // In review it may still land. An introduction that no lane took is dead.
      if (refund === null || lane === null || directiveStatus === "review") return;
      const status = directiveStatus ?? "dead";
      const { code, message, sequence, transactions, body: payload } = letter;
      const facts = { account: lane, id, status, code, message, sequence, transactions, payload, atMs };
      try {
        await tellDirectiveFailed(env, { letterId: letterId(letter), ...facts });
      } catch (error) {
        untold.set(letterId(letter), reasonOf(error));
      }
    }),
  );
  return untold;
}

/** Tells each lane which of its letters are in the ledger. Answers the lanes that did not hear it, with the reason. */
async function pay(debts: readonly Debt[], callMs: number): Promise<ReadonlyMap<string, string>> {
  const unpaid = new Map<string, string>();
  const byLane = Map.groupBy(debts, ({ lane }) => lane);
  await Promise.all(
    Array.from(byLane, async ([lane, owed]) => {
      try {
        const keys = owed.map(({ key }) => key);
        if (owed[0] !== undefined) await within(callMs, owed[0].debtor.letterRecorded(keys));
      } catch (error) {
        unpaid.set(lane, reasonOf(error));
      }
    }),
  );
  return unpaid;
}

/** Null, or why the message must come again. */
function failureOf(
  reading: Reading,
  failed: readonly ReadonlyMap<string, string>[],
  unpaid: ReadonlyMap<string, string>,
): string | null {
  switch (reading.kind) {
    case "nothing":
      return null;
    case "failed":
      return reading.reason;
    case "letter": {
      const id = letterId(reading.letter);
      const reasons = [...failed.map((part) => part.get(id)), unpaid.get(reading.debt?.lane ?? "")];
      return reasons.find((reason) => reason !== undefined) ?? null;
    }
    default:
      return unreachable(reading);
  }
}

/** The one place that acks or retries. */
function finish(message: DeadMessage, failure: string | null): void {
  const { id: messageId, attempts } = message;
  try {
    if (failure === null) return message.ack();
    const delaySeconds = retryDelaySeconds(attempts, Math.random());
    console.warn(JSON.stringify({ at: "dlq.consumer", messageId, attempts, delaySeconds, error: failure }));
    message.retry({ delaySeconds });
  } catch (error) {
    console.error(JSON.stringify({ at: "dlq.consumer", messageId, error: reasonOf(error) }));
  }
}

function sentence({ message, fields }: MessageProblem): string {
  const named = fields
    .map((field) => (field.field === "" ? field.message : `${field.field} ${field.message}`))
    .join("; ");
  return message.includes(named) ? message : `${message}: ${named}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
