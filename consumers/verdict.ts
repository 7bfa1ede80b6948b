import { unreachable } from "../domain/result.ts";
import { queueDelaySeconds, retryDelaySeconds } from "../domain/retry.ts";

/** A queue's message, as far as consumers use it. */
export interface QueueMessage {
  readonly id: string;
  readonly body: unknown;
  readonly attempts: number;
  ack(): void;
  retry(options: { delaySeconds: number }): void;
}

/** How the work on one queue message ended. */
export type MessageEnd =
  /** The body is not a message that this queue carries. */
  | { readonly kind: "unreadable" }
  /** A directive that no lane may take, now or later. */
  | { readonly kind: "rejected" }
  /** What it introduced is admitted; its lane is settled, or somebody else will come for it. */
  | { readonly kind: "settled" }
  /** A doorbell whose lane has work that is not yet due. */
  | { readonly kind: "waiting"; readonly dueInMs: number }
  /** The platform failed before anything was admitted, or while the lane was worked. */
  | { readonly kind: "faulted" };

export type Verdict =
  | { readonly kind: "ack" }
  | { readonly kind: "retry"; readonly delaySeconds: number }
  /** Acknowledge it, and send a fresh doorbell: this one would soon be given up by the queue. */
  | { readonly kind: "replace"; readonly delaySeconds: number }
  | { readonly kind: "dead-letter"; readonly form: "as-it-came" | "rejection" };

/** `max_retries` is 100: past this a fresh doorbell replaces the old. */
const OLD_DOORBELL_ATTEMPTS = 90;

/** The one decision from what became of a message to what the queue is told. */
export function verdictOf(
  end: MessageEnd,
  message: { readonly attempts: number; readonly doorbell: boolean },
  random: number,
): Verdict {
  switch (end.kind) {
    case "unreadable":
      return { kind: "dead-letter", form: "as-it-came" };
    case "rejected":
      return { kind: "dead-letter", form: "rejection" };
    case "settled":
      return { kind: "ack" };
    case "waiting":
      return again(queueDelaySeconds(end.dueInMs), message);
    case "faulted":
      return again(
        retryDelaySeconds(message.attempts, random, 0, { baseSeconds: 2, capSeconds: 60 }),
        message,
      );
    default:
      return unreachable(end);
  }
}

function again(
  delaySeconds: number,
  message: { readonly attempts: number; readonly doorbell: boolean },
): Verdict {
  return {
    kind: message.doorbell && message.attempts > OLD_DOORBELL_ATTEMPTS ? "replace" : "retry",
    delaySeconds,
  };
}

/** What a consumer does for a verdict, other than to tell the queue. Each may throw. */
export interface Conclusion {
  /** Sends a fresh doorbell in the place of the old one. */
  readonly ringAgain: (delaySeconds: number) => Promise<void>;
  readonly deadLetter: (form: "as-it-came" | "rejection") => Promise<void>;
  /** What was to be done before the acknowledgement failed: the message is given back. */
  readonly failed: (error: unknown) => void;
}

/** Brings a message to its one end. It is acknowledged only after what takes its place is sent. */
export async function conclude(
  verdict: Verdict,
  message: QueueMessage,
  { ringAgain, deadLetter, failed }: Conclusion,
): Promise<void> {
  try {
    switch (verdict.kind) {
      case "ack":
        message.ack();
        return;
      case "retry":
        message.retry({ delaySeconds: verdict.delaySeconds });
        return;
      case "replace":
        await ringAgain(verdict.delaySeconds);
        message.ack();
        return;
      case "dead-letter":
        await deadLetter(verdict.form);
        message.ack();
        return;
      default:
        unreachable(verdict);
    }
  } catch (error) {
    failed(error);
    message.retry({ delaySeconds: 10 });
  }
}
