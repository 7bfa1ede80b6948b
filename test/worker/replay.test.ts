import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { recordLetters } from "../../dlq/ledger.ts";
import { rawBody } from "../../dlq/raw-body.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { digestOf, encodePayload } from "../../domain/directive.ts";
import { inboxOfKey } from "../../domain/inbox-name.ts";
import { directive, newLetter, rows } from "./dlq-fixture.ts";
import { ALICE, Arena, BOB, CAROL, INBOX, numbers, shown, states } from "./replay-fixture.ts";

const STRANGER = `eip155:31337:0x${"9".repeat(40)}`;

describe("a replay", () => {
  test("sends each letter once, rings its lane, and ends when all have landed", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 700);
    await arena.fill(BOB, 5);
    const { id } = await arena.begin();
    await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 0, inFlight: 705 });
    expect(arena.lanes.readmissions.size).toBe(705);
    expect(arena.directives.sent.length).toBeGreaterThan(0);
    arena.settle("confirmed");
    await arena.drive();
    const replay = await shown(arena, id);
    expect(replay.status).toBe("done");
    expect(numbers(replay)).toMatchObject({ landed: 705, alreadyLanded: 0 });
    expect(new Set(arena.lanes.readmissions.values())).toEqual(new Set([1]));
    expect(await states()).toEqual([{ state: "resolved", resolution: "landed", letters: 705 }]);
  });

  test("never sends again what had landed, and refuses what is undetermined, reverted or gone", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 5);
    arena.lanes.get(ALICE, "d00000").status = "confirmed";
    arena.lanes.get(ALICE, "d00001").status = "review";
    arena.lanes.get(ALICE, "d00002").status = "reverted";
    arena.lanes.directives.delete(`${ALICE} d00003`);
    arena.lanes.get(ALICE, "d00004").status = "replaced";
    const { id } = await arena.begin();
    await arena.drive();
    const replay = await shown(arena, id);
    expect(replay).toMatchObject({ status: "done", sent: 0 });
    expect(numbers(replay)).toMatchObject({ landed: 1, alreadyLanded: 1, refused: 4 });
    expect(arena.lanes.readmissions.size).toBe(0);
    expect(await states()).toEqual([
      { state: "open", resolution: null, letters: 4 },
      { state: "resolved", resolution: "landed", letters: 1 },
    ]);
  });

  test("counts what died again, and links it to the letter of the new death", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 2);
    const { id } = await arena.begin();
    await arena.turn();
    const again = newLetter({ lane: ALICE, directiveId: "d00000", generation: 1 });
    await recordLetters(env.LEDGER, [again]);
    arena.lanes.get(ALICE, "d00000").status = "dead";
    arena.lanes.get(ALICE, "d00001").status = "reverted";
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ failedAgain: 2 });
    const first = letterId(newLetter({ lane: ALICE, directiveId: "d00000" }));
    expect(await rows(`SELECT state, resolution, next FROM letters WHERE id = '${first}'`)).toEqual([
      { state: "resolved", resolution: "failed-again", next: letterId(again) },
    ]);
    expect(await rows(`SELECT state, previous FROM letters WHERE id = '${letterId(again)}'`)).toEqual([
      { state: "open", previous: first },
    ]);
  });

  test("goes on waiting for what is in review", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 1);
    const { id } = await arena.begin();
    await arena.turn();
    arena.lanes.get(ALICE, "d00000").status = "review";
    for (let index = 0; index < 5; index += 1) expect((await arena.turn()).ended).toBe(false);
    expect(numbers(await shown(arena, id))).toMatchObject({ inFlight: 1 });
    arena.lanes.get(ALICE, "d00000").status = "confirmed";
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 1 });
  });

  test("takes events back to their inbox, and settles with them", async () => {
    const arena = new Arena();
    const event = (directiveId: string) =>
      newLetter({
        kind: "event",
        lane: INBOX,
        directiveId,
        directiveStatus: null,
        sourceQueue: "webhook-events",
      });
    await recordLetters(env.LEDGER, ["e1", "e2", "e3", "e4"].map(event));
    arena.inboxes.events.set(`${INBOX} e1`, { status: "dead", generation: 0 });
    arena.inboxes.events.set(`${INBOX} e2`, { status: "settled", generation: 0 });
    arena.inboxes.events.set(`${INBOX} e3`, { status: "dead", generation: 0 });
    const { id } = await arena.begin();
    await arena.turn();
    // The inbox has forgotten e4: it forgets what is settled alone.
    expect(numbers(await shown(arena, id))).toMatchObject({ inFlight: 2, alreadyLanded: 2, refused: 0 });
    expect(arena.webhookEvents.sent).toHaveLength(1);
    arena.inboxes.events.set(`${INBOX} e1`, { status: "settled", generation: 1 });
    arena.inboxes.events.set(`${INBOX} e3`, { status: "dead", generation: 1 });
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 3, failedAgain: 1, refused: 0 });
    expect(await states()).toEqual([
      { state: "resolved", resolution: "failed-again", letters: 1 },
      { state: "resolved", resolution: "settled", letters: 3 },
    ]);
  });

  test("takes the events of an inbox back in the order of their sequences, not of their letters", async () => {
    const arena = new Arena();
    const letters = [2, 0, 1].map((sequence) =>
      newLetter({ kind: "event", lane: INBOX, directiveId: `e${sequence}`, directiveStatus: null, sequence }),
    );
    await recordLetters(env.LEDGER, letters);
    const inbox = arena.inboxes.getByName(INBOX);
    const readmitted: string[] = [];
    vi.spyOn(arena.inboxes, "getByName").mockReturnValue({
      ...inbox,
      readmit(key) {
        readmitted.push(key.id);
        return inbox.readmit(key);
      },
    });
    await arena.begin();
    await arena.turn();
    expect(readmitted).toEqual(["e0", "e1", "e2"]);
  });

  test.each([
    ["forgets", null],
    ["forgets, and takes in anew", { status: "queued", generation: 0 }],
  ] as const)("has landed what its inbox settles and %s before the replay looks", async (_, word) => {
    const arena = new Arena();
    await recordLetters(env.LEDGER, [
      newLetter({ kind: "event", lane: INBOX, directiveId: "e1", directiveStatus: null }),
    ]);
    arena.inboxes.events.set(`${INBOX} e1`, { status: "dead", generation: 0 });
    const { id } = await arena.begin();
    await arena.turn();
    expect(arena.inboxes.events.get(`${INBOX} e1`)).toEqual({ status: "queued", generation: 1 });
    arena.inboxes.events.delete(`${INBOX} e1`);
    if (word !== null) arena.inboxes.events.set(`${INBOX} e1`, word);
    arena.nowMs += 3_600_000;
    await arena.drive();
    const replay = await shown(arena, id);
    expect(replay.status).toBe("done");
    expect(numbers(replay)).toMatchObject({ landed: 1, refused: 0 });
    expect(await states()).toEqual([{ state: "resolved", resolution: "settled", letters: 1 }]);
  });

  test("refuses events of a source that is not configured any more: nobody would ever handle them", async () => {
    const arena = new Arena();
    const lane = inboxOfKey("gone", "c1").name;
    await recordLetters(env.LEDGER, [
      newLetter({ kind: "event", lane, directiveId: "e1", directiveStatus: null }),
    ]);
    arena.inboxes.events.set(`${lane} e1`, { status: "dead", generation: 0 });
    const { id } = await arena.begin();
    await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ refused: 1 });
    expect(arena.inboxes.events.get(`${lane} e1`)).toEqual({ status: "dead", generation: 0 });
    expect(await states()).toEqual([{ state: "open", resolution: null, letters: 1 }]);
  });

  test("introduces a directive whose account has a signer by now, and refuses the others", async () => {
    const arena = new Arena();
    const introduced = (lane: string, given = {}) => {
      const body = encodePayload(directive());
      return newLetter({
        kind: "introduction",
        lane,
        directiveStatus: null,
        body,
        digest: digestOf(directive()),
        ...given,
      });
    };
    await recordLetters(env.LEDGER, [
      introduced(ALICE),
      introduced(BOB),
      introduced(STRANGER),
      introduced(CAROL, { body: "{}" }),
    ]);
    arena.lanes.put(BOB, "d1", { digest: "another" });
    const { id } = await arena.begin();
    await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ inFlight: 1, refused: 3 });
    arena.settle("confirmed");
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 1, refused: 3 });
    expect(await rows("SELECT detail FROM replay_letters WHERE outcome = 'refused' ORDER BY detail")).toEqual(
      [
        { detail: "its stored payload cannot be read" },
        { detail: "no_signer: no signer is configured for the account" },
        { detail: "the lane has another payload under the same id" },
      ],
    );
  });

  test("puts raw messages back on the queue that they came from, as they came", async () => {
    const arena = new Arena();
    const bodies: unknown[] = [{ json: { v: 9 } }, "text", new Uint8Array([1, 2, 255]), new Map([["a", 1n]])];
    await recordLetters(
      env.LEDGER,
      bodies.map((body, index) => {
        const { format, text } = rawBody(body);
        const sourceQueue = index === 0 ? "webhook-events" : "directives";
        return newLetter({
          kind: "raw",
          lane: null,
          directiveId: `m${index}`,
          directiveStatus: null,
          sourceQueue,
          body: text,
          bodyFormat: format,
        });
      }),
    );
    const { id } = await arena.begin();
    await arena.drive();
    expect(arena.webhookEvents.sent).toEqual([{ body: bodies[0], contentType: "json" }]);
    expect(arena.directives.sent).toEqual([
      { body: "text", contentType: "json" },
      { body: bodies[2], contentType: "bytes" },
      { body: bodies[3], contentType: "v8" },
    ]);
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 4, alreadyLanded: 0 });
    expect(await states()).toEqual([{ state: "resolved", resolution: "returned", letters: 4 }]);
  });

  test("tries a queue again that did not take a raw message, and gives up one that nobody can send", async () => {
    const arena = new Arena();
    await recordLetters(env.LEDGER, [
      newLetter({ kind: "raw", lane: null, directiveId: "m1", directiveStatus: null, body: "1" }),
    ]);
    const { id } = await arena.begin();
    arena.directives.refuses = new Error("the queue is away");
    await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 1 });
    arena.directives.refuses = new RangeError("Maximum call stack size exceeded");
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ refused: 1 });
  });

  test("is held up by no lane that is away, and sends to it once it is back", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 10);
    await arena.fill(BOB, 10);
    arena.lanes.away.add(ALICE);
    const { id } = await arena.begin();
    for (let index = 0; index < 3; index += 1) await arena.turn();
    arena.settle("confirmed");
    for (let index = 0; index < 3; index += 1) await arena.turn();
    expect(numbers(await shown(arena, id))).toMatchObject({ waiting: 10, landed: 10 });
    const asked = arena.lanes.calls.filter((call) => call.startsWith(`readmitAll ${ALICE}`)).length;
    expect(asked).toBeLessThan(10);
    arena.lanes.away.clear();
    for (let index = 0; index < 10; index += 1) await arena.turn();
    arena.settle("confirmed");
    await arena.drive();
    expect(numbers(await shown(arena, id))).toMatchObject({ landed: 20 });
    expect(new Set(arena.lanes.readmissions.values())).toEqual(new Set([1]));
  });

  test("keeps to its rate and to each lane's", async () => {
    const arena = new Arena();
    await arena.fill(ALICE, 60);
    await arena.fill(BOB, 30);
    const { id } = await arena.begin({ ratePerSecond: 20, perLanePerSecond: 5 });
    const startMs = arena.nowMs;
    let lastMs = startMs;
    arena.lanes.crash = (place) => {
      if (place === "after readmitAll") lastMs = arena.nowMs;
    };
    for (let index = 0; index < 20; index += 1) {
      await arena.turn();
      const seconds = (arena.nowMs - startMs) / 1000;
      const ofAlice = [...arena.lanes.readmissions.keys()].filter((key) => key.startsWith(ALICE)).length;
      expect(ofAlice).toBeLessThanOrEqual(5 * (seconds + 1));
      expect(arena.lanes.readmissions.size).toBeLessThanOrEqual(20 * (seconds + 1));
      if (arena.lanes.readmissions.size === 90) break;
    }
    expect(arena.lanes.readmissions.size).toBe(90);
    expect((lastMs - startMs) / 1000).toBeLessThan(13);
    expect(await shown(arena, id)).toMatchObject({ waiting: 0, inFlight: 90 });
  });
});
