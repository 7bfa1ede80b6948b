import { z } from "zod";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { MAX_ASKED, type SequencerProtocol } from "../domain/lane.ts";
import { within } from "../domain/within.ts";
import { CALL_BOUNDS } from "./call-bounds.ts";
import type { LedgerDatabase } from "./ledger.ts";
import type { PlanFilter } from "./plan-filter.ts";

export interface LandedEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: { getByName(account: AccountId): Pick<SequencerProtocol, "directives"> };
}

const rows = z.array(z.object({ id: z.string(), lane: z.string(), directive_id: z.string() }));

/**
 * Letters that the ledger has in review, and whose directives have landed since, as their lanes say: at most `MAX_ASKED`
 * of those that the filter names. A plan takes them, and its replay closes them as already landed. A lane that does not
 * answer has none: its letters are undetermined.
 */
export async function landedReviews(
  { LEDGER, SEQUENCER }: LandedEnv,
  { ids, lane }: Pick<PlanFilter, "ids" | "lane">,
  callMs = CALL_BOUNDS.callMs,
): Promise<readonly string[]> {
  const { results } = await LEDGER.prepare(
    `SELECT id, lane, directive_id FROM letters INDEXED BY letters_in_review
     WHERE state = 'open' AND directive_status = 'review' AND lane = COALESCE(?1, lane)
       AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) ORDER BY opened_at LIMIT ?3`,
  )
    .bind(lane, ids === null ? null : JSON.stringify(ids), MAX_ASKED)
    .all();
  const byLane = Map.groupBy(rows.parse(results), (row) => row.lane);
  const landed = await Promise.all(
    Array.from(byLane, async ([name, letters]) => {
      const account = parseAccount(name);
      if (!account.ok) return [];
      try {
        const asked = letters.map((letter) => letter.directive_id);
        const facts = await within(callMs, SEQUENCER.getByName(account.value.id).directives(asked));
        return letters.filter((_, index) => facts[index]?.status === "confirmed").map(({ id }) => id);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        console.warn(JSON.stringify({ at: "dlq.plan", lane: name, error: reason }));
        return [];
      }
    }),
  );
  return landed.flat();
}
