import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { depth } from "../../dlq/depth.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { letterAges, openedSince } from "../../dlq/letter-gauges.ts";
import { dlqRoutes } from "../../dlq/operator-http.ts";
import { depthSchema } from "../../domain/api-letters.ts";
import { chance } from "../model/history.ts";
import { ALICE, newLetter, NOW, rows } from "./dlq-fixture.ts";
import { mute, queue, watchEnv } from "./watch-fixture.ts";

const QUEUES = [
  "directives",
  "confirmations",
  "webhook-events",
  "directives-dlq",
  "webhook-events-dlq",
  "dead-letters-parking",
];
const HOUR = 3_600_000;
const EMPTY = { backlogCount: 0, backlogBytes: 0, oldestMessageAt: null };

async function opened(...agesMs: readonly number[]): Promise<void> {
  await recordLetters(
    env.LEDGER,
    agesMs.map((ageMs, index) => newLetter({ directiveId: `${ageMs}-${index}`, openedAtMs: NOW - ageMs })),
  );
}

describe("GET /v1/dlq/depth", () => {
  test("says the backlog of each queue and the letters of the ledger", async () => {
    await recordLetters(env.LEDGER, [newLetter()]);
    const bindings = watchEnv({ DIRECTIVES: queue(3, 900, NOW), DEAD_LETTERS_PARKING: queue(2, 20) });
    const response = await dlqRoutes().request("/v1/dlq/depth", {}, bindings);
    const { queues, letters } = depthSchema.parse(await response.json());
    expect(queues).toEqual({
      ...Object.fromEntries(QUEUES.map((name) => [name, EMPTY])),
      directives: { backlogCount: 3, backlogBytes: 900, oldestMessageAt: "2030-01-31T12:00:00.000Z" },
      "dead-letters-parking": { backlogCount: 2, backlogBytes: 20, oldestMessageAt: null },
    });
    expect(letters).toMatchObject({
      open: 1,
      replaying: 0,
      resolved: 0,
      discarded: 0,
      byCode: { execution_reverted: 1 },
      byLane: { [ALICE]: 1 },
      oldestOpenAt: "2030-01-31T12:00:00.000Z",
      reconciliationRequired: 0,
    });
  });

  test("says why of a queue that does not tell, and still tells of the others", async () => {
    const epoch = {
      metrics: () =>
        Promise.resolve({ backlogCount: 0, backlogBytes: 0, oldestMessageTimestamp: new Date(0) }),
    };
    const { queues } = await depth(watchEnv({ DIRECTIVES: mute, CONFIRMATIONS: epoch }), NOW);
    expect(queues["directives"]).toEqual({
      backlogCount: null,
      backlogBytes: null,
      oldestMessageAt: null,
      error: "no metrics here",
    });
    expect(queues["confirmations"]).toEqual(EMPTY);
  });

  test("reads the platform's own queues", async () => {
    const { queues } = await depth(env, NOW);
    expect(queues).toEqual(Object.fromEntries(QUEUES.map((name) => [name, EMPTY])));
  });

  test("refuses parameters", async () => {
    const response = await dlqRoutes().request("/v1/dlq/depth?since=1", {}, watchEnv());
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field: "since" }] });
  });
});

describe("open letters by age", () => {
  test("fall into four bins, to ten minutes", async () => {
    await opened(0, HOUR / 2, 2 * HOUR, 23 * HOUR, 25 * HOUR, 6 * 24 * HOUR, 8 * 24 * HOUR, 400 * 24 * HOUR);
    const { byAge } = await letterAges(env.LEDGER, NOW);
    expect(byAge).toEqual({ under1h: 2, under24h: 2, under7d: 2, over7d: 2 });
  });

  test("are called older too early by less than ten minutes, and never too late", async () => {
    await opened(HOUR - 1);
    const at = async (nowMs: number) => (await letterAges(env.LEDGER, nowMs)).byAge.under1h;
    const openedAt = NOW - HOUR + 1;
    expect(await at(openedAt + HOUR - 600_000)).toBe(1);
    expect(await at(openedAt + HOUR)).toBe(0);
  });

  test("are what the letters say, whatever happens to them", async () => {
    const random = chance(5);
    const pick = <Item>(...items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
    await opened(...Array.from({ length: 40 }, () => Math.floor(random() * 9 * 24 * HOUR)));
    for (let step = 0; step < 150; step += 1) {
      const seq = 1 + Math.floor(random() * 40);
      const change = pick(
        `UPDATE letters SET state = '${pick("open", "open", "replaying", "resolved", "discarded")}' WHERE seq = ${seq}`,
        `UPDATE letters SET refund = ${pick("'manual'", "NULL")} WHERE seq = ${seq}`,
        `UPDATE letters SET refund = 'manual', state = 'open', opened_at = opened_at + ${HOUR} WHERE seq = ${seq}`,
        `DELETE FROM letters WHERE seq = ${seq} AND seq > 35`,
      );
      await env.LEDGER.prepare(change).run();
    }
    expect(await rows("SELECT opened_from, letters FROM open_ages ORDER BY 1")).toEqual(
      await rows(
        "SELECT opened_at - opened_at % 600000 AS opened_from, COUNT(*) AS letters FROM letters WHERE state = 'open' GROUP BY 1 ORDER BY 1",
      ),
    );
    const [required] = await rows(
      "SELECT COUNT(*) AS n FROM letters WHERE state = 'open' AND refund = 'manual'",
    );
    expect((await letterAges(env.LEDGER, NOW)).reconciliationRequired).toBe(required?.["n"]);
    expect(required?.["n"]).toBeGreaterThan(0);
  });
});

test("letters opened within a time are counted whatever became of them, as far as asked", async () => {
  await opened(1000, 2000, 3000, HOUR);
  await env.LEDGER.prepare("UPDATE letters SET state = 'resolved' WHERE opened_at = ?")
    .bind(NOW - 1000)
    .run();
  expect(await openedSince(env.LEDGER, NOW - 600_000, 100)).toBe(3);
  expect(await openedSince(env.LEDGER, NOW - 600_000, 2)).toBe(2);
});
