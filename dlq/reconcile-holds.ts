// In:  letters of introductions that a request which was cut off may have left held.
// Out: each that its lane has the new directive of, replaced by it; each of the others, open as before.
// On failure: a lane that does not answer leaves its letters held, and they are counted; what D1 throws is thrown.
import type { LetterSummary } from "../domain/dead-letter.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { MAX_ASKED, type DirectiveFacts, type SequencerProtocol } from "../domain/lane.ts";
import { within } from "../domain/within.ts";
import { chunks } from "./chunks.ts";
import { ABANDONED_AFTER_MS, claimsOf, holderOf, releaseClaim, type EditClaim } from "./edit-claims.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { moveLetters } from "./letter-changes.ts";
import { eachOf, reasonOf } from "./replay-send.ts";

interface HoldsEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: { getByName(account: AccountId): Pick<SequencerProtocol, "directives"> };
}

/** `released`: the letter is open again. */
type HoldOutcome = "replaced" | "released" | "unchanged" | "unavailable";

interface Hold {
  readonly letter: LetterSummary;
  readonly claim: EditClaim;
}

const LANES_AT_ONCE = 10;

/**
 * Ends the holds of edits that nobody finishes any more, and answers what became of their letters. A request that is sent
 * again meanwhile renews its claim before it asks the lane, and what was found of the older claim changes nothing then.
 */
export async function settleHolds(
  env: HoldsEnv,
  letters: readonly LetterSummary[],
  said: { readonly actor: string; readonly atMs: number },
  callMs: number,
): Promise<ReadonlyMap<string, HoldOutcome>> {
  const outcomes = new Map<string, HoldOutcome>();
  const holds = await abandonedHolds(env.LEDGER, letters, said.atMs);
  const byLane = [...Map.groupBy(holds, ({ letter }) => letter.lane ?? "")].flatMap(([lane, owned]) =>
    chunks(owned, MAX_ASKED).map((some) => ({ lane, holds: some })),
  );
  await eachOf(byLane, LANES_AT_ONCE, async ({ lane, holds: some }) => {
    const words = await wordsOf(env, lane, some, callMs);
    for (const [index, hold] of some.entries()) {
      const word = words?.[index];
      outcomes.set(
        hold.letter.id,
        word === undefined ? "unavailable" : await settle(env.LEDGER, hold, word, said),
      );
    }
  });
  return outcomes;
}

async function abandonedHolds(
  db: LedgerDatabase,
  letters: readonly LetterSummary[],
  nowMs: number,
): Promise<readonly Hold[]> {
  const held = letters.filter(({ kind, state }) => kind === "introduction" && state === "replaying");
  if (held.length === 0) return [];
  const claims = await claimsOf(
    db,
    held.map(({ id }) => id),
  );
  return held.flatMap((letter) => {
    const claim = holderOf(letter, claims.get(letter.id) ?? null);
    return claim === null || nowMs - claim.atMs < ABANDONED_AFTER_MS ? [] : [{ letter, claim }];
  });
}

/** What the lane says of the new directives, in the order of the holds; null when it does not answer. */
async function wordsOf(
  env: HoldsEnv,
  lane: string,
  holds: readonly Hold[],
  callMs: number,
): Promise<readonly (DirectiveFacts | null)[] | null> {
  const account = parseAccount(lane);
  if (!account.ok) return null;
  try {
    const ids = holds.map(({ claim }) => claim.newId);
    return await within(callMs, env.SEQUENCER.getByName(account.value.id).directives(ids));
  } catch (error) {
    console.warn(JSON.stringify({ at: "dlq.reconcile", lane, error: reasonOf(error) }));
    return null;
  }
}

async function settle(
  db: LedgerDatabase,
  { letter: { id: letterId }, claim }: Hold,
  word: DirectiveFacts | null,
  said: { readonly actor: string; readonly atMs: number },
): Promise<HoldOutcome> {
  const { newId, newDigest, atMs: claimedAtMs } = claim;
  if (word?.digest === newDigest) {
    const change = {
      from: ["replaying"],
      to: "resolved",
      resolution: "replaced",
      action: "replaced",
    } as const;
    const reason = `the lane has the directive ${newId}: it is ${word.status}`;
    const moved = await moveLetters(db, [{ id: letterId, ...change, heldBy: claim, ...said, reason }]);
    return moved.has(letterId) ? "replaced" : "unchanged";
  }
  const change = { from: ["replaying"], to: "open", action: "resubmit abandoned" } as const;
  const reason = `the lane never had the directive ${newId}`;
  const isReleased = await releaseClaim(
    db,
    { letterId, newId, newDigest, claimedAtMs },
    { id: letterId, ...change, ...said, reason },
  );
  return isReleased ? "released" : "unchanged";
}
