import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { recordLetters } from "../../dlq/ledger.ts";
import { moveLetters } from "../../dlq/letter-changes.ts";
import { letterReportSchema } from "../../domain/api-letters.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { digestOf, encodePayload } from "../../domain/directive.ts";
import { newLetter, NOW, rows } from "./dlq-fixture.ts";
import { ANN, directive, letterFor, Operator, shown } from "./letters-fixture.ts";

vi.spyOn(console, "warn").mockImplementation(() => undefined);

const action = (value = "2") => ({ type: "evm.transaction", to: `0x${"c".repeat(40)}`, value });
const edit = (id: string, value?: string) => ({ id, action: action(value) });

async function dead(operator: Operator, id = "a"): Promise<string> {
  operator.lanes.admit(directive(id));
  operator.lanes.kill(ANN, id);
  return letterFor(operator.lanes, ANN, id);
}

/** A directive that no lane took. */
async function introduction(id = "a"): Promise<string> {
  const { account, ...given } = directive(id);
  const letter = newLetter({
    kind: "introduction",
    lane: ANN,
    directiveId: id,
    digest: digestOf({ account, ...given }),
    directiveStatus: null,
    sequence: null,
    transactions: [],
    body: encodePayload(given),
  });
  await recordLetters(env.LEDGER, [letter]);
  return letterId(letter);
}

const detail = ({ body }: { body: unknown }) => z.object({ detail: z.string() }).parse(body).detail;

