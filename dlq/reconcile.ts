// In:  a tick of the cron, or an operator's wish: letters that are open or replaying.
// Out: each as its lane or inbox says that it stands: closed, or open with what its directive came to.
// On failure: a lane that does not answer leaves its letters as they are, and is counted; what D1 throws is thrown, and the next run begins at the same place.
import { workable } from "../domain/config.ts";
import type { LetterSummary } from "../domain/dead-letter.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { parseInbox, type InboxName } from "../domain/inbox-name.ts";
import { MAX_ASKED, type DirectiveFacts, type SequencerProtocol } from "../domain/lane.ts";
import { unreachable } from "../domain/result.ts";
import type { EventView, InboxProtocol } from "../domain/webhook-event.ts";
import { within } from "../domain/within.ts";
import config from "../lockstep.config.ts";
import { CALL_BOUNDS } from "./call-bounds.ts";
import { chunks } from "./chunks.ts";
import type { FailedDirective } from "./directive-failed.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { moveLetters, type LetterChange } from "./letter-changes.ts";
import { decide, decideEvent, type Decision } from "./letter-decision.ts";
import { lettersOf, showLetter } from "./letters.ts";
import { settleHolds } from "./reconcile-holds.ts";
import { nextPage } from "./reconcile-scans.ts";

export interface ReconcileEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: { getByName(account: AccountId): Pick<SequencerProtocol, "directives"> };
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): Pick<InboxProtocol, "event"> };
}

export interface ReconcileScope {
  /** These letters; null for the next page of all. */
  readonly ids: readonly string[] | null;
  /** Whom the history names: `lockstep`, or the operator who asked. */
  readonly actor: string;
  /** Says that a directive which somebody must refund by hand failed; null where nobody hears it. */
  readonly tell: ((failed: FailedDirective) => Promise<void>) | null;
}

