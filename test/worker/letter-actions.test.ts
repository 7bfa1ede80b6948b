import { env } from "cloudflare:workers";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { CALL_BOUNDS } from "../../dlq/call-bounds.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { moveLetters } from "../../dlq/letter-changes.ts";
import { letterReportSchema, lettersPageSchema } from "../../domain/api-letters.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { newLetter, NOW, rows } from "./dlq-fixture.ts";
import { ANN, directive, eventView, letterFor, Operator, shown } from "./letters-fixture.ts";

async function dead(operator: Operator, id = "a"): Promise<string> {
  operator.lanes.admit(directive(id));
  operator.lanes.kill(ANN, id);
  return letterFor(operator.lanes, ANN, id);
}

async function inReview(operator: Operator, id = "a"): Promise<string> {
  operator.lanes.admit(directive(id));
  operator.lanes.review(ANN, id);
  return letterFor(operator.lanes, ANN, id);
}

const problemSchema = z.object({
  status: z.number(),
  detail: z.string(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});

/** The refusal's words: it must say what stands against it. */
function refusal({ status, body }: { status: number; body: unknown }): [number, string] {
  const problem = problemSchema.parse(body);
  expect(problem.status).toBe(status);
  return [status, problem.detail];
}

const replay = (id: string) =>
  moveLetters(env.LEDGER, [
    {
      id,
      from: ["open"],
      to: "replaying",
      replayId: "r1",
      actor: "ann",
      action: "replay",
      reason: "x",
      atMs: NOW,
    },
  ]);

describe("discard", () => {
  test("gives an open letter up for good, once, with who and why", async () => {
    const operator = new Operator();
    const id = await dead(operator);
    const { status, body } = await operator.act(id, "discard");
    expect(status).toBe(200);
    expect(letterReportSchema.parse(body)).toMatchObject({ state: "discarded", resolution: "discarded" });
    const { history } = await shown(id);
    expect(history.at(-1)).toMatchObject({ actor: "ann", action: "discard", reason: "because" });
    expect((await operator.act(id, "discard", { reason: "again" })).status).toBe(200);
    expect((await shown(id)).history).toEqual(history);
  });

  test("of a letter in a replay, a resolved one and an unknown one is refused", async () => {
    const operator = new Operator();
    const id = await dead(operator);
    await replay(id);
    expect(refusal(await operator.act(id, "discard"))).toEqual([409, expect.stringContaining("r1")]);
    expect((await shown(id)).letter.state).toBe("replaying");
    expect(refusal(await operator.act("nothing", "discard"))[0]).toBe(404);
  });

  test.each([
    [{}, "reason", "is missing"],
    [{ reason: "  " }, "reason", "must say why, in 1 to 500 characters"],
    [{ reason: 5 }, "reason", "must say why, in 1 to 500 characters"],
    [{ reason: "x".repeat(501) }, "reason", "must say why, in 1 to 500 characters"],
    [{ reason: "x", force: true }, "force", "is not a known field: remove it"],
  ])("with %j is refused, naming the field", async (given, field, message) => {
    const operator = new Operator();
    const id = await dead(operator);
    const { status, body } = await operator.call(`/v1/dlq/letters/${id}/discard`, given);
    expect(status).toBe(400);
    expect(problemSchema.parse(body).errors).toEqual([{ field, message }]);
    expect((await shown(id)).letter.state).toBe("open");
  });

  test("with a body of more than the largest directive is refused before it is read", async () => {
    const operator = new Operator();
    const id = await dead(operator);
    expect((await operator.act(id, "discard", { padding: "x".repeat(120_000) })).status).toBe(413);
  });
});

describe("resolve as landed", () => {
  test("closes the letter when the lane has confirmed its directive, with its hash or without", async () => {
    const operator = new Operator();
    const ids = [await inReview(operator, "a"), await inReview(operator, "b")];
    for (const id of ["a", "b"]) operator.lanes.end(ANN, id, "confirmed");
    expect((await operator.act(ids[0] ?? "", "resolve", { outcome: "landed" })).status).toBe(200);
    expect((await operator.act(ids[1] ?? "", "resolve", { outcome: "landed", txHash: "0xB" })).status).toBe(
      200,
    );
    for (const id of ids) expect((await shown(id)).letter.resolution).toBe("landed");
    expect((await operator.act(ids[0] ?? "", "resolve", { outcome: "landed" })).status).toBe(200);
    expect((await shown(ids[0] ?? "")).history).toHaveLength(2);
  });

  test("is refused while no evidence is final, and says what the lane says", async () => {
    const operator = new Operator();
    const id = await inReview(operator);
    const landed = (txHash?: string) =>
      operator.act(id, "resolve", { outcome: "landed", ...(txHash === undefined ? {} : { txHash }) });
    expect(refusal(await landed())).toEqual([409, expect.stringContaining("review")]);
    expect(refusal(await landed("0xa"))).toEqual([409, expect.stringContaining("uncertain")]);
    const { status, body } = await landed("0xother");
    expect(status).toBe(422);
    expect(problemSchema.parse(body).errors).toEqual([{ field: "txHash", message: "must be one of 0xa" }]);
    operator.lanes.end(ANN, "a", "dead");
    expect(refusal(await landed("0xa"))).toEqual([409, expect.stringContaining("superseded")]);
    expect((await shown(id)).letter.state).toBe("open");
    expect((await shown(id)).history).toHaveLength(1);
  });

  test.each(["raw", "event", "introduction"] as const)(
    "is no word on a letter of kind %s: it has no transaction",
    async (kind) => {
      const lane = { raw: null, event: "webhook:polar:c1", introduction: ANN }[kind];
      const letter = newLetter({ kind, lane, directiveStatus: null });
      await recordLetters(env.LEDGER, [letter]);
      for (const outcome of ["landed", "not-landed"])
        expect(refusal(await new Operator().act(letterId(letter), "resolve", { outcome }))).toEqual([
          422,
          expect.stringContaining("discard"),
        ]);
    },
  );
});

describe("resolve as not landed", () => {
  test("starts a burn, says so in the history, and leaves the letter open for the evidence", async () => {
    const operator = new Operator();
    const id = await inReview(operator);
    const { status, body } = await operator.act(id, "resolve", { outcome: "not-landed" });
    expect(status).toBe(202);
    expect(letterReportSchema.parse(body)).toMatchObject({ state: "open", now: { status: "review" } });
    expect((await shown(id)).history.at(-1)).toMatchObject({ action: "not-landed", actor: "ann" });
    expect([...operator.lanes.lane(ANN).slots.values()].map(({ burning }) => burning)).toEqual([true]);
  });

  test("is refused for what is not in review, on a strict chain, and with a hash", async () => {
    const operator = new Operator();
    const notLanded = (id: string) => operator.act(id, "resolve", { outcome: "not-landed" });
    expect(refusal(await notLanded(await dead(operator, "b")))).toEqual([
      409,
      expect.stringContaining("dead"),
    ]);
    const id = await inReview(operator);
    operator.lanes.gapTolerant = false;
    expect(refusal(await notLanded(id))).toEqual([409, expect.stringContaining("outbid")]);
    expect((await operator.act(id, "resolve", { outcome: "not-landed", txHash: "0xa" })).status).toBe(422);
    operator.lanes.end(ANN, "a", "confirmed");
    expect(refusal(await notLanded(id))).toEqual([409, expect.stringContaining("confirmed")]);
    expect((await shown(id)).history).toHaveLength(1);
  });
});

describe("one letter", () => {
  test("says what its lane says of it now, with every hash", async () => {
    const operator = new Operator();
    const id = await inReview(operator);
    operator.lanes.end(ANN, "a", "reverted");
    const { body } = await operator.call(`/v1/dlq/letters/${id}`);
    expect(letterReportSchema.parse(body)).toMatchObject({
      directiveStatus: "review",
      now: {
        status: "reverted",
        transactions: [{ hash: "0xa", sequence: 0, status: "reverted" }],
      },
    });
  });

  test("of an event says what its inbox says; of neither, and while they are away, nothing", async () => {
    const operator = new Operator();
    const event = newLetter({ kind: "event", lane: "webhook:polar:c1", directiveId: "e1" });
    const raw = newLetter({ kind: "raw", lane: null });
    await recordLetters(env.LEDGER, [event, raw]);
    operator.inboxes.events.set("webhook:polar:c1 e1", eventView("e1", { status: "settled" }));
    const now = async (id: string) =>
      letterReportSchema.parse((await operator.call(`/v1/dlq/letters/${id}`)).body).now;
    expect(await now(letterId(event))).toEqual({ status: "settled", sequence: 3, transactions: [] });
    expect(await now(letterId(raw))).toBeNull();
    operator.inboxes.away = true;
    expect(await now(letterId(event))).toBeNull();
    const id = await inReview(operator);
    operator.lanes.away.add(ANN);
    expect(await now(id)).toBeNull();
    expect(await operator.call(`/v1/dlq/letters/${id}`)).toMatchObject({
      body: { nowError: "the lane is away" },
    });
  });

  test("is shown, and given up, when its lane does not answer, and says so", async () => {
    const operator = new Operator();
    const id = await inReview(operator);
    operator.lanes.hung.add(ANN);
    const { callMs } = CALL_BOUNDS;
    Reflect.set(CALL_BOUNDS, "callMs", 1);
    onTestFinished(() => void Reflect.set(CALL_BOUNDS, "callMs", callMs));
    const silent = { now: null, nowError: "no answer within 0.001 s" };
    expect(await operator.call(`/v1/dlq/letters/${id}`)).toMatchObject({ status: 200, body: silent });
    expect(await operator.act(id, "discard")).toMatchObject({
      status: 200,
      body: { state: "discarded", ...silent },
    });
  });
});

describe("the list", () => {
  test("takes an inbox, an account in any spelling, and the queue that a letter comes from", async () => {
    const operator = new Operator();
    await recordLetters(env.LEDGER, [
      newLetter({
        kind: "event",
        lane: "webhook:polar:C 1",
        directiveId: "e1",
        sourceQueue: "webhook-events",
      }),
      newLetter({ kind: "event", lane: "webhook:polar#3", directiveId: "e2", sourceQueue: "webhook-events" }),
      newLetter({ lane: ANN, directiveId: "d1" }),
    ]);
    const list = async (query: Record<string, string>) => {
      const { body } = await operator.call(`/v1/dlq/letters?${new URLSearchParams(query).toString()}`);
      return lettersPageSchema.parse(body).letters.map(({ directiveId }) => directiveId);
    };
    expect(await list({ lane: "webhook:polar:C 1" })).toEqual(["e1"]);
    expect(await list({ lane: "webhook:polar#3" })).toEqual(["e2"]);
    expect(await list({ lane: ANN.toUpperCase().replace("EIP155", "eip155").replace("0X", "0x") })).toEqual([
      "d1",
    ]);
    expect(await list({ sourceQueue: "webhook-events" })).toEqual(["e2", "e1"]);
    expect(await list({ sourceQueue: "webhook-events", lane: ANN })).toEqual([]);
    expect(await list({ sourceQueue: "directives", lane: ANN })).toEqual(["d1"]);
    expect((await operator.call("/v1/dlq/letters?lane=webhook:")).status).toBe(400);
  });
});

describe("POST /v1/dlq/reconcile", () => {
  test("reconciles what is next, or the letters that are named, and counts what became of them", async () => {
    const operator = new Operator();
    const id = await inReview(operator);
    await inReview(operator, "b");
    expect((await operator.call("/v1/dlq/reconcile", {})).body).toEqual({
      checked: 2,
      outcomes: { unchanged: 2 },
    });
    operator.lanes.end(ANN, "a", "confirmed");
    expect((await operator.call("/v1/dlq/reconcile", { ids: [id] })).body).toEqual({
      checked: 1,
      outcomes: { landed: 1 },
    });
    expect((await shown(id)).history.at(-1)?.actor).toBe("ann");
    expect((await operator.call("/v1/dlq/reconcile", { ids: [] })).status).toBe(400);
    expect(await rows("SELECT 1 FROM letters WHERE state = 'resolved'")).toHaveLength(1);
  });
});
