import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { recordLetters } from "../../dlq/ledger.ts";
import { moveLetters, type LetterChange } from "../../dlq/letter-changes.ts";
import { letterId, type NewLetter } from "../../domain/dead-letter.ts";
import { newLetter, NOW, rows } from "./dlq-fixture.ts";
import { shown } from "./letters-fixture.ts";

const LETTER = newLetter();
const ID = letterId(LETTER);
const said = { actor: "ann", reason: "because", atMs: NOW + 1 };
const discard: LetterChange = {
  ...said,
  id: ID,
  from: ["open"],
  to: "discarded",
  resolution: "discarded",
  action: "discard",
};

const record = (...letters: NewLetter[]) => recordLetters(env.LEDGER, letters);
const move = (...changes: LetterChange[]) => moveLetters(env.LEDGER, changes);

describe("a change of a letter", () => {
  test("happens with one entry of its history that says who, when and why", async () => {
    await record(LETTER);
    expect([...(await move(discard))]).toEqual([ID]);
    const { letter, history } = await shown(ID);
    expect(letter).toMatchObject({ state: "discarded", resolution: "discarded", updatedAtMs: NOW + 1 });
    expect(history).toEqual([
      { atMs: NOW, actor: "lockstep", action: "opened", reason: "execution_reverted" },
      { atMs: NOW + 1, actor: "ann", action: "discard", reason: "because" },
    ]);
  });

  test("again, or from a state that it is not for, changes neither the letter nor its history", async () => {
    await record(LETTER);
    await move(discard);
    const before = await shown(ID);
    expect((await move(discard)).size).toBe(0);
    expect((await move({ ...discard, from: ["replaying"] })).size).toBe(0);
    expect(
      (await move({ ...said, id: ID, from: ["open", "replaying"], to: "open", action: "reopen" })).size,
    ).toBe(0);
    expect(await shown(ID)).toEqual(before);
  });

  test("of a letter that does not exist is nothing", async () => {
    expect((await move(discard)).size).toBe(0);
    expect((await move()).size).toBe(0);
    expect(await rows("SELECT 1 FROM letter_history")).toEqual([]);
  });

  test("one of many that exclude one another happens, and its entry is the only one", async () => {
    await record(LETTER);
    const changes = Array.from({ length: 12 }, (_, index): LetterChange =>
      index % 2 === 0
        ? { ...discard, actor: `a${index}` }
        : { ...said, id: ID, from: ["open"], to: "replaying", replayId: `r${index}`, action: "replay" },
    );
    const moved = await Promise.all(changes.map((change) => move(change)));
    expect(moved.filter((ids) => ids.has(ID))).toHaveLength(1);
    expect((await shown(ID)).history).toHaveLength(2);
  });

  test("to a replay and back keeps the replay's name, and a second replay takes its place", async () => {
    await record(LETTER);
    const replay = (replayId: string): LetterChange => ({
      ...said,
      id: ID,
      from: ["open"],
      to: "replaying",
      replayId,
      action: "replay",
    });
    await move(replay("r1"));
    await move({ ...said, id: ID, from: ["replaying"], to: "open", action: "returned" });
    expect((await shown(ID)).letter).toMatchObject({ state: "open", resolution: null, replayId: "r1" });
    await move(replay("r2"));
    expect((await shown(ID)).letter).toMatchObject({ state: "replaying", replayId: "r2" });
  });

  test("may name what a letter says anew, NULL included; what it does not name stays", async () => {
    await record(newLetter({ directiveStatus: "review", attempts: 3 }));
    const transactions = [{ hash: "0xnew", sequence: 9, status: "superseded" }];
    await move({
      ...said,
      id: ID,
      from: ["open"],
      expected: { directiveStatus: "review" },
      to: "open",
      action: "dead",
      fields: { directiveStatus: "dead", sequence: null, transactions, message: 'says "no"\u{1f98a}' },
    });
    expect((await shown(ID)).letter).toMatchObject({
      directiveStatus: "dead",
      sequence: null,
      transactions,
      message: 'says "no"\u{1f98a}',
      code: "execution_reverted",
      attempts: 3,
      next: null,
    });
  });

  test("that expects another status of the directive does not happen", async () => {
    await record(LETTER);
    const expected = { directiveStatus: "review" } as const;
    expect((await move({ ...discard, expected })).size).toBe(0);
    expect((await move({ ...discard, expected: { directiveStatus: null } })).size).toBe(0);
    expect((await move({ ...discard, expected: { directiveStatus: "dead" } })).size).toBe(1);
  });

  test("is one of 230 in one transaction; when that fails, none happened", async () => {
    const letters = Array.from({ length: 230 }, (_, index) => newLetter({ directiveId: `d${index}` }));
    await record(...letters);
    const changes = letters.map((letter): LetterChange => ({ ...discard, id: letterId(letter) }));
    const poison: LetterChange = {
      ...said,
      id: letterId(letters[229] ?? LETTER),
      from: ["open"],
      to: "open",
      action: "poison",
      fields: { attempts: -1 },
    };
    await expect(move(...changes.slice(0, 229), poison)).rejects.toThrow(/CHECK/);
    expect(await rows("SELECT 1 FROM letters WHERE state <> 'open'")).toEqual([]);
    expect(await rows("SELECT 1 FROM letter_history WHERE number > 1")).toEqual([]);
    expect((await move(...changes)).size).toBe(230);
    expect(await rows("SELECT state, letters FROM letter_counts WHERE letters > 0")).toEqual([
      { state: "discarded", letters: 230 },
    ]);
  });

  test("reads no more rows among 2,000 letters than among 20", async () => {
    const letters = Array.from({ length: 2000 }, (_, index) => newLetter({ directiveId: `d${index}` }));
    const read = async (letter: NewLetter | undefined) => {
      let rowsRead = 0;
      await moveLetters(
        {
          prepare: (sql) => env.LEDGER.prepare(sql),
          batch: async <Row>(statements: D1PreparedStatement[]) => {
            const results = await env.LEDGER.batch<Row>(statements);
            for (const { meta } of results) rowsRead += meta.rows_read;
            return results;
          },
        },
        [{ ...discard, id: letterId(letter ?? LETTER) }],
      );
      return rowsRead;
    };
    await record(...letters.slice(0, 20));
    const few = await read(letters[3]);
    await record(...letters.slice(20));
    expect(await read(letters[1003])).toBeLessThanOrEqual(few);
    expect(few).toBeLessThan(40);
  });
});

describe("letters of one work", () => {
  test("name one another, before and after each replay", async () => {
    const letters = [0, 1, 2].map((generation) => newLetter({ generation }));
    for (const letter of letters) await record(letter);
    const ids = letters.map(letterId);
    const tied = await Promise.all(ids.map(async (id) => (await shown(id)).letter));
    expect(tied.map(({ next }) => next)).toEqual([ids[1], ids[2], null]);
    expect(tied.map(({ previous }) => previous)).toEqual([null, ids[0], ids[1]]);
  });

  test("name the introduction that no lane took before the lane's own", async () => {
    const introduction = newLetter({ kind: "introduction", directiveStatus: null });
    const died = newLetter();
    await record(introduction);
    await record(died);
    await record(newLetter({ directiveId: "another" }));
    expect((await shown(letterId(died))).letter.previous).toBe(letterId(introduction));
    expect((await shown(letterId(newLetter({ directiveId: "another" })))).letter.previous).toBeNull();
  });
});
