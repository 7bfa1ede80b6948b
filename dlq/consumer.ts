// In:  the queue directives-dlq: rejections by lanes and by the consumer of directives, and raw messages, unreadable or given up by the platform.
// Out: letters in the ledger; then the lane's debt is paid; then the message is acked.
// On failure: whatever is not committed is retried with a delay, and after `max_retries` lies on dead-letters-parking.
import { letterId, type NewLetter } from "../domain/dead-letter.ts";
import type { AccountId } from "../domain/ids.ts";
import type { LaneLetter, LetterKey } from "../domain/lane.ts";
import { decodeMessage, type MessageProblem } from "../domain/message.ts";
import { unreachable } from "../domain/result.ts";
import { retryDelaySeconds } from "../domain/retry.ts";
import { recordLetters, type LedgerDatabase } from "./ledger.ts";
import { introductionLetter, laneLetter, rawLetter, type Arrival } from "./new-letter.ts";

export interface DeadLetterEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: { getByName(account: AccountId): Debtor };
}

/** A lane as the ledger sees it: it owes letters until it hears that they are recorded. */
export interface Debtor {
  letter(key: LetterKey): Promise<LaneLetter | undefined>;
  letterRecorded(keys: readonly LetterKey[]): Promise<void>;
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
  readonly account: AccountId;
  readonly key: LetterKey;
}

/** What a message comes to. `nothing`: there is no letter to write. `debt`: the lane that must hear of the letter. */
type Reading =
  | { readonly kind: "nothing" }
  | { readonly kind: "letter"; readonly letter: NewLetter; readonly debt: Debt | null }
  | { readonly kind: "failed"; readonly reason: string };

/** Brings each message to exactly one end, ack or retry. Never throws. */
export async function consumeDeadLetters(batch: DeadBatch, env: DeadLetterEnv, nowMs: number): Promise<void> {
  const sourceQueue = batch.queue.replace(/-dlq$/, "");
  const readings = await Promise.all(
    batch.messages.map(async (message) => {
      const { id: messageId, body, timestamp } = message;
      return {
        message,
        reading: await read({ messageId, body, sentAtMs: timestamp.getTime(), nowMs, sourceQueue }, env),
      };
    }),
  );
  const letters = readings.flatMap(({ reading }) => (reading.kind === "letter" ? [reading] : []));
  const { failed } = await recordLetters(
    env.LEDGER,
    letters.map(({ letter }) => letter),
  );
  const recorded = letters.filter(({ letter }) => !failed.has(letterId(letter)));
  const unpaid = await pay(
    recorded.flatMap(({ debt }) => debt ?? []),
    env,
  );
  for (const { message, reading } of readings) finish(message, failureOf(reading, failed, unpaid));
}

async function read(arrival: Arrival, env: DeadLetterEnv): Promise<Reading> {
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
      case "confirmation":
        return { kind: "nothing" };
      case "directive": {
        const text = `the queue ${arrival.sourceQueue} gave up the directive ${message.directive.id} of ${message.directive.account.id} before a lane had it`;
        return written(await rawLetter({ code: "exhausted", message: text }, 0, arrival));
      }
      case "rejection": {
        if (message.origin === "introduction") return written(introductionLetter(message, arrival));
        const { account, id, digest, generation } = message;
        const key: LetterKey = { id, digest, generation };
        const facts = await env.SEQUENCER.getByName(account).letter(key);
        return facts === undefined
          ? { kind: "nothing" }
          : written(laneLetter({ ...facts, account, ...key }, arrival), { account, key });
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

/** Tells each lane which of its letters are in the ledger. Answers the lanes that did not hear it, with the reason. */
async function pay(debts: readonly Debt[], env: DeadLetterEnv): Promise<ReadonlyMap<AccountId, string>> {
  const unpaid = new Map<AccountId, string>();
  const byLane = Map.groupBy(debts, ({ account }) => account);
  await Promise.all(
    Array.from(byLane, async ([account, owed]) => {
      try {
        await env.SEQUENCER.getByName(account).letterRecorded(owed.map(({ key }) => key));
      } catch (error) {
        unpaid.set(account, reasonOf(error));
      }
    }),
  );
  return unpaid;
}

/** Null, or why the message must come again. */
function failureOf(
  reading: Reading,
  failed: ReadonlyMap<string, string>,
  unpaid: ReadonlyMap<AccountId, string>,
): string | null {
  switch (reading.kind) {
    case "nothing":
      return null;
    case "failed":
      return reading.reason;
    case "letter":
      return (
        failed.get(letterId(reading.letter)) ??
        (reading.debt === null ? null : (unpaid.get(reading.debt.account) ?? null))
      );
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
