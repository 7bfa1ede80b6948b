import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { recordLetters } from "../../dlq/ledger.ts";
import { letterDepth, listLetters, showLetter, type LetterPosition } from "../../dlq/letters.ts";
import { letterId, type LetterFilter } from "../../domain/dead-letter.ts";
import { ALICE, BOB, EVERY, failingLedger, newLetter, NOW, rows } from "./dlq-fixture.ts";

async function list(filter: Partial<LetterFilter> = {}, limit = 100, after: LetterPosition | null = null) {
  const page = await listLetters(env.LEDGER, { ...EVERY, ...filter }, { after, limit });
  return { ids: page.letters.map(({ directiveId }) => directiveId), next: page.next };
}

async function move(directiveId: string, state: string): Promise<void> {
  await env.LEDGER.prepare("UPDATE letters SET state = ? WHERE directive_id = ?")
    .bind(state, directiveId)
    .run();
}

describe("recording", () => {
  test("no letters writes nothing", async () => {
    expect((await recordLetters(env.LEDGER, [])).failed.size).toBe(0);
  });

  test("a letter again changes nothing, neither what it says nor its history nor the depth", async () => {
    await recordLetters(env.LEDGER, [newLetter()]);
    await move("d1", "resolved");
    const before = [
      await rows("SELECT * FROM letters"),
      await rows("SELECT * FROM letter_history"),
      await letterDepth(env.LEDGER),
    ];
    const again = newLetter({ message: "another", openedAtMs: NOW + 1, attempts: 9 });
    const { failed } = await recordLetters(env.LEDGER, [again]);
    expect(failed.size).toBe(0);
    expect([
      await rows("SELECT * FROM letters"),
      await rows("SELECT * FROM letter_history"),
      await letterDepth(env.LEDGER),
    ]).toEqual(before);
  });

  test.each([
    ["kind", { kind: "introduction" }],
    ["lane", { lane: BOB }],
    ["no lane", { lane: null }],
    ["directive id", { directiveId: "d2" }],
    ["digest", { digest: "e".repeat(64) }],
    ["generation", { generation: 1 }],
  ] as const)("another %s makes another letter", async (_, other) => {
    await recordLetters(env.LEDGER, [newLetter(), newLetter(other)]);
    expect(await rows("SELECT 1 FROM letters")).toHaveLength(2);
    expect(letterId(newLetter(other))).not.toBe(letterId(newLetter()));
  });

  test("a letter without lane is one letter, however often it is recorded", async () => {
    await recordLetters(env.LEDGER, [newLetter({ lane: null })]);
    await recordLetters(env.LEDGER, [newLetter({ lane: null })]);
    expect(await rows("SELECT lane FROM letters")).toEqual([{ lane: "" }]);
  });

  test("250 letters at once writes them and their history in one transaction", async () => {
    const letters = Array.from({ length: 250 }, (_, index) => newLetter({ directiveId: `d${index}` }));
    const { failed } = await recordLetters(
      { prepare: (sql) => env.LEDGER.prepare(sql), batch: onlyOnce() },
      letters,
    );
    expect(failed.size).toBe(0);
    expect(await rows("SELECT 1 FROM letters")).toHaveLength(250);
    expect(await rows("SELECT 1 FROM letter_history WHERE number = 1")).toHaveLength(250);
  });

  test("in a database that is away says of each letter that it failed", async () => {
    const { failed } = await recordLetters(failingLedger({ failures: 9, reads: false }), [
      newLetter(),
      newLetter({ directiveId: "d2" }),
    ]);
    expect([...failed.keys()]).toEqual([letterId(newLetter()), letterId(newLetter({ directiveId: "d2" }))]);
    expect([...failed.values()]).toEqual(["D1_ERROR: away", "D1_ERROR: away"]);
  });

  test("a letter that SQL refuses leaves nothing of it, and holds up no other", async () => {
    const poison = newLetter({ directiveId: "poison", generation: -1 });
    const { failed } = await recordLetters(env.LEDGER, [
      newLetter({ directiveId: "before" }),
      poison,
      newLetter({ directiveId: "after" }),
    ]);
    expect([...failed.keys()]).toEqual([letterId(poison)]);
    expect((await list()).ids).toEqual(["after", "before"]);
    expect(await rows("SELECT 1 FROM letter_history")).toHaveLength(2);
  });

  test("a letter of which a text holds NUL characters keeps them", async () => {
    await recordLetters(env.LEDGER, [newLetter({ message: "a\u0000b" })]);
    expect((await showLetter(env.LEDGER, letterId(newLetter())))?.letter.message).toBe("a\u0000b");
  });
});

