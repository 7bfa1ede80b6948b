import type { LetterKey } from "../domain/lane.ts";
import type { InboxLetter } from "../domain/webhook-event.ts";
import type { InboxState } from "./webhook-inbox-state.ts";

/** What the ledger writes down; undefined when the inbox owes no letter under this key. */
export function inboxLetter(
  inbox: InboxState,
  { id, digest, generation }: LetterKey,
): InboxLetter | undefined {
  const { address } = inbox.header;
  const sequence = inbox.sequenceOf(id);
  if (address === null || sequence === undefined || !inbox.letterOwed(sequence)) return undefined;
  const record = inbox.event(sequence);
  if (record === undefined || record.digest !== digest || record.generation !== generation) return undefined;
  const { failure, firstFailure, attempts, admittedAtMs } = record;
  if (failure === null || firstFailure === null) return undefined;
  const body = inbox.bodyOf(sequence);
  return { id, digest, generation, address, sequence, body, failure, firstFailure, attempts, admittedAtMs };
}

/** The ledger has these: they are owed no longer. A key of an earlier generation says nothing of a later letter. */
export function lettersRecorded(inbox: InboxState, keys: readonly LetterKey[]): void {
  for (const key of keys) {
    const letter = inboxLetter(inbox, key);
    if (letter !== undefined) inbox.letterPaid(letter.sequence);
  }
}