describe("an edit of a dead directive", () => {
  test("takes its place in the lane for good, and the letters name one another", async () => {
    const operator = new Operator();
    const id = await dead(operator);
    const { status, body } = await operator.act(id, "resubmit", edit("b"));
    expect(status).toBe(200);
    expect(letterReportSchema.parse(body)).toMatchObject({
      state: "resolved",
      resolution: "replaced",
      replacedBy: "b",
      now: { status: "replaced" },
    });
    expect([operator.lanes.statusOf(ANN, "a"), operator.lanes.statusOf(ANN, "b")]).toEqual([
      "replaced",
      "queued",
    ]);
    expect(operator.rung).toHaveLength(1);
    expect((await shown(id)).history.at(-1)).toMatchObject({ actor: "ann", action: "resubmit" });
    operator.lanes.kill(ANN, "b");
    expect((await shown(await letterFor(operator.lanes, ANN, "b"))).letter.replaces).toBe("a");
  });

  test("again answers the same and changes nothing; another one is refused", async () => {
    const operator = new Operator();
    const id = await dead(operator);
    await operator.act(id, "resubmit", edit("b"));
    const before = await shown(id);
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(200);
    for (const other of [edit("c"), edit("b", "3")])
      expect((await operator.act(id, "resubmit", other)).status).toBe(409);
    expect(await shown(id)).toEqual(before);
    expect(operator.lanes.lane(ANN).directives.size).toBe(2);
  });

  test("is not overtaken by a discard that comes before its lane has answered", async () => {
    const operator = new Operator();
    const id = await dead(operator);
    const getByName = operator.lanes.getByName.bind(operator.lanes);
    const discards: number[] = [];
    vi.spyOn(operator.lanes, "getByName").mockImplementation((account) => {
      const lane = getByName(account);
      return {
        ...lane,
        readmit: async (key, other) => {
          discards.push((await operator.act(id, "discard")).status);
          return lane.readmit(key, other);
        },
      };
    });
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(200);
    expect(discards).toEqual([409]);
    expect((await shown(id)).letter).toMatchObject({ resolution: "replaced", replacedBy: "b" });
  });

  test("goes on from a reverted one", async () => {
    const operator = new Operator();
    operator.lanes.admit(directive("a"));
    operator.lanes.end(ANN, "a", "reverted");
    const id = await letterFor(operator.lanes, ANN, "a");
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(200);
  });

  test.each([
    ["an id that the lane has", "taken"],
    ["a letter of an earlier life", "earlier"],
    ["a directive in review", "review"],
    ["a letter in a replay", "replaying"],
  ] as const)("is refused for %s, and another edit may be tried afterwards", async (_, why) => {
    const operator = new Operator();
    const id = await dead(operator);
    const { digest } = (await shown(id)).letter;
    const key = { id: "a", digest, generation: 0 };
    if (why === "taken") operator.lanes.admit(directive("b", "9"));
    if (why === "earlier" || why === "review") await operator.lanes.getByName(ANN).readmit(key, null);
    if (why === "review") operator.lanes.review(ANN, "a");
    const replay = { from: ["open"], to: "replaying", replayId: "r1", action: "replay" } as const;
    if (why === "replaying")
      await moveLetters(env.LEDGER, [{ id, ...replay, actor: "ann", reason: "x", atMs: NOW }]);
    const answer = await operator.act(id, "resubmit", edit("b"));
    expect(answer.status).toBe(409);
    expect(detail(answer)).toMatch(
      { taken: /another id/, earlier: /generation 1/, review: /review/, replaying: /r1/ }[why],
    );
    expect(await rows("SELECT 1 FROM edits")).toEqual([]);
    expect((await shown(id)).letter.replacedBy).toBeNull();
  });

  test("of one that landed closes the letter as landed and sends nothing", async () => {
    const operator = new Operator();
    operator.lanes.admit(directive("a"));
    operator.lanes.review(ANN, "a");
    const id = await letterFor(operator.lanes, ANN, "a");
    operator.lanes.end(ANN, "a", "confirmed");
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(409);
    expect((await shown(id)).letter.resolution).toBe("landed");
    expect(operator.lanes.statusOf(ANN, "b")).toBeUndefined();
  });

  test.each([
    [{ id: "b", action: { type: "evm.transaction", to: "0x1", value: "-5" } }, ["action.to", "action.value"]],
    [{ id: "b" }, ["action"]],
    [{ id: "b c", action: action() }, ["id"]],
    [{ id: "a", action: action() }, ["id"]],
    [{ id: "b", action: action(), account: "eip155:1:0x1" }, ["account"]],
    [{ id: "b", action: action(), expiresAt: "tomorrow" }, ["expiresAt"]],
  ])("with wrong fields names each of them: %j", async (given, fields) => {
    const operator = new Operator();
    const id = await dead(operator);
    const { status, body } = await operator.act(id, "resubmit", given);
    expect(status).toBe(400);
    const { errors } = z.object({ errors: z.array(z.object({ field: z.string() })) }).parse(body);
    expect(errors.map(({ field }) => field)).toEqual(fields);
    expect(await rows("SELECT 1 FROM edits")).toEqual([]);
  });

  test.each(["raw", "event"] as const)("is nothing for a letter of kind %s", async (kind) => {
    const letter = newLetter({ kind, lane: kind === "raw" ? null : "webhook:polar:c1" });
    await recordLetters(env.LEDGER, [letter]);
    expect((await new Operator().act(letterId(letter), "resubmit", edit("b"))).status).toBe(422);
  });
});

describe("an edit of an introduction", () => {
  test("is admitted, and the letter is replaced by it", async () => {
    const operator = new Operator();
    const id = await introduction();
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(200);
    expect((await shown(id)).letter).toMatchObject({ resolution: "replaced", replacedBy: "b" });
    expect(operator.lanes.statusOf(ANN, "b")).toBe("queued");
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(200);
    expect((await operator.act(id, "resubmit", edit("c"))).status).toBe(409);
    expect(operator.lanes.lane(ANN).directives.size).toBe(1);
  });

  test("is refused, and the letter open as before, when the id is taken or a lane has the directive by now", async () => {
    const operator = new Operator();
    const id = await introduction();
    operator.lanes.admit(directive("b", "9"));
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(409);
    expect((await shown(id)).letter.state).toBe("open");
    operator.lanes.admit(directive("a"));
    expect((await operator.act(id, "resubmit", edit("c"))).status).toBe(409);
    expect((await shown(id)).letter.state).toBe("open");
    expect(operator.lanes.statusOf(ANN, "c")).toBeUndefined();
  });
});

