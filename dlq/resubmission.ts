// In:  an operator's other directive in the place of a dead or reverted one (R9).
// Out: the lane has the new directive and the old one is replaced for good, in one transaction of the lane; then the letter says so.
// On failure: a refusal that says why, or what D1 or the lane throws. The same request again finishes what was cut off, and changes nothing once it is done.
import { workable, type Config } from "../domain/config.ts";
import type { LetterSummary } from "../domain/dead-letter.ts";
import { digestOf, encodePayload, parseDirective, type Directive } from "../domain/directive.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import type { Admission, SequencerProtocol } from "../domain/lane.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import { unreachable } from "../domain/result.ts";
import {
  ABANDONED_AFTER_MS,
  claimEdit,
  claimOf,
  confirmClaim,
  holderOf,
  overtakeClaim,
  releaseClaim,
  type EditClaim,
  type NewClaim,
} from "./edit-claims.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { closedAs, refused, standing, type ActionAnswer, type Refusal, type Word } from "./letter-actions.ts";
import { moveLetters } from "./letter-changes.ts";
import { showLetter } from "./letters.ts";

export interface ResubmissionEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: {
    getByName(account: AccountId): Pick<SequencerProtocol, "admit" | "readmit" | "directives">;
  };
  readonly DIRECTIVES: { send(body: Body): Promise<unknown> };
}