function onlyOnce(): typeof env.LEDGER.batch {
  let calls = 0;
  return (statements) => {
    calls += 1;
    return calls === 1 ? env.LEDGER.batch(statements) : Promise.reject(new Error("a second transaction"));
  };
}

describe("listing", () => {
  test("an empty ledger has one empty page", async () => {
    expect(await list()).toEqual({ ids: [], next: null });
  });

  test("shows the newest first, and of one time the last recorded first", async () => {
    await recordLetters(env.LEDGER, [
      newLetter({ directiveId: "old", openedAtMs: NOW - 1 }),
      newLetter({ directiveId: "new" }),
      newLetter({ directiveId: "new too" }),
    ]);
    await recordLetters(env.LEDGER, [newLetter({ directiveId: "late, but older", openedAtMs: NOW - 2 })]);
    expect((await list()).ids).toEqual(["new too", "new", "old", "late, but older"]);
  });

  test("by every combination of filters shows what a scan of the table shows", async () => {
    const kinds = ["directive", "introduction", "raw"] as const;
    const codes = ["no_signer", "exhausted", "reverted"] as const;
    const states = ["open", "replaying", "resolved", "discarded"] as const;
    const letters = Array.from({ length: 120 }, (_, index) =>
      newLetter({
        directiveId: `d${index}`,
        kind: kinds[index % 3]!,
        code: codes[(index * 7) % 3 === 0 ? 0 : (index % 5) % 3]!,
        lane: index % 4 === 0 ? ALICE : BOB,
        openedAtMs: NOW + Math.floor(index / 3),
      }),
    );
    await recordLetters(env.LEDGER, letters);
    await Promise.all(letters.map(({ directiveId }, index) => move(directiveId, states[(index * 3) % 4]!)));
    const stateOf = new Map(letters.map(({ directiveId }, index) => [directiveId, states[(index * 3) % 4]]));

    let compared = 0;
    for (const state of [null, "open", "discarded"] as const)
      for (const kind of [null, ...kinds])
        for (const code of [null, ...codes])
          for (const lane of [null, ALICE])
            for (const [fromMs, toMs] of [
              [null, null],
              [NOW + 10, NOW + 30],
            ] as const) {
              const expected = letters
                .filter(
                  (letter) => (state ?? stateOf.get(letter.directiveId)) === stateOf.get(letter.directiveId),
                )
                .filter(
                  (letter) =>
                    letter.kind === (kind ?? letter.kind) &&
                    letter.code === (code ?? letter.code) &&
                    letter.lane === (lane ?? letter.lane),
                )
                .filter(
                  (letter) =>
                    letter.openedAtMs >= (fromMs ?? 0) &&
                    letter.openedAtMs < (toMs ?? Number.MAX_SAFE_INTEGER),
                )
                .map(({ directiveId }) => directiveId)
                .toReversed();
              expect((await list({ state, kind, code, lane, fromMs, toMs }, 200)).ids).toEqual(expected);
              compared += expected.length;
            }
    expect(compared).toBeGreaterThan(1000);
  });

  test("page by page shows each letter exactly once, while new ones come in", async () => {
    const letters = Array.from({ length: 23 }, (_, index) =>
      newLetter({ directiveId: `d${index}`, openedAtMs: NOW + Math.floor(index / 10) }),
    );
    await recordLetters(env.LEDGER, letters);
    const seen: string[] = [];
    let after: LetterPosition | null = null;
    for (let page = 0; page < 9; page += 1) {
      const { ids, next } = await list({ state: "open" }, 5, after);
      seen.push(...ids);
      after = next;
      if (next === null) break;
      // One of the newest letters' own time, one later.
      await recordLetters(env.LEDGER, [
        newLetter({ directiveId: `n${page}`, openedAtMs: NOW + 2 }),
        newLetter({ directiveId: `l${page}`, openedAtMs: NOW + 9 }),
      ]);
    }
    expect(seen).toEqual(letters.map(({ directiveId }) => directiveId).toReversed());
  });

  test("a full last page says that it is the last", async () => {
    await recordLetters(env.LEDGER, [newLetter({ directiveId: "a" }), newLetter({ directiveId: "b" })]);
    expect(await list({}, 2)).toEqual({ ids: ["b", "a"], next: null });
  });

  test("reads no more rows among 3,000 letters than among 300", async () => {
    const read = async (filter: Partial<LetterFilter>) => {
      let rowsRead = 0;
      const counted: Pick<D1Database, "prepare" | "batch"> = {
        prepare: (sql) => {
          const statement = env.LEDGER.prepare(sql);
          return new Proxy(statement, {
            get: (target, name) => {
              const own: unknown = Reflect.get(target, name);
              if (name !== "bind") return own;
              return (...values: unknown[]) => {
                const bound = target.bind(...values);
                return {
                  all: async () => bound.all().then((result) => ((rowsRead = result.meta.rows_read), result)),
                };
              };
            },
          });
        },
        batch: (statements) => env.LEDGER.batch(statements),
      };
      await listLetters(counted, { ...EVERY, ...filter }, { after: null, limit: 10 });
      return rowsRead;
    };
    const fill = async (from: number, to: number) => {
      const letters = Array.from({ length: to - from }, (_, index) =>
        newLetter({
          directiveId: `d${from + index}`,
          openedAtMs: NOW + from + index,
          code: index % 2 === 0 ? "reverted" : "expired",
        }),
      );
      expect((await recordLetters(env.LEDGER, letters)).failed.size).toBe(0);
    };
    await recordLetters(env.LEDGER, [
      newLetter({ directiveId: "rare", kind: "raw", code: "exhausted", lane: null }),
    ]);
    await fill(0, 300);
    const filters: Partial<LetterFilter>[] = [
      {},
      { state: "open" },
      { code: "exhausted" },
      { kind: "raw" },
      { lane: ALICE },
      { lane: BOB },
      { lane: ALICE, code: "exhausted" },
      { toMs: NOW + 50 },
    ];
    const few = await Promise.all(filters.map(read));
    await fill(300, 3000);
    expect(await Promise.all(filters.map(read))).toEqual(few);
    expect(Math.max(...few)).toBeLessThan(200);
  });
});

