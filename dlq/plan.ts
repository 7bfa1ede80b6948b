// In:  a filter over open letters, from an operator.
// Out: a plan: the letters that a replay of it would send, oldest first, and its digest; what it refuses, by reason.
// On failure: names each wrong key, or the ids that no letter has; a plan whose writing broke off does not exist.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { z } from "zod";
import type { planRequestSchema, PlanReport } from "../domain/api-letters.ts";
import type { FieldProblem } from "../domain/directive.ts";
import type { ReplayPolicy } from "../domain/operations.ts";
import { err, ok, type Result } from "../domain/result.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { readFilter, type PlanFilter } from "./plan-filter.ts";
import { planLetterIds, prunePlans, readPlan, sealPlan, unknownLetters, writePlan } from "./plan-store.ts";

const NAMED_IDS = 20;

export interface PlanContext {
  readonly policy: Pick<ReplayPolicy, "maxReplays" | "maxLetters">;
  readonly actor: string;
  readonly nowMs: number;
  /** Of the letters in review that the filter names, those whose directives have landed since. */
  readonly landedReviews: (filter: PlanFilter) => Promise<readonly string[]>;
}

/** Plans a replay of the open letters that were opened before now. Nothing is changed but the list of plans. */
export async function makePlan(
  db: LedgerDatabase,
  request: z.infer<typeof planRequestSchema>,
  { policy, actor, nowMs, landedReviews }: PlanContext,
): Promise<Result<PlanReport, readonly FieldProblem[]>> {
  const filter = readFilter(request.filter);
  if (!filter.ok) return filter;
  if (filter.value.ids !== null) {
    const unknown = await unknownLetters(db, filter.value.ids);
    if (unknown.length > 0) return err([{ field: "filter.ids", message: `no letter has ${named(unknown)}` }]);
  }
  await prunePlans(db, nowMs);
  const id = newId();
  const limit = Math.min(request.limit ?? policy.maxLetters, policy.maxLetters);
  const maxReplays = request.force === true ? null : policy.maxReplays;
  const landed = await landedReviews(filter.value);
  await writePlan(db, { id, filter: filter.value, maxReplays, limit, landed, actor, nowMs });
  await sealPlan(db, id, await digestOfPlan(db, id));
  const plan = await readPlan(db, id);
  if (plan === null) throw new Error("the ledger has lost a plan that it had written");
  return ok(plan);
}

/** SHA-256 over the ids of the letters, each with a line feed behind it, in their order. */
async function digestOfPlan(db: LedgerDatabase, id: string): Promise<string> {
  const hash = sha256.create();
  for await (const ids of planLetterIds(db, id)) hash.update(utf8ToBytes(`${ids.join("\n")}\n`));
  return bytesToHex(hash.digest());
}

/** Of plans and replays: 96 random bits in hex, short enough to type. */
export function newId(): string {
  return bytesToHex(crypto.getRandomValues(new Uint8Array(12)));
}

function named(ids: readonly string[]): string {
  const shown = ids.slice(0, NAMED_IDS).join(", ");
  return ids.length > NAMED_IDS ? `${shown} and ${ids.length - NAMED_IDS} others` : shown;
}
