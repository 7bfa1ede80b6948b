import { letterId, type LetterKind, type LetterSummary } from "../domain/dead-letter.ts";
import type { DirectiveFacts } from "../domain/lane.ts";
import { unreachable } from "../domain/result.ts";
import type { EventView } from "../domain/webhook-event.ts";

/** What a letter says of its directive when the lane has come to know more. What is not here stays as it is. */
export type LetterFields = Partial<
  Pick<
    LetterSummary,
    | "directiveStatus"
    | "code"
    | "message"
    | "sequence"
    | "transactions"
    | "attempts"
    | "lastFailureAtMs"
    | "next"
  >
>;

/** What is to become of a letter, by the word of its lane or inbox alone. */
export type Decision =
  /** Nothing more is known, or the work is under way. */
  | { readonly kind: "unchanged" }
  | {
      readonly kind: "closed";
      readonly resolution: "landed" | "settled" | "failed-again" | "replaced";
      readonly fields: LetterFields;
    }
  /** It stays open and says what its directive came to: now it may be replayed, or edited. */
  | {
      readonly kind: "updated";
      readonly status: "dead" | "reverted";
      readonly fields: LetterFields;
    };

const UNCHANGED: Decision = { kind: "unchanged" };

/** What a decision needs to know of a letter. */
export type Decided = Pick<
  LetterSummary,
  "kind" | "state" | "lane" | "directiveId" | "digest" | "generation" | "directiveStatus"
>;

/**
 * Of a letter whose directive a lane may have: `word` is what the lane says now, null when it never admitted it. A
 * directive of another digest is another one. A directive in review is decided by evidence, however its letters stand;
 * one that is at work has not ended; one that died under the letter's own generation was not sent again yet.
 */
export function decide(letter: Decided, word: DirectiveFacts | null): Decision {
  if (word === null || word.digest !== letter.digest || isEnded(letter)) return UNCHANGED;
  switch (word.status) {
    case "queued":
    case "recorded":
    case "broadcast":
    case "review":
      return UNCHANGED;
    case "confirmed":
      return closed("landed");
    case "replaced":
      return closed("replaced");
    case "dead":
    case "reverted":
      return ended(letter, word, word.status);
    default:
      return unreachable(word.status);
  }
}

function ended(letter: Decided, word: DirectiveFacts, status: "dead" | "reverted"): Decision {
  // No lane had the directive of an introduction: what the lane has of it now is a later life, from generation 0 on.
  if (letter.kind === "introduction") return closed("failed-again", nextId(letter, "directive", 0));
  if (word.generation > letter.generation)
    return closed("failed-again", nextId(letter, letter.kind, letter.generation + 1));
  if (word.generation < letter.generation || letter.directiveStatus !== "review") return UNCHANGED;
  // Its replay has not sent it yet, and is about to ask the lane itself.
  if (letter.state !== "open") return UNCHANGED;
  const { failure, sequence, transactions, attempts } = word;
  return {
    kind: "updated",
    status,
    fields: {
      directiveStatus: status,
      sequence,
      transactions: transactions.map((sent) => ({
        hash: sent.hash,
        sequence: sent.sequence,
        status: sent.status,
      })),
      attempts,
      ...(failure === null
        ? {}
        : { code: failure.code, message: failure.message, lastFailureAtMs: failure.atMs }),
    },
  };
}

/**
 * True when the inbox has settled the letter's event and forgotten it since. A letter of an event is written from the
 * inbox's own record alone, under the inbox's own name: there is none of an event that was never admitted there. An inbox
 * forgets nothing but what is settled, and takes an id in anew, from generation 0 on, only when it has forgotten it; a
 * generation never falls otherwise.
 * @param generation one that the event has had
 */
export function isForgotten(
  { digest, generation }: Pick<Decided, "digest" | "generation">,
  word: Pick<EventView, "digest" | "generation"> | null,
): boolean {
  return word === null || word.digest !== digest || word.generation < generation;
}

/** Of a webhook event's letter, as `decide`. */
export function decideEvent(letter: Decided, word: EventView | null): Decision {
  if (isEnded(letter)) return UNCHANGED;
  if (word === null || isForgotten(letter, word)) return closed("settled");
  switch (word.status) {
    case "queued":
      return UNCHANGED;
    case "settled":
      return closed("settled");
    case "dead":
      return word.generation > letter.generation
        ? closed("failed-again", nextId(letter, letter.kind, letter.generation + 1))
        : UNCHANGED;
    default:
      return unreachable(word.status);
  }
}

function isEnded({ state }: Decided): boolean {
  return state === "resolved" || state === "discarded";
}

function closed(
  resolution: "landed" | "settled" | "failed-again" | "replaced",
  next: string | null = null,
): Decision {
  return { kind: "closed", resolution, fields: next === null ? {} : { next } };
}

/** The letter of the letter's next life, whether or not the ledger has it yet: its lane owes it. */
function nextId({ lane, directiveId, digest }: Decided, kind: LetterKind, generation: number): string {
  return letterId({ kind, lane, directiveId, digest, generation });
}