describe.each(["directive", "introduction"] as const)("an edit of a letter of kind %s", (kind) => {
  const letterOf = (operator: Operator, of = "a") =>
    kind === "directive" ? dead(operator, of) : introduction(of);
  const queuedOf = (operator: Operator) =>
    [...operator.lanes.lane(ANN).directives.values()].filter(({ state }) => state === "queued");

  test("cut off anywhere is finished by the same request, once", async () => {
    const whole = new Operator();
    await whole.act(await letterOf(whole, "whole"), "resubmit", edit("b"));
    const { steps } = whole.cut;
    expect(steps).toBeGreaterThan(10);
    for (let at = 1; at <= steps; at += 1) {
      const operator = new Operator();
      const id = await letterOf(operator, `cut-${at}`);
      operator.cut.at = at;
      const name = `cut at ${at}`;
      // The last question is the lane's word for the answer alone.
      expect((await operator.act(id, "resubmit", edit("b"))).status, name).toBe(at === steps ? 200 : 500);
      operator.cut.at = Number.POSITIVE_INFINITY;
      expect((await operator.act(id, "resubmit", edit("b"))).status, name).toBe(200);
      expect((await shown(id)).letter, name).toMatchObject({ resolution: "replaced", replacedBy: "b" });
      expect(queuedOf(operator), name).toHaveLength(1);
    }
  });

  test("of many at once, one happens", async () => {
    const operator = new Operator();
    const id = await letterOf(operator);
    const answers = await Promise.all(
      ["b", "c", "b", "d", "c"].map((other) => operator.act(id, "resubmit", edit(other))),
    );
    const ends = new Set(answers.map(({ status }) => status));
    expect(ends.has(200)).toBe(true);
    const queued = queuedOf(operator);
    expect(queued).toHaveLength(1);
    expect((await shown(id)).letter).toMatchObject({ resolution: "replaced", replacedBy: queued[0]?.id });
  });

  test("that was cut off before its lane heard of it gives way to another one after a minute", async () => {
    const operator = new Operator();
    const id = await letterOf(operator);
    operator.lanes.away.add(ANN);
    expect((await operator.act(id, "resubmit", edit("b"))).status).toBe(500);
    operator.lanes.away.clear();
    const early = await operator.act(id, "resubmit", edit("c"));
    expect([early.status, detail(early)]).toEqual([409, expect.stringContaining("the directive b")]);
    await env.LEDGER.prepare("UPDATE edits SET at = 0").run();
    expect((await operator.act(id, "resubmit", edit("c"))).status).toBe(200);
    expect((await shown(id)).letter.replacedBy).toBe("c");
  });

  test("that its lane made, and of which the ledger did not hear, is found by reconciliation", async () => {
    const operator = new Operator();
    const id = await letterOf(operator);
    const whole = new Operator();
    const other = kind === "directive" ? await dead(whole, "z") : await introduction("z");
    await whole.act(other, "resubmit", edit("y"));
    // After the transaction that closes the letter come two statements and one transaction to show it, and one question.
    operator.cut.at = whole.cut.steps - 4;
    await operator.act(id, "resubmit", edit("b"));
    operator.cut.at = Number.POSITIVE_INFINITY;
    expect((await shown(id)).letter.resolution).toBeNull();
    await operator.call("/v1/dlq/reconcile", { ids: [id] });
    if (kind === "introduction") await operator.act(id, "resubmit", edit("b"));
    expect((await shown(id)).letter).toMatchObject({ resolution: "replaced", replacedBy: "b" });
  });
});
