// Makes dead letters: real ones of a real lane, unreadable ones, and very many in the ledger.
import type { AccountId } from "../../domain/ids.ts";
import type { SequencerProtocol, TakeAnswer, Work } from "../../domain/lane.ts";
import { FILLED_CODES, FILLED_LANES, KILLED_CODE, OPENED_EVERY_MS, RARE_CODE } from "../filled-ledger.ts";
import { admission } from "./lane-runs.ts";

type DyingLane = Pick<SequencerProtocol, "admit" | "take" | "settle">;

const FLIGHT = 100;
const NOTHING = { outcomes: [], refusals: [], outage: null, reading: null, renew: false } as const;
/** Does not depend on what else the lane does, so it is final at once. */
const FAILURE = { code: KILLED_CODE, message: "bench: refused by the preflight" } as const;

/**
 * Admits so many transfers and refuses each, as a preflight does: they are dead, and may be replayed. The lane owes a
 * letter of each, which its alarm sends.
 */
export async function killDirectives(
  lane: DyingLane,
  account: AccountId,
  { directives, chainSequence }: { readonly directives: number; readonly chainSequence: number },
): Promise<void> {
  for (let dead = 0; dead < directives; dead += FLIGHT) {
    const count = Math.min(FLIGHT, directives - dead);
    await lane.admit(
      account,
      Array.from({ length: count }, () => admission()),
    );
    let work = workOf(await lane.take(account, "bench"));
    if (work.range.length === 0) {
      const reading = { sequence: chainSequence };
      const settled = await lane.settle({ ...NOTHING, token: work.token, reading, renew: true });
      if (settled.kind === "stale") throw new Error("the only lease of the lane was lost");
      work = workOf(settled.next);
    }
    const refusals = work.directives.map(({ id }) => ({ id, failure: FAILURE }));
    if (refusals.length !== count) throw new Error(`the lane lent ${refusals.length} of ${count} directives`);
    await lane.settle({ ...NOTHING, token: work.token, refusals });
  }
}

function workOf(answer: TakeAnswer): Work {
  if (answer.kind === "work") return answer;
  throw new Error(`the lane answered ${answer.kind} where it has work`);
}

/** One `sendBatch` takes so many. */
const SENT_AT_ONCE = 100;

/** Bodies that are no message of Lockstep. */
export async function sendUnreadable(
  queue: { sendBatch(messages: readonly { readonly body: unknown }[]): Promise<unknown> },
  count: number,
): Promise<void> {
  for (let sent = 0; sent < count; sent += SENT_AT_ONCE) {
    const bodies = Array.from({ length: Math.min(SENT_AT_ONCE, count - sent) }, (_, index) => ({
      body: { order: sent + index, note: "not a message of Lockstep", filler: "x".repeat(200) },
    }));
    await queue.sendBatch(bodies);
  }
}

/** One statement writes so many rows. */
const ROWS_AT_ONCE = 20_000;
/** What is not as in the model. 4 of 10 letters are open; 3 of 4 are of directives, 1 of 5 of webhook events, the rest raw. */
const COLUMNS: Readonly<Record<string, string>> = {
  seq: "NULL",
  id: "lower(hex(randomblob(16)))",
  kind: "CASE WHEN i % 20 = 0 THEN 'raw' WHEN i % 20 < 5 THEN 'event' ELSE 'directive' END",
  state: "CASE WHEN i % 10 < 4 THEN 'open' WHEN i % 10 < 9 THEN 'resolved' ELSE 'discarded' END",
  resolution: "CASE WHEN i % 10 < 4 THEN NULL WHEN i % 10 < 9 THEN 'landed' ELSE 'discarded' END",
  lane: `CASE WHEN i % 20 = 0 THEN '' WHEN i % 20 < 5 THEN printf('webhook:plain:cus_%d', i / 20 % ${FILLED_LANES})
    ELSE printf('eip155:31337:0x%040d', i / 20 % ${FILLED_LANES}) END`,
  directive_id: "printf('bench-%d', i)",
  digest: "lower(hex(randomblob(32)))",
  code: `CASE WHEN i % 50000 = 6 THEN '${RARE_CODE}' ELSE json_extract('${JSON.stringify(FILLED_CODES)}', '$[' || (i / 20 % ${FILLED_CODES.length}) || ']') END`,
  opened_at: "CAST(?3 + i * ?4 AS INTEGER)",
  updated_at: "CAST(?3 + i * ?4 AS INTEGER)",
};

/**
 * Letters like the newest of a directive, through the table's own triggers, one opened every two seconds until now.
 * Throws when there is no letter of a directive.
 */
export async function fillLedger(
  db: D1Database,
  { from, count, rows }: { readonly from: number; readonly count: number; readonly rows: number },
): Promise<void> {
  const { results } = await db
    .prepare("SELECT name FROM pragma_table_info('letters')")
    .all<{ name: string }>();
  const names = results.map(({ name }) => name);
  const model = "SELECT * FROM letters WHERE kind = 'directive' ORDER BY seq LIMIT 1";
  if ((await db.prepare(model).all()).results.length === 0)
    throw new Error("the ledger has no letter of a directive that could be copied");
  const insert = db.prepare(
    `WITH RECURSIVE numbers (i) AS (SELECT CAST(?1 AS INTEGER) UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < ?2)
     INSERT INTO letters (${names.join(", ")})
     SELECT ${names.map((name) => COLUMNS[name] ?? `m.${name}`).join(", ")} FROM numbers, (${model}) m`,
  );
  const firstAtMs = Date.now() - rows * OPENED_EVERY_MS;
  for (let start = from; start < from + count; start += ROWS_AT_ONCE) {
    await insert.bind(start, Math.min(start + ROWS_AT_ONCE, from + count), firstAtMs, OPENED_EVERY_MS).run();
  }
}
