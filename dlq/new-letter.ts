import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { NewLetter } from "../domain/dead-letter.ts";
import { digestOf, encodePayload } from "../domain/directive.ts";
import type { Failure } from "../domain/failure.ts";
import type { InboxName } from "../domain/inbox-name.ts";
import type { LaneLetter } from "../domain/lane.ts";
import type { ProducerRejection } from "../domain/message.ts";
import type { InboxLetter } from "../domain/webhook-event.ts";
import { refundOf } from "./directive-failed.ts";
import { rawBody } from "./raw-body.ts";

/** What a letter says of the message that brought it. Times in epoch milliseconds. */
export interface Arrival {
  readonly messageId: string;
  readonly body: unknown;
  /** When it was sent to the queue. */
  readonly sentAtMs: number;
  readonly nowMs: number;
  readonly sourceQueue: string;
}

/** Longer ones name thousands of fields: the body beside it says the same. */
const MAX_MESSAGE_LENGTH = 2000;

/** The lane is the authority on its directive: nothing of the message but the queue is used. */
export function laneLetter(facts: LaneLetter, { sourceQueue, nowMs }: Arrival): NewLetter {
  return {
    kind: "directive",
    lane: facts.account,
    directiveId: facts.id,
    digest: facts.digest,
    generation: facts.generation,
    sourceQueue,
    code: facts.failure.code,
    message: clipped(facts.failure.message),
    firstFailureCode: facts.firstFailure.code,
    firstFailureAtMs: facts.firstFailure.atMs,
    lastFailureAtMs: facts.failure.atMs,
    attempts: facts.attempts,
    directiveStatus: facts.status,
    sequence: facts.sequence,
    transactions: facts.transactions.map(({ hash, sequence, status }) => ({ hash, sequence, status })),
    refund: refundOf(facts.payload),
    body: facts.payload,
    bodyFormat: "json",
    openedAtMs: nowMs,
  };
}

/** The inbox is the authority on its event: nothing of the message but the queue is used. */
export function eventLetter(
  inbox: InboxName,
  facts: InboxLetter,
  { sourceQueue, nowMs }: Arrival,
): NewLetter {
  return {
    kind: "event",
    lane: inbox,
    directiveId: facts.id,
    digest: facts.digest,
    generation: facts.generation,
    sourceQueue,
    code: facts.failure.code,
    message: clipped(facts.failure.message),
    firstFailureCode: facts.firstFailure.code,
    firstFailureAtMs: facts.firstFailure.atMs,
    lastFailureAtMs: facts.failure.atMs,
    attempts: facts.attempts,
    directiveStatus: null,
    sequence: facts.sequence,
    transactions: [],
    refund: null,
    body: facts.body,
    bodyFormat: isJson(facts.body) ? "json" : "text",
    openedAtMs: nowMs,
  };
}

/** No lane took the directive, so the rejection carries it. It was sent when the directive failed. */
export function introductionLetter(
  { directive, code, message, attempts, sourceQueue }: ProducerRejection,
  { sentAtMs, nowMs }: Arrival,
): NewLetter {
  return {
    ...unsequenced({ code, message }),
    kind: "introduction",
    lane: directive.account.id,
    directiveId: directive.id,
    digest: digestOf(directive),
    generation: 0,
    sourceQueue,
    firstFailureAtMs: Math.min(sentAtMs, nowMs),
    lastFailureAtMs: Math.min(sentAtMs, nowMs),
    attempts,
    refund: refundOf(encodePayload(directive)),
    body: encodePayload(directive),
    bodyFormat: "json",
    openedAtMs: nowMs,
  };
}

/** The whole message as it came. It failed at some time between its sending and now: the platform does not say when. */
export async function rawLetter(
  failure: Failure,
  attempts: number,
  { messageId, body, sentAtMs, nowMs, sourceQueue }: Arrival,
): Promise<NewLetter> {
  const { format, text } = rawBody(body);
  // The platform's own hash: a batch may hold 12 MB.
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8ToBytes(text)));
  return {
    ...unsequenced(failure),
    kind: "raw",
    lane: null,
    directiveId: messageId,
    digest: bytesToHex(digest),
    generation: 0,
    sourceQueue,
    firstFailureAtMs: Math.min(sentAtMs, nowMs),
    lastFailureAtMs: nowMs,
    attempts,
    body: text,
    bodyFormat: format,
    openedAtMs: nowMs,
  };
}

function unsequenced({ code, message }: Failure) {
  return {
    code,
    message: clipped(message),
    firstFailureCode: code,
    directiveStatus: null,
    sequence: null,
    transactions: [],
    refund: null,
  };
}

/** An inbox drops bodies that are old: whoever reads the letter must not meet half a document. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function clipped(text: string): string {
  return text.length <= MAX_MESSAGE_LENGTH
    ? text.toWellFormed()
    : `${text.slice(0, MAX_MESSAGE_LENGTH - 1).toWellFormed()}…`;
}