describe("depth", () => {
  test("of an empty ledger is zero everywhere", async () => {
    expect(await letterDepth(env.LEDGER)).toEqual({
      open: 0,
      replaying: 0,
      resolved: 0,
      discarded: 0,
      byCode: {},
      byLane: {},
      oldestOpenAtMs: null,
    });
  });

  test("counts by state, and open letters by code, lane and age, through every change", async () => {
    await recordLetters(env.LEDGER, [
      newLetter({ directiveId: "a", openedAtMs: NOW - 30 }),
      newLetter({ directiveId: "b", openedAtMs: NOW - 20 }),
      newLetter({
        directiveId: "c",
        lane: BOB,
        code: "no_signer",
        kind: "introduction",
        openedAtMs: NOW - 10,
      }),
      newLetter({ directiveId: "d", lane: null, code: "exhausted", kind: "raw", openedAtMs: NOW }),
    ]);
    expect(await letterDepth(env.LEDGER)).toEqual({
      open: 4,
      replaying: 0,
      resolved: 0,
      discarded: 0,
      byCode: { execution_reverted: 2, no_signer: 1, exhausted: 1 },
      byLane: { [ALICE]: 2, [BOB]: 1 },
      oldestOpenAtMs: NOW - 30,
    });
    await move("a", "replaying");
    await move("c", "discarded");
    await move("d", "resolved");
    expect(await letterDepth(env.LEDGER)).toEqual({
      open: 1,
      replaying: 1,
      resolved: 1,
      discarded: 1,
      byCode: { execution_reverted: 1 },
      byLane: { [ALICE]: 1 },
      oldestOpenAtMs: NOW - 20,
    });
    await move("a", "open");
    await env.LEDGER.prepare("DELETE FROM letters WHERE directive_id = 'b'").run();
    expect(await letterDepth(env.LEDGER)).toMatchObject({
      open: 1,
      replaying: 0,
      byCode: { execution_reverted: 1 },
      byLane: { [ALICE]: 1 },
      oldestOpenAtMs: NOW - 30,
    });
    await env.LEDGER.prepare("DELETE FROM letters WHERE directive_id = 'a'").run();
    expect(await letterDepth(env.LEDGER)).toMatchObject({ open: 0, byCode: {}, oldestOpenAtMs: null });
    expect(await rows("SELECT lane FROM open_lanes")).toEqual([]);
  });

  test("names the 100 lanes that have most", async () => {
    const lanes = Array.from(
      { length: 130 },
      (_, index) => `eip155:1:0x${index.toString(16).padStart(40, "0")}`,
    );
    const letters = lanes.flatMap((lane, index) =>
      Array.from({ length: index < 20 ? 2 : 1 }, (_, nth) => newLetter({ lane, directiveId: `d${nth}` })),
    );
    await recordLetters(env.LEDGER, letters);
    const { byLane, open } = await letterDepth(env.LEDGER);
    expect(open).toBe(150);
    expect(Object.keys(byLane)).toHaveLength(100);
    expect(lanes.slice(0, 20).map((lane) => byLane[lane])).toEqual(Array.from({ length: 20 }, () => 2));
  });
});
