import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { recordLetters } from "../../dlq/ledger.ts";
import { letterId } from "../../domain/dead-letter.ts";
import { newLetter, NOW, rows } from "./dlq-fixture.ts";
import { Arena } from "./replay-fixture.ts";

const raw = (directiveId: string, given = {}) =>
  newLetter({ kind: "raw", lane: null, directiveId, directiveStatus: null, body: "1", ...given });

/** Recorded, and once more: the queue may deliver it again. */
async function arrive(directiveId: string, given = {}): Promise<string> {
  const letter = raw(directiveId, { openedAtMs: NOW + 5000, ...given });
  await recordLetters(env.LEDGER, [letter]);
  await recordLetters(env.LEDGER, [letter]);
  return letterId(letter);
}

const lineage = (id: string) => rows(`SELECT previous, next, generation FROM letters WHERE id = '${id}'`);

test("a raw letter that comes back is the next of the one that was sent, and counts as replayed", async () => {
  const arena = new Arena();
  await recordLetters(env.LEDGER, [raw("m1", { openedAtMs: NOW })]);
  await arena.begin();
  await arena.drive();
  const [first, second] = [letterId(raw("m1")), await arrive("m2")];
  expect(await lineage(second)).toEqual([{ previous: first, next: null, generation: 1 }]);
  expect(await lineage(first)).toEqual([{ previous: null, next: second, generation: 0 }]);
  await arrive("m2");
  expect(await lineage(second)).toEqual([{ previous: first, next: null, generation: 1 }]);
});

test("each of two like bodies goes on one letter, and what was never replayed goes on none", async () => {
  const arena = new Arena();
  const letters = ["m0", "m1", "m2"].map((id, index) => raw(id, { openedAtMs: NOW - 3 + index }));
  await recordLetters(env.LEDGER, letters);
  await arena.begin({}, { filter: { ids: letters.slice(1).map((letter) => letterId(letter)) } });
  await arena.drive();
  const back = [await arrive("m3"), await arrive("m4"), await arrive("m5")];
  const previous = await Promise.all(back.map(async (id) => (await lineage(id))[0]?.["previous"]));
  expect(previous).toEqual([letterId(raw("m1")), letterId(raw("m2")), null]);
  expect(await lineage(await arrive("m6", { sourceQueue: "webhook-events" }))).toMatchObject([
    { previous: null, generation: 0 },
  ]);
});

test("a raw letter that is back before its replay has written down that it was sent is linked too", async () => {
  const arena = new Arena();
  await recordLetters(env.LEDGER, [raw("m1", { openedAtMs: NOW })]);
  await arena.begin();
  let back = "";
  const send = arena.directives.send.bind(arena.directives);
  arena.directives.send = async (body, options) => {
    await send(body, options);
    back = await arrive("m2");
  };
  await arena.drive();
  expect(await lineage(back)).toEqual([{ previous: letterId(raw("m1")), next: null, generation: 1 }]);
  expect(await rows(`SELECT state, next FROM letters WHERE id = '${letterId(raw("m1"))}'`)).toEqual([
    { state: "resolved", next: back },
  ]);
});
