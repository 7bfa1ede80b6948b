import { letterId as idOf } from "../domain/dead-letter.ts";
import type { AdmissionAnswer, DirectiveView, ReadmissionAnswer } from "../domain/lane.ts";
import { unreachable } from "../domain/result.ts";
import type { EventReadmissionAnswer, EventView } from "../domain/webhook-event.ts";
import { isForgotten } from "./letter-decision.ts";
import type { Decision, ReplayLetter } from "./replay-page-store.ts";

/**
 * What a lane's answer comes to. A later generation than the letter's is this replay's own doing, before a crash or by
 * a driver beside: nobody else may readmit a letter that it holds. What becomes of it is watched. An answer that has no
 * generation needs the `view`.
 */
export function readmissionDecision(
  letter: ReplayLetter,
  answer: ReadmissionAnswer,
  view: Pick<DirectiveView, "generation"> | null,
): Decision {
  switch (answer.kind) {
    case "readmitted":
      return sent(letter);
    case "already-landed":
      return view !== null && view.generation > letter.generation
        ? landed(letter, "landed", "confirmed")
        : landed(letter, "already-landed", "it had landed before: nothing was sent");
    case "undetermined":
      return view !== null && view.generation > letter.generation
        ? sent(letter)
        : refused(letter, "undetermined: its transaction may be on the chain, evidence decides");
    case "reverted":
      return view !== null && view.generation > letter.generation
        ? sent(letter)
        : refused(letter, "mined and reverted: only an edit goes on from it");
    case "moved-on":
      return answer.generation > letter.generation
        ? sent(letter)
        : refused(letter, `the lane has it as ${answer.status}`);
    case "conflict":
    case "unknown":
      return refused(letter, "the lane does not know it");
    default:
      return unreachable(answer);
  }
}

export function admissionDecision(letter: ReplayLetter, { kind }: AdmissionAnswer): Decision {
  switch (kind) {
    // A duplicate is, as a rule, this replay's own admission before a crash. What becomes of it is watched.
    case "admitted":
    case "duplicate":
      return sent(letter);
    case "conflict":
      return refused(letter, "the lane has another payload under the same id");
    default:
      return unreachable(kind);
  }
}

/** As `readmissionDecision`. What the inbox has forgotten was settled: see `isForgotten`. */
export function eventDecision(
  letter: ReplayLetter,
  answer: EventReadmissionAnswer,
  view: { readonly generation: number } | null,
): Decision {
  switch (answer.kind) {
    case "readmitted":
      return sent(letter);
    case "already-landed":
      return view !== null && view.generation > letter.generation
        ? landed(letter, "landed", "settled")
        : landed(letter, "already-landed", "it had been settled before: nothing was sent");
    case "moved-on":
      if (answer.generation < letter.generation) return landed(letter, "already-landed", FORGOTTEN);
      return answer.generation > letter.generation
        ? sent(letter)
        : refused(letter, `the inbox has it as ${answer.status}`);
    case "unknown":
      return landed(letter, "already-landed", FORGOTTEN);
    default:
      return unreachable(answer);
  }
}

const FORGOTTEN = "the inbox settled it, and has forgotten it since";

function sent({ ordinal, letterId }: ReplayLetter): Decision {
  return { ordinal, letterId, outcome: "sent", detail: null, letter: null };
}

function landed(
  { ordinal, letterId, kind }: ReplayLetter,
  outcome: "landed" | "already-landed",
  detail: string,
): Decision {
  const resolution = kind === "event" ? "settled" : "landed";
  return { ordinal, letterId, outcome, detail, letter: { state: "resolved", resolution, next: null } };
}

export function refused({ ordinal, letterId }: ReplayLetter, detail: string): Decision {
  return { ordinal, letterId, outcome: "refused", detail, letter: { state: "open" } };
}

/**
 * At most one decision: none while the end is open. A readmitted directive has the generation after the letter's; an
 * introduced one has whichever the lane says, since the lane may have had it before.
 */
export function directiveEnd(
  letter: ReplayLetter,
  view: Pick<DirectiveView, "status" | "generation"> | null,
): readonly Decision[] {
  if (view === null) return [refused(letter, "the lane does not know it any more")];
  const sentAs = letter.kind === "introduction" ? view.generation : letter.generation + 1;
  if (view.generation < sentAs) return [refused(letter, `the lane has it as ${view.status}`)];
  // It died again, and an operator has sent it again since: the letter of that death is the next one.
  if (view.generation > sentAs) return [failedAgain(letter, sentAs)];
  switch (view.status) {
    case "confirmed":
      return [landed(letter, "landed", "confirmed")];
    case "dead":
    case "reverted":
    case "replaced":
      return [failedAgain(letter, sentAs)];
    // In review it may yet turn out to have landed.
    case "review":
    case "queued":
    case "recorded":
    case "broadcast":
      return [];
    default:
      return unreachable(view.status);
  }
}

export function eventEnd(
  letter: ReplayLetter,
  view: Pick<EventView, "status" | "digest" | "generation"> | undefined,
): readonly Decision[] {
  const sentAs = letter.generation + 1;
  if (view === undefined || isForgotten({ digest: letter.digest, generation: sentAs }, view))
    return [landed(letter, "landed", FORGOTTEN)];
  if (view.generation > sentAs) return [failedAgain(letter, sentAs)];
  switch (view.status) {
    case "settled":
      return [landed(letter, "landed", "settled")];
    case "dead":
      return [failedAgain(letter, sentAs)];
    case "queued":
      return [];
    default:
      return unreachable(view.status);
  }
}

/** `next`: the letter of the new failure, whether or not the ledger has it yet. */
function failedAgain(letter: ReplayLetter, generation: number): Decision {
  const { ordinal, letterId, lane, directiveId, digest } = letter;
  const kind = letter.kind === "introduction" ? "directive" : letter.kind;
  const next = idOf({ kind, lane, directiveId, digest, generation });
  return {
    ordinal,
    letterId,
    outcome: "failed-again",
    detail: `the next letter is ${next}`,
    letter: { state: "resolved", resolution: "failed-again", next },
  };
}

/** A raw message: the queue has it. */
export function returned({ ordinal, letterId }: ReplayLetter): Decision {
  return {
    ordinal,
    letterId,
    outcome: "landed",
    detail: "back on its queue",
    letter: { state: "resolved", resolution: "returned", next: null },
  };
}
