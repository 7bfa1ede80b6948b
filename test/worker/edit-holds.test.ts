import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { claimOf, overtakeClaim, releaseClaim } from "../../dlq/edit-claims.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { moveLetters } from "../../dlq/letter-changes.ts";
import { reconcileLetters } from "../../dlq/reconcile.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { newLetter, NOW, rows } from "./dlq-fixture.ts";
import { ANN, directive, Operator, shown } from "./letters-fixture.ts";

vi.spyOn(console, "warn").mockImplementation(() => undefined);

const EDIT = { id: "b", action: { type: "evm.transaction", to: `0x${"c".repeat(40)}`, value: "2" } };
const BY = { actor: "ann", reason: "x", atMs: NOW };

/** The letter of an introduction, held by an edit whose request was cut off before its lane heard of it. */
async function abandoned(operator: Operator, earlierReplay: string | null = null): Promise<string> {
  const letter = newLetter({
    kind: "introduction",
    lane: ANN,
    directiveId: directive("a").id,
    directiveStatus: null,
  });
  await recordLetters(env.LEDGER, [letter]);
  const id = letterId(letter);
  if (earlierReplay !== null) {
    const replay = { from: ["open"], to: "replaying", replayId: earlierReplay, action: "replay" } as const;
    await moveLetters(env.LEDGER, [{ id, ...replay, ...BY }]);
    await moveLetters(env.LEDGER, [{ id, from: ["replaying"], to: "open", action: "refused", ...BY }]);
  }
  operator.lanes.away.add(ANN);
  expect((await operator.act(id, "resubmit", EDIT)).status).toBe(500);
  operator.lanes.away.delete(ANN);
  expect((await shown(id)).letter.state).toBe("replaying");
  return id;
}

function reconcile({ lanes, inboxes }: Operator, nowMs: number, callMs?: number) {
  const scope = { ids: null, actor: "lockstep", tell: null };
  return reconcileLetters(
    { LEDGER: env.LEDGER, SEQUENCER: lanes, WEBHOOK_INBOX: inboxes },
    scope,
    nowMs,
    callMs,
  );
}

const LATER_MS = 61_000;

describe("the hold of an edit of an introduction that was cut off", () => {
  test("is released by reconciliation, and the letter can be given up", async () => {
    const operator = new Operator();
    const id = await abandoned(operator);
    expect((await reconcile(operator, Date.now())).outcomes).toEqual({ unchanged: 1 });
    expect((await reconcile(operator, Date.now() + LATER_MS)).outcomes).toEqual({ released: 1 });
    const { letter, history } = await shown(id);
    expect(letter).toMatchObject({ state: "open", resolution: null, replacedBy: null });
    expect(history.at(-1)).toMatchObject({
      actor: "lockstep",
      action: "resubmit abandoned",
      reason: "the lane never had the directive b",
    });
    expect(await rows("SELECT 1 FROM edits")).toEqual([]);
    const { status, body } = await operator.act(id, "discard");
    expect([status, body]).toMatchObject([200, { state: "discarded" }]);
  });

  test("ends with the letter replaced where the lane has the new directive", async () => {
    const operator = new Operator();
    const id = await abandoned(operator);
    operator.lanes.admit(directive("b", "2"));
    expect((await reconcile(operator, Date.now() + LATER_MS)).outcomes).toEqual({ replaced: 1 });
    expect((await shown(id)).letter).toMatchObject({ resolution: "replaced", replacedBy: "b" });
    expect((await operator.act(id, "resubmit", EDIT)).status).toBe(200);
    expect(operator.lanes.lane(ANN).directives.size).toBe(1);
  });

  test("stands while its lane does not answer", async () => {
    const operator = new Operator();
    const id = await abandoned(operator);
    operator.lanes.away.add(ANN);
    expect((await reconcile(operator, Date.now() + LATER_MS)).outcomes).toEqual({ unavailable: 1 });
    operator.lanes.away.clear();
    operator.lanes.hung.add(ANN);
    expect((await reconcile(operator, Date.now() + LATER_MS, 1)).outcomes).toEqual({ unavailable: 1 });
    expect((await shown(id)).letter.state).toBe("replaying");
  });

  test("stands when the request is sent again while the lane is asked", async () => {
    const operator = new Operator();
    const id = await abandoned(operator);
    await env.LEDGER.prepare("UPDATE edits SET at = 0").run();
    const getByName = operator.lanes.getByName.bind(operator.lanes);
    const asked = vi.spyOn(operator.lanes, "getByName").mockImplementation((account) => ({
      ...getByName(account),
      directives: async (ids) => {
        const words = await getByName(account).directives(ids);
        asked.mockImplementation(getByName);
        // It is in its lane, and the ledger does not hear of it.
        const cut = vi.spyOn(operator.rung, "push").mockImplementation(() => 0);
        operator.lanes.away.add(ANN);
        expect((await operator.act(id, "resubmit", EDIT)).status).toBe(500);
        operator.lanes.away.clear();
        cut.mockRestore();
        return words;
      },
    }));
    expect((await reconcile(operator, Date.now())).outcomes).toEqual({ unchanged: 1 });
    expect((await shown(id)).letter.state).toBe("replaying");
    expect(await rows("SELECT new_id FROM edits")).toEqual([{ new_id: "b" }]);
  });

  test("is what a refusal names, and not a replay that the letter was in before", async () => {
    const operator = new Operator();
    const id = await abandoned(operator, "r1");
    const { status, body } = await operator.act(id, "discard");
    expect(status).toBe(409);
    const { detail } = z.object({ detail: z.string() }).parse(body);
    expect(detail).toContain("another directive is taking its place, b:");
    expect(detail).not.toContain("r1");
  });
});

test("an edit that is refused leaves its letter to the edit that overtook it", async () => {
  const id = await abandoned(new Operator());
  const stands = await claimOf(env.LEDGER, id);
  if (stands === null) throw new Error("nobody claims the letter");
  const other = { letterId: id, lane: ANN, oldId: "a", actor: "ben", newId: "c", newDigest: "d", atMs: NOW };
  await overtakeClaim(env.LEDGER, other, stands);
  const refused = { letterId: id, newId: "b", newDigest: stands.newDigest, claimedAtMs: null };
  const back = { id, from: ["replaying"], to: "open", action: "resubmit refused", ...BY } as const;
  expect(await releaseClaim(env.LEDGER, refused, back)).toBe(false);
  expect(await claimOf(env.LEDGER, id)).toMatchObject({ newId: "c" });
  expect((await shown(id)).letter.state).toBe("replaying");
});
