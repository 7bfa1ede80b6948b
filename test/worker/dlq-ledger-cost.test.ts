import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { recordLetters, type LedgerDatabase } from "../../dlq/ledger.ts";
import { replayProgress } from "../../dlq/letter-gauges.ts";
import { rawLetter } from "../../dlq/new-letter.ts";
import type { NewLetter } from "../../domain/dead-letter.ts";
import { NOW } from "./dlq-fixture.ts";
import { ALICE, Arena } from "./replay-fixture.ts";

/** D1 that sums the rows that it says it has read. */
function meteredLedger(): { readonly db: LedgerDatabase; readonly rowsRead: () => number } {
  let total = 0;
  const metered = (statement: D1PreparedStatement): D1PreparedStatement => {
    const bind = statement.bind.bind(statement);
    const all = statement.all.bind(statement);
    return Object.assign(statement, {
      bind: (...values: unknown[]) => metered(bind(...values)),
      all: async () => {
        const answer = await all();
        total += answer.meta.rows_read;
        return answer;
      },
    });
  };
  return {
    db: {
      prepare: (sql) => metered(env.LEDGER.prepare(sql)),
      batch: async <Row>(statements: D1PreparedStatement[]) => {
        const answers = await env.LEDGER.batch<Row>(statements);
        for (const { meta } of answers) total += meta.rows_read;
        return answers;
      },
    },
    rowsRead: () => total,
  };
}

test("a scrape reads the progress of a replay from its counters, not every letter of it", async () => {
  const arena = new Arena();
  await arena.fill(ALICE, 3000);
  await arena.begin();
  const { db, rowsRead } = meteredLedger();
  expect(await replayProgress(db)).toMatchObject([{ outcome: "waiting", letters: 3000 }]);
  expect(rowsRead()).toBeLessThan(100);
});

const LIKE = 1500;

/** Raw letters of one body, in the ledger but for one of them. */
async function alike(): Promise<{ readonly last: NewLetter }> {
  const failure = { code: "malformed_message", message: "no" } as const;
  const letters = await Promise.all(
    Array.from({ length: LIKE }, (_, index) =>
      rawLetter(failure, 1, {
        messageId: `m${index}`,
        body: {},
        sentAtMs: NOW,
        nowMs: NOW,
        sourceQueue: "directives",
      }),
    ),
  );
  const last = letters.pop();
  if (last === undefined) throw new Error("no letters");
  for (let from = 0; from < letters.length; from += 100)
    expect((await recordLetters(env.LEDGER, letters.slice(from, from + 100))).failed.size).toBe(0);
  return { last };
}

test.each(["open", "in a replay", "returned"] as const)(
  "a raw letter is recorded at the same cost, however many that have the same body are %s",
  async (are) => {
    const { last } = await alike();
    const arena = new Arena();
    if (are !== "open") await arena.begin({ ratePerSecond: 1 });
    if (are === "returned")
      await env.LEDGER.prepare("UPDATE letters SET state = 'resolved', resolution = 'returned'").run();
    const { db, rowsRead } = meteredLedger();
    expect((await recordLetters(db, [last])).failed.size).toBe(0);
    expect(rowsRead()).toBeLessThan(200);
  },
);
