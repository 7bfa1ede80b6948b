import { introspectWorkflow } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { recordLetters } from "../../dlq/ledger.ts";
import { makePlan } from "../../dlq/plan.ts";
import { runPlan, showReplay } from "../../dlq/replay-commands.ts";
import { parseAccount } from "../../domain/ids.ts";
import { newLetter, NOW } from "./dlq-fixture.ts";
import { ALICE, POLICY } from "./replay-fixture.ts";

test("the Workflow drives a replay to its end on the platform's own engine", async () => {
  await using introspector = await introspectWorkflow(env.REPLAY);
  await introspector.modifyAll(async (modifier) => modifier.disableSleeps());
  const account = parseAccount(ALICE);
  if (!account.ok) throw new Error(account.error);
  const letters = ["a", "b"].map((directiveId) => newLetter({ lane: account.value.id, directiveId }));
  await recordLetters(env.LEDGER, letters);
  const plan = await makePlan(
    env.LEDGER,
    { filter: {} },
    {
      policy: POLICY,
      actor: "ops",
      nowMs: Date.now() + NOW,
      landedReviews: () => Promise.resolve([]),
    },
  );
  if (!plan.ok) throw new Error("no plan");
  const replay = await runPlan(
    env,
    { plan: plan.value.id, digest: plan.value.digest, reason: "why" },
    { policy: POLICY, actor: "ops", nowMs: Date.now() },
  );
  if (!replay.ok) throw new Error(replay.error.kind);
  const [instance] = await introspector.get();
  await instance?.waitForStatus("complete");
  // No lane has ever admitted them.
  expect(await showReplay(env, replay.value.id, Date.now())).toMatchObject({
    status: "done",
    total: 2,
    refused: 2,
  });
});
