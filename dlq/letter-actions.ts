// In:  an operator's word on one letter: give it up, or say what became of its directive.
// Out: the letter, changed by that word or by the lane's evidence, with who, when and why in its history.
// On failure: a refusal that says what stands against it; what D1 or a lane throws is thrown, and the same again is safe.
import type { LetterResolution, LetterSummary } from "../domain/dead-letter.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import type { DirectiveFacts, SequencerProtocol } from "../domain/lane.ts";
import { unreachable } from "../domain/result.ts";
import { ABANDONED_AFTER_MS, claimOf, holderOf, type EditClaim } from "./edit-claims.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { moveLetters } from "./letter-changes.ts";
import { showLetter, type LetterWithHistory } from "./letters.ts";

export interface ActionEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: {
    getByName(account: AccountId): Pick<SequencerProtocol, "directives" | "burn">;
  };
}

/** Who, when and why. */
export interface Word {
  readonly actor: string;
  readonly reason: string;
  readonly nowMs: number;
}

export type ActionAnswer =
  | { readonly kind: "done"; readonly found: LetterWithHistory }
  /** It was begun: evidence ends it, and closes the letter. */
  | { readonly kind: "begun"; readonly found: LetterWithHistory }
  | Refusal;

export interface Refusal {
  readonly kind: "refused";
  readonly status: 400 | 404 | 409 | 422;
  readonly detail: string;
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
}

export function refused(
  status: Refusal["status"],
  detail: string,
  errors?: NonNullable<Refusal["errors"]>,
): Refusal {
  return { kind: "refused", status, detail, ...(errors === undefined ? {} : { errors }) };
}

/** `open → discarded`: nobody wants it any more. Refused while an edit is under way, which its lane may have taken. */
export async function discardLetter(
  { LEDGER }: Pick<ActionEnv, "LEDGER">,
  id: string,
  { actor, reason, nowMs }: Word,
): Promise<ActionAnswer> {
  const change = { from: ["open"], to: "discarded", resolution: "discarded", action: "discard" } as const;
  const unclaimedSinceMs = nowMs - ABANDONED_AFTER_MS;
  await moveLetters(LEDGER, [{ id, ...change, unclaimedSinceMs, actor, reason, atMs: nowMs }]);
  return closedAs(LEDGER, id, "discarded");
}

/** The letter if it is closed so, by this call or before; a refusal that says how it stands instead. */
export async function closedAs(
  db: LedgerDatabase,
  id: string,
  resolution: LetterResolution,
): Promise<ActionAnswer> {
  const found = await showLetter(db, id);
  if (found === null) return refused(404, `no letter has the id ${id}`);
  return found.letter.resolution === resolution
    ? { kind: "done", found }
    : refused(409, standing(found.letter, holderOf(found.letter, await claimOf(db, id))));
}

const CHANGED = "the letter was changed by somebody else: look at it again";

/** Why nothing can be done with it now. `holder`: the edit that holds it, which says nothing of a replay before. */
export function standing(
  { state, resolution, replayId }: LetterSummary,
  holder: Pick<EditClaim, "newId"> | null,
): string {
  switch (state) {
    case "open":
      return CHANGED;
    case "replaying":
      if (holder !== null)
        return `another directive is taking its place, ${holder.newId}: send that request again, as it was, to finish it; a minute after it was cut off, reconciliation ends it`;
      return replayId === null
        ? CHANGED
        : `the letter is in the replay ${replayId}: cancel that, or wait for its end`;
    case "resolved":
      return `the letter is resolved already: ${resolution ?? "nobody knows how"}`;
    case "discarded":
      return "the letter was discarded";
    default:
      return unreachable(state);
  }
}

/**
 * A person says that the directive landed. That is no evidence: the lane's is, and it closes the letter. With a hash, it
 * must be one that was signed for the directive, and final.
 */
export async function resolveLanded(
  env: ActionEnv,
  id: string,
  txHash: string | null,
  { actor, reason, nowMs }: Word,
): Promise<ActionAnswer> {
  const found = await showLetter(env.LEDGER, id);
  if (found === null) return refused(404, `no letter has the id ${id}`);
  if (found.letter.resolution === "landed") return { kind: "done", found };
  const asked = await laneOf(env, found.letter);
  if (asked.kind === "refused") return asked;
  const { facts } = asked;
  const hash = txHash?.toLowerCase();
  const sent = facts.transactions.find((transaction) => transaction.hash.toLowerCase() === hash);
  if (hash !== undefined && sent === undefined) {
    return refused(422, "no such transaction was ever signed for the directive", [
      { field: "txHash", message: `must be one of ${hashesOf(facts)}` },
    ]);
  }
  if (sent === undefined ? facts.status !== "confirmed" : sent.status !== "included") {
    const said = sent === undefined ? "" : ` and the transaction ${sent.status}`;
    return refused(
      409,
      `the lane says that the directive is ${facts.status}${said}: only what is final has landed`,
    );
  }
  const change = { from: ["open"], to: "resolved", resolution: "landed", action: "landed" } as const;
  await moveLetters(env.LEDGER, [{ id, ...change, actor, reason, atMs: nowMs }]);
  return closedAs(env.LEDGER, id, "landed");
}

function hashesOf({ transactions }: DirectiveFacts): string {
  const hashes = transactions.map(({ hash }) => hash);
  return hashes.length === 0 ? "its transactions, and it has none" : hashes.join(", ");
}

/**
 * A person says that the directive did not land. The lane burns its number; the letter stays open until evidence says
 * which transaction used the number up (R5).
 */
export async function resolveNotLanded(
  env: ActionEnv,
  id: string,
  { actor, reason, nowMs }: Word,
): Promise<ActionAnswer> {
  const found = await showLetter(env.LEDGER, id);
  if (found === null) return refused(404, `no letter has the id ${id}`);
  const asked = await laneOf(env, found.letter);
  if (asked.kind === "refused") return asked;
  const answer = await env.SEQUENCER.getByName(asked.account).burn(
    asked.account,
    found.letter.directiveId,
    reason,
    actor,
  );
  switch (answer.kind) {
    case "burning":
      break;
    case "settled":
      return refused(409, `the lane says that the directive is ${answer.status}, not in review`);
    case "impossible":
      return refused(409, answer.reason);
    case "unknown":
      return refused(409, "the lane does not know the directive");
    default:
      return unreachable(answer);
  }
  await moveLetters(env.LEDGER, [
    { id, from: ["open"], to: "open", action: "not-landed", actor, reason, atMs: nowMs },
  ]);
  const begun = await showLetter(env.LEDGER, id);
  return begun === null ? refused(404, `no letter has the id ${id}`) : { kind: "begun", found: begun };
}

/** What the lane says of an open letter's directive. */
async function laneOf(
  env: ActionEnv,
  letter: LetterSummary,
): Promise<
  { readonly kind: "known"; readonly account: AccountId; readonly facts: DirectiveFacts } | Refusal
> {
  if (letter.kind !== "directive") {
    return refused(
      422,
      `a letter of kind ${letter.kind} has no transaction that could have landed: replay it, or discard it with a reason`,
    );
  }
  if (letter.state !== "open") return refused(409, standing(letter, null));
  const account = parseAccount(letter.lane ?? "");
  if (!account.ok) return refused(409, "the letter names no account");
  const [facts] = await env.SEQUENCER.getByName(account.value.id).directives([letter.directiveId]);
  return facts?.digest === letter.digest
    ? { kind: "known", account: account.value.id, facts }
    : refused(409, "the lane does not know the directive");
}