export interface Reconciliation {
  readonly checked: number;
  /** Letters by what became of them: a resolution, or `updated`, `released`, `unchanged`, `unavailable`. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** So many lanes and inboxes are asked at the same time. */
const ASKED_AT_ONCE = 10;

/** What a lane or an inbox said of a letter's work. */
type Word =
  | { readonly kind: "lane"; readonly facts: DirectiveFacts | null }
  | { readonly kind: "inbox"; readonly view: EventView | null }
  | { readonly kind: "unavailable" }
  | { readonly kind: "nobody" };

export async function reconcileLetters(
  env: ReconcileEnv,
  { ids, actor, tell }: ReconcileScope,
  nowMs: number,
  callMs = CALL_BOUNDS.callMs,
): Promise<Reconciliation> {
  const page = ids === null ? await nextPage(env.LEDGER) : null;
  const letters = page === null ? await lettersOf(env.LEDGER, ids ?? []) : page.letters;
  const holds = await settleHolds(env, letters, { actor, atMs: nowMs }, callMs);
  const words = await ask(
    env,
    letters.filter(({ id }) => !holds.has(id)),
    callMs,
  );
  const tally = new Map<string, number>();
  const count = (outcome: string): void => void tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
  const changes = new Map<string, { readonly change: LetterChange; readonly outcome: string }>();
  for (const letter of letters) {
    const held = holds.get(letter.id);
    if (held !== undefined) {
      count(held);
      continue;
    }
    const word = words.get(letter.id) ?? { kind: "nobody" };
    if (word.kind === "unavailable") {
      count("unavailable");
      continue;
    }
    const decision = decisionOf(letter, word);
    const change = changeOf(letter, decision, { actor, atMs: nowMs, reason: reasonOf(word) });
    if (change === null) count("unchanged");
    else if (decision.kind !== "updated" || (await told(env, letter, decision, tell)))
      changes.set(letter.id, { change, outcome: change.resolution ?? "updated" });
    else count("unavailable");
  }
  const moved = await moveLetters(
    env.LEDGER,
    Array.from(changes.values(), ({ change }) => change),
  );
  // Somebody else may have changed one since it was read.
  for (const [id, { outcome }] of changes) count(moved.has(id) ? outcome : "unchanged");
  await page?.advance(env.LEDGER);
  return { checked: letters.length, outcomes: Object.fromEntries(tally) };
}

/** What each letter's lane or inbox says of it: one question to a lane for all of its letters. */
async function ask(
  env: ReconcileEnv,
  letters: readonly LetterSummary[],
  callMs: number,
): Promise<ReadonlyMap<string, Word>> {
  const words = new Map<string, Word>();
  const byLane = [...Map.groupBy(letters.filter(mayBeKnown), ({ lane }) => lane ?? "")].flatMap(
    ([lane, owned]) => chunks(owned, MAX_ASKED).map((some) => ({ lane, letters: some })),
  );
  // Each of the askers takes the next lane that nobody has asked yet.
  const waiting = byLane.values();
  const asker = async (): Promise<void> => {
    for (const { lane, letters: owned } of waiting) {
      const answers = await askOne(env, lane, owned, callMs);
      for (const [index, letter] of owned.entries())
        words.set(letter.id, answers[index] ?? { kind: "unavailable" });
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, asker));
  return words;
}

/** No lane comes to be by asking: of an introduction, only a lane that may exist is asked. */
function mayBeKnown({ kind, lane }: LetterSummary): boolean {
  if (kind !== "introduction") return kind !== "raw";
  const account = parseAccount(lane ?? "");
  return account.ok && workable(config, account.value) === "yes";
}

/** In the order of the letters; never throws. */
async function askOne(
  env: ReconcileEnv,
  lane: string,
  letters: readonly LetterSummary[],
  callMs: number,
): Promise<readonly Word[]> {
  const account = parseAccount(lane);
  const inbox = parseInbox(lane);
  try {
    if (account.ok) {
      const stub = env.SEQUENCER.getByName(account.value.id);
      const ids = letters.map(({ directiveId }) => directiveId);
      const answers = await within(callMs, stub.directives(ids));
      return letters.map((_, index) => ({ kind: "lane", facts: answers[index] ?? null }));
    }
    if (inbox === undefined) return letters.map(() => ({ kind: "nobody" }));
    const stub = env.WEBHOOK_INBOX.getByName(inbox.name);
    const words: Word[] = [];
    for (const { directiveId } of letters)
      words.push({ kind: "inbox", view: (await within(callMs, stub.event(directiveId))) ?? null });
    return words;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(JSON.stringify({ at: "dlq.reconcile", lane, error: reason }));
    return [];
  }
}

function decisionOf(letter: LetterSummary, word: Word): Decision {
  switch (word.kind) {
    case "lane":
      return decide(letter, word.facts);
    case "inbox":
      return decideEvent(letter, word.view);
    case "nobody":
    case "unavailable":
      return { kind: "unchanged" };
    default:
      return unreachable(word);
  }
}

function reasonOf(word: Word): string {
  switch (word.kind) {
    case "lane":
      return `the lane says: ${word.facts?.status ?? "unknown"}`;
    case "inbox":
      return `the inbox says: ${word.view?.status ?? "forgotten, as it does what is settled"}`;
    case "nobody":
    case "unavailable":
      return "nobody was asked";
    default:
      return unreachable(word);
  }
}

/** Null when nothing is to be changed. */
function changeOf(
  letter: LetterSummary,
  decision: Decision,
  said: { readonly actor: string; readonly atMs: number; readonly reason: string },
): LetterChange | null {
  const { id, state, directiveStatus } = letter;
  switch (decision.kind) {
    case "unchanged":
      return null;
    case "closed": {
      const { resolution, fields } = decision;
      if (state !== "open" && state !== "replaying") return null;
      return { ...said, id, from: [state], to: "resolved", resolution, fields, action: resolution };
    }
    case "updated":
      return {
        ...said,
        id,
        from: ["open"],
        expected: { directiveStatus },
        to: "open",
        fields: decision.fields,
        action: decision.status,
      };
    default:
      return unreachable(decision);
  }
}

/**
 * Before the letter says so: a letter that says it is not asked about again. False when nobody could hear it, so that the
 * next run tries again.
 */
async function told(
  env: ReconcileEnv,
  letter: LetterSummary,
  { status, fields }: Extract<Decision, { kind: "updated" }>,
  tell: ReconcileScope["tell"],
): Promise<boolean> {
  const { id, lane, directiveId, refund } = letter;
  if (tell === null || refund === null || lane === null) return true;
  try {
    const whole = await showLetter(env.LEDGER, id);
    if (whole === null) return false;
    const { code, message, sequence, transactions, lastFailureAtMs: atMs } = { ...letter, ...fields };
    const payload = whole.letter.body;
    await tell({
      letterId: id,
      account: lane,
      id: directiveId,
      status,
      code,
      message,
      sequence,
      transactions,
      payload,
      atMs,
    });
    return true;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(JSON.stringify({ at: "dlq.reconcile", letter: id, error: reason }));
    return false;
  }
}
