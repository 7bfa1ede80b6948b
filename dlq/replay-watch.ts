import { parseAccount } from "../domain/ids.ts";
import { parseInbox } from "../domain/inbox-name.ts";
import { MAX_ASKED } from "../domain/lane.ts";
import { within } from "../domain/within.ts";
import { chunks } from "./chunks.ts";
import type { Decision, ReplayLetter } from "./replay-page-store.ts";
import { directiveEnd, eventEnd } from "./replay-decisions.ts";
import { eachOf, reasonOf, type ReplayTargets, type Spell } from "./replay-send.ts";

const LANES_AT_ONCE = 16;

export interface Watched {
  readonly decisions: readonly Decision[];
  /** The first letter that the spell was too short for; null when all were asked about. */
  readonly leftFrom: number | null;
  readonly calls: number;
}

/** Asks lanes and inboxes what became of letters that were sent. Those whose end is open have no decision. */
export async function lookUp(
  letters: readonly ReplayLetter[],
  targets: ReplayTargets,
  { bounds, now }: Spell,
): Promise<Watched> {
  const decisions: Decision[] = [];
  const left: number[] = [];
  const untilMs = now() + bounds.spellMs;
  let calls = 0;
  // The first is always asked about, so that those behind it have their turn.
  const isLeft = ({ ordinal }: ReplayLetter) => {
    if (calls === 0 || (calls < bounds.calls && now() < untilMs)) return false;
    left.push(ordinal);
    return true;
  };
  const groups = [...Map.groupBy(letters, ({ lane }) => lane)];
  await eachOf(groups, LANES_AT_ONCE, async ([lane, group]) => {
    try {
      const inbox = parseInbox(lane);
      if (inbox !== undefined) {
        const stub = targets.WEBHOOK_INBOX.getByName(inbox.name);
        for (const letter of group) {
          if (isLeft(letter)) return;
          calls += 1;
          const view = await within(bounds.callMs, stub.event(letter.directiveId));
          decisions.push(...eventEnd(letter, view));
        }
        return;
      }
      const account = parseAccount(lane);
      if (!account.ok) return;
      const stub = targets.SEQUENCER.getByName(account.value.id);
      for (const some of chunks(group, MAX_ASKED)) {
        if (some.slice(0, 1).some(isLeft)) return;
        calls += 1;
        const ids = some.map(({ directiveId }) => directiveId);
        const views = await within(bounds.callMs, stub.directives(ids));
        for (const [index, letter] of some.entries()) {
          const view = views[index];
          if (view !== undefined) decisions.push(...directiveEnd(letter, view));
        }
      }
    } catch (error) {
      console.warn(JSON.stringify({ at: "dlq.replay.watch", lane, error: reasonOf(error) }));
    }
  });
  return { decisions, leftFrom: left.length === 0 ? null : Math.min(...left), calls };
}