/** The new directive, as a producer writes it; its account is the old one's. */
export interface Edit {
  readonly id: string;
  readonly action?: unknown;
  readonly expiresAt?: string | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** What the lane made of the edit. `landed`: the old directive did, after all. */
type Replacement = { readonly kind: "replaced" | "landed" } | Refusal;

export async function resubmitLetter(
  env: ResubmissionEnv,
  config: Config,
  letterId: string,
  edit: Edit,
  word: Word,
): Promise<ActionAnswer> {
  const found = await showLetter(env.LEDGER, letterId);
  if (found === null) return refused(404, `no letter has the id ${letterId}`);
  const { letter } = found;
  if (letter.kind === "raw" || letter.kind === "event")
    return refused(422, `a letter of kind ${letter.kind} holds no directive: replay it, or discard it`);
  const directive = directiveOf(letter, edit);
  if ("kind" in directive) return directive;
  if (letter.kind === "introduction" && workable(config, directive.account) !== "yes")
    return refused(409, "the account is not configured: nobody could sign for it");
  const wanted: NewClaim = {
    letterId,
    lane: directive.account.id,
    oldId: letter.directiveId,
    newId: directive.id,
    newDigest: digestOf(directive),
    actor: word.actor,
    atMs: word.nowMs,
  };
  const standingClaim = letter.state === "open" ? null : await claimOf(env.LEDGER, letterId);
  if (letter.resolution === "replaced" && isSame(standingClaim, wanted)) return { kind: "done", found };
  const holder = holderOf(letter, standingClaim);
  if (letter.state !== "open" && holder === null) return refused(409, standing(letter, null));
  const holds = letter.kind === "introduction";
  const taken = await claim(env, wanted, holds, word);
  if (taken !== null) return taken;
  const replacement = await replace(env, letter, directive, wanted.newDigest);
  const released = { letterId, newId: wanted.newId, newDigest: wanted.newDigest, claimedAtMs: null };
  switch (replacement.kind) {
    case "refused": {
      const unhold = {
        from: ["replaying"],
        to: "open",
        action: "resubmit refused",
        reason: replacement.detail,
      } as const;
      const back = { id: letterId, ...unhold, actor: word.actor, atMs: word.nowMs };
      await releaseClaim(env.LEDGER, released, holds ? back : null);
      return replacement;
    }
    case "landed":
      await releaseClaim(env.LEDGER, released, null);
      await close(env.LEDGER, letterId, "landed", word);
      return refused(
        409,
        "the lane says that the directive landed: the letter is closed, and nothing was sent",
      );
    case "replaced":
      await confirmClaim(env.LEDGER, wanted);
      await close(env.LEDGER, letterId, "replaced", word);
      await ring(env, directive.account.id);
      return closedAs(env.LEDGER, letterId, "replaced");
    default:
      return unreachable(replacement);
  }
}

function isSame(one: EditClaim | null, { newId, newDigest }: NewClaim): boolean {
  return one !== null && one.newId === newId && one.newDigest === newDigest;
}

/**
 * Null when the letter is this edit's alone. The lane lets one edit of a directive happen, and so makes sure of it by
 * itself; of an introduction no lane knows, so its letter is held as well.
 */
async function claim(
  env: ResubmissionEnv,
  wanted: NewClaim,
  holds: boolean,
  { actor, reason, nowMs }: Word,
): Promise<Refusal | null> {
  const hold = { from: ["open"], to: "replaying", replayId: null, action: "resubmitting" } as const;
  const change = { id: wanted.letterId, ...hold, actor, reason, atMs: nowMs };
  let stands = await claimEdit(env.LEDGER, wanted, holds ? change : null);
  if (stands !== null && !isSame(stands, wanted) && (await isAbandoned(env, wanted, stands, nowMs)))
    stands = await overtakeClaim(env.LEDGER, wanted, stands);
  if (isSame(stands, wanted)) return null;
  return refused(
    409,
    stands === null
      ? "the letter was changed by somebody else: look at it again"
      : `the directive ${stands.newId} is taking its place: send that request again, as it was, to finish it`,
  );
}

/** It was cut off before its lane heard of it, a while ago. */
async function isAbandoned(
  env: ResubmissionEnv,
  { lane, letterId }: NewClaim,
  stands: EditClaim,
  nowMs: number,
): Promise<boolean> {
  const account = parseAccount(lane);
  if (!account.ok || nowMs - stands.atMs < ABANDONED_AFTER_MS) return false;
  const [facts] = await env.SEQUENCER.getByName(account.value.id).directives([stands.newId]);
  const isThere = facts?.digest === stands.newDigest;
  if (!isThere)
    console.warn(JSON.stringify({ at: "dlq.resubmission", letter: letterId, abandoned: stands.newId }));
  return !isThere;
}

function directiveOf(letter: LetterSummary, edit: Edit): Directive | Refusal {
  const { id, action, expiresAt, metadata } = edit;
  const parsed = parseDirective({
    id,
    account: letter.lane,
    action,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(metadata === undefined ? {} : { metadata }),
  });
  if (!parsed.ok) return refused(400, "the request is not a directive", parsed.error);
  if (parsed.value.id !== letter.directiveId) return parsed.value;
  const message = "must be another id than the directive's own: an id is used once";
  return refused(400, "the request is not an edit", [{ field: "id", message }]);
}

function admissionOf(directive: Directive, digest: string): Admission {
  return {
    id: directive.id,
    digest,
    payload: encodePayload(directive),
    expiresAtMs: directive.expiresAtMs,
  };
}

/** Safe to repeat: what was done already is found done. */
async function replace(
  env: ResubmissionEnv,
  letter: LetterSummary,
  directive: Directive,
  digest: string,
): Promise<Replacement> {
  const lane = env.SEQUENCER.getByName(directive.account.id);
  const admission = admissionOf(directive, digest);
  const taken = refused(409, `the lane has another directive ${directive.id}: choose another id`);
  if (letter.kind === "introduction") {
    const [old] = await lane.directives([letter.directiveId]);
    if (old !== null && old !== undefined && old.digest === letter.digest)
      return refused(409, `a lane has the directive by now, and it is ${old.status}: reconcile the letter`);
    const [answer] = await lane.admit(directive.account.id, [admission]);
    return answer === undefined || answer.kind === "conflict" ? taken : { kind: "replaced" };
  }
  const key = { id: letter.directiveId, digest: letter.digest, generation: letter.generation };
  const answer = await lane.readmit(key, admission);
  switch (answer.kind) {
    case "readmitted":
      return { kind: "replaced" };
    case "already-landed":
      return { kind: "landed" };
    case "conflict":
      return taken;
    case "undetermined":
      return refused(
        409,
        "the directive is in review: it may have landed, and only evidence says whether it did",
      );
    case "moved-on": {
      if (answer.status !== "replaced")
        return refused(
          409,
          `the lane says that the directive is ${answer.status}, in generation ${answer.generation}: this letter is not its last`,
        );
      // By this very edit, when the request was cut off before the ledger heard of it.
      const [edited] = await lane.directives([directive.id]);
      return edited?.digest === digest
        ? { kind: "replaced" }
        : refused(409, "another directive took its place already: reconcile the letter");
    }
    case "reverted":
    case "unknown":
      return refused(409, "the lane does not know the directive");
    default:
      return unreachable(answer);
  }
}

/** The lane has decided, so a replay that has just taken the letter finds nothing left to do. */
async function close(
  db: LedgerDatabase,
  id: string,
  resolution: "replaced" | "landed",
  { actor, reason, nowMs }: Word,
): Promise<void> {
  const action = resolution === "replaced" ? "resubmit" : resolution;
  const change = { from: ["open", "replaying"], to: "resolved", resolution, action } as const;
  await moveLetters(db, [{ id, ...change, actor, reason, atMs: nowMs }]);
}

/** The lane's alarm rings too. */
async function ring({ DIRECTIVES }: ResubmissionEnv, account: AccountId): Promise<void> {
  try {
    await DIRECTIVES.send(encodeMessage({ kind: "doorbell", account }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(JSON.stringify({ at: "dlq.resubmission", account, error: reason }));
  }
}
