import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { checkThresholds } from "../../dlq/alerts.ts";
import { listIncidents } from "../../dlq/incidents.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { dlqRoutes } from "../../dlq/operator-http.ts";
import { incidentsReportSchema } from "../../domain/api-letters.ts";
import type { LaneStatusView } from "../../domain/lane.ts";
import { DEFAULT_ALERTS, DEFAULT_REPLAY, type AlertThresholds } from "../../domain/operations.ts";
import { ALICE, BOB, newLetter, NOW, rows } from "./dlq-fixture.ts";
import {
  Crash,
  crashingLedger,
  FakeInboxes,
  inbox,
  lane,
  mute,
  queue,
  registerInboxes,
  registerLanes,
  watchEnv,
} from "./watch-fixture.ts";

const MINUTE = 60_000;
const BOUNDS = { limit: 1000, withinMs: 8000 };
/** Nothing is ever passed. */
const CALM: AlertThresholds = {
  openLetters: 1e9,
  oldestOpenSeconds: 1e9,
  openedInTenMinutes: 1e9,
  queueBacklog: 1e9,
  newCode: false,
  unhealthyLane: false,
};

function config(alerts: Partial<AlertThresholds> = {}, notify: string | null = "receiver") {
  return { operations: { notify, alerts: { ...CALM, ...alerts }, replay: DEFAULT_REPLAY } };
}

const bodySchema = z.object({
  type: z.string(),
  timestamp: z.string(),
  data: z.object({ incident: z.string(), rule: z.string(), subject: z.string(), detail: z.string() }),
});

/** `type rule subject` of each alert, in the order in which they were told. */
function told({ told: events }: FakeInboxes): string[] {
  return events.map(({ body }) => {
    const { type, data } = bodySchema.parse(JSON.parse(body));
    return `${type} ${data.rule} ${data.subject}`.trim();
  });
}

function letters(count: number, given: Parameters<typeof newLetter>[0] = {}) {
  return Array.from({ length: count }, (_, index) => newLetter({ directiveId: `d${index}`, ...given }));
}

async function resolveAll(): Promise<void> {
  await env.LEDGER.prepare("UPDATE letters SET state = 'resolved'").run();
}

describe("a threshold", () => {
  test("is told once when it is passed, and once when it no longer is", async () => {
    const inboxes = new FakeInboxes();
    const check = (atMs: number) =>
      checkThresholds(watchEnv({ WEBHOOK_INBOX: inboxes }), config({ openLetters: 3 }), atMs);
    await recordLetters(env.LEDGER, letters(2));
    await check(NOW);
    expect(told(inboxes)).toEqual([]);
    await recordLetters(env.LEDGER, letters(4));
    for (const minute of [1, 2, 3]) await check(NOW + minute * MINUTE);
    expect(told(inboxes)).toEqual(["alert.opened open-letters"]);
    await resolveAll();
    for (const minute of [4, 5]) await check(NOW + minute * MINUTE);
    expect(told(inboxes)).toEqual(["alert.opened open-letters", "alert.resolved open-letters"]);
    await recordLetters(env.LEDGER, letters(3, { generation: 1 }));
    await check(NOW + 6 * MINUTE);
    expect(told(inboxes).slice(2)).toEqual(["alert.opened open-letters"]);
    expect(new Set(inboxes.told.map(({ id }) => id)).size).toBe(3);
    expect(new Set(inboxes.told.map((event) => event.inbox))).toEqual(new Set(["webhook:lockstep:alerts"]));
  });

  test("of age and of growth looks at the oldest open letter, and at the last ten minutes", async () => {
    const inboxes = new FakeInboxes();
    const check = (atMs: number) =>
      checkThresholds(
        watchEnv({ WEBHOOK_INBOX: inboxes }),
        config({ oldestOpenSeconds: 3600, openedInTenMinutes: 2 }),
        atMs,
      );
    await recordLetters(env.LEDGER, letters(2));
    await check(NOW + 9 * MINUTE);
    await check(NOW + 11 * MINUTE);
    await check(NOW + 60 * MINUTE);
    await resolveAll();
    await check(NOW + 61 * MINUTE);
    expect(told(inboxes)).toEqual([
      "alert.opened letters-growing",
      "alert.resolved letters-growing",
      "alert.opened oldest-letter",
      "alert.resolved oldest-letter",
    ]);
  });

  test("of a queue is that queue's own, and stays passed while the queue does not tell", async () => {
    const inboxes = new FakeInboxes();
    const check = (DIRECTIVES: ReturnType<typeof queue>) =>
      checkThresholds(
        watchEnv({ WEBHOOK_INBOX: inboxes, DIRECTIVES, DEAD_LETTERS_PARKING: queue(7) }),
        config({ queueBacklog: 5 }),
        NOW,
      );
    await check(queue(5));
    expect(told(inboxes).toSorted()).toEqual([
      "alert.opened queue-backlog dead-letters-parking",
      "alert.opened queue-backlog directives",
    ]);
    await check(mute);
    expect(inboxes.told).toHaveLength(2);
    await check(queue(4));
    expect(told(inboxes).slice(2)).toEqual(["alert.resolved queue-backlog directives"]);
  });

  test("of a new code is news once, though the letters go and come again", async () => {
    const inboxes = new FakeInboxes();
    const check = (newCode = true) =>
      checkThresholds(watchEnv({ WEBHOOK_INBOX: inboxes }), config({ newCode }), NOW);
    await recordLetters(env.LEDGER, letters(2));
    await check();
    await check();
    await recordLetters(env.LEDGER, letters(1, { code: "gave_up", generation: 1 }));
    await env.LEDGER.prepare("DELETE FROM letters WHERE code = 'execution_reverted'").run();
    await check();
    await recordLetters(env.LEDGER, letters(2));
    await check();
    await check();
    expect(told(inboxes)).toEqual([
      "alert.opened new-code execution_reverted",
      "alert.resolved new-code execution_reverted",
      "alert.opened new-code gave_up",
      "alert.resolved new-code gave_up",
    ]);
    await recordLetters(env.LEDGER, letters(1, { code: "expired", generation: 2 }));
    await check(false);
    await check();
    expect(inboxes.told, "what was seen while the rule was off is no news").toHaveLength(4);
  });

  test("of a lane's or an inbox's health tells the reason, and knows nothing of one that does not answer", async () => {
    await registerLanes(ALICE, BOB);
    await registerInboxes("webhook:polar:ada", "webhook:polar#3");
    const inboxes = new FakeInboxes();
    let alice: LaneStatusView | undefined = lane({ status: "degraded", reason: "look-ups fail" });
    const bindings = watchEnv({
      WEBHOOK_INBOX: inboxes,
      SEQUENCER: {
        getByName: (account) => ({
          status: () => {
            if (account !== ALICE) return Promise.resolve(lane({ status: "repairing", reason: "a hole" }));
            return alice === undefined ? Promise.reject(new Error("away")) : Promise.resolve(alice);
          },
        }),
      },
    });
    const check = () => checkThresholds(bindings, config({ unhealthyLane: true }), NOW);
    inboxes.views["webhook:polar:ada"] = inbox({ status: "paused", reason: "ada: broken" });
    inboxes.views["webhook:polar#3"] = inbox({ status: "waiting", reason: "http_503" });
    await check();
    expect(told(inboxes).toSorted()).toEqual([
      `alert.opened unhealthy-lane ${ALICE}`,
      "alert.opened unhealthy-lane webhook:polar:ada",
    ]);
    expect(inboxes.told.map(({ body }) => bodySchema.parse(JSON.parse(body)).data.detail).toSorted()).toEqual(
      ["degraded: look-ups fail", "paused: ada: broken"],
    );
    alice = undefined;
    await check();
    expect(inboxes.told).toHaveLength(2);
    alice = lane();
    await check();
    expect(told(inboxes).slice(2)).toEqual([`alert.resolved unhealthy-lane ${ALICE}`]);
    await checkThresholds(bindings, config({ unhealthyLane: false }), NOW);
    expect(told(inboxes).slice(3), "a rule that is switched off ends what it opened").toEqual([
      "alert.resolved unhealthy-lane webhook:polar:ada",
    ]);
  });

  test("reaches every lane of a long registry, in turn", async () => {
    const accounts = Array.from({ length: 7 }, (_, index) => `eip155:31337:0x${`${index}`.repeat(40)}`);
    await registerLanes(...accounts);
    const inboxes = new FakeInboxes();
    const SEQUENCER = {
      getByName: () => ({ status: () => Promise.resolve(lane({ status: "paused", reason: "breaker" })) }),
    };
    for (const minute of [0, 1, 2])
      await checkThresholds(
        watchEnv({ WEBHOOK_INBOX: inboxes, SEQUENCER }),
        config({ unhealthyLane: true }),
        NOW + minute * MINUTE,
        { ...BOUNDS, limit: 3 },
      );
    expect(told(inboxes).toSorted()).toEqual(
      accounts.map((account) => `alert.opened unhealthy-lane ${account}`),
    );
  });
});

describe("an alert", () => {
  /** Two thresholds are passed, then no longer; the first check of each phase ends at a step. */
  async function storm(at: number, after: boolean): Promise<{ alerts: string[]; steps: number }> {
    await env.LEDGER.batch([
      env.LEDGER.prepare("DELETE FROM letters"),
      env.LEDGER.prepare("DELETE FROM incidents"),
      env.LEDGER.prepare("DELETE FROM seen_codes"),
    ]);
    const inboxes = new FakeInboxes();
    let backlog = 9;
    const check = async (crash: Crash): Promise<void> => {
      inboxes.crash = crash;
      const bindings = watchEnv({
        LEDGER: crashingLedger(crash),
        WEBHOOK_INBOX: inboxes,
        DIRECTIVES: { metrics: () => queue(backlog).metrics() },
      });
      await checkThresholds(bindings, config({ openLetters: 2, newCode: true, queueBacklog: 5 }), NOW);
    };
    let steps = 0;
    for (const phase of ["passed", "over"]) {
      if (phase === "passed") await recordLetters(env.LEDGER, letters(2));
      else await resolveAll();
      backlog = phase === "passed" ? 9 : 0;
      const crash = new Crash(at, after);
      await check(crash).catch(() => undefined);
      steps = Math.max(steps, crash.steps);
      await check(new Crash());
      await check(new Crash());
    }
    return { alerts: told(inboxes), steps };
  }

  test("is told exactly once, in its order, wherever a check ends", async () => {
    const { alerts: expected, steps } = await storm(0, false);
    expect(expected.toSorted()).toEqual([
      "alert.opened new-code execution_reverted",
      "alert.opened open-letters",
      "alert.opened queue-backlog directives",
      "alert.resolved new-code execution_reverted",
      "alert.resolved open-letters",
      "alert.resolved queue-backlog directives",
    ]);
    expect(steps).toBeGreaterThan(8);
    for (let step = 1; step <= steps; step += 1) {
      for (const after of [false, true]) {
        const { alerts } = await storm(step, after);
        expect(alerts.toSorted(), `step ${step}, ${after ? "after" : "before"}`).toEqual(expected.toSorted());
        for (const alert of alerts.filter((text) => text.startsWith("alert.resolved"))) {
          const opened = alerts.indexOf(alert.replace("resolved", "opened"));
          expect(opened, alert).toBeLessThan(alerts.indexOf(alert));
        }
      }
    }
  });

  test("is one though two checks run at once", async () => {
    const inboxes = new FakeInboxes();
    await recordLetters(env.LEDGER, letters(2));
    const check = () =>
      checkThresholds(watchEnv({ WEBHOOK_INBOX: inboxes }), config({ openLetters: 2, newCode: true }), NOW);
    await Promise.all([check(), check()]);
    expect(
      told(inboxes)
        .filter((alert) => alert.startsWith("alert.opened"))
        .toSorted(),
    ).toEqual(["alert.opened new-code execution_reverted", "alert.opened open-letters"]);
  });

  test("that cannot be told holds its incident back, and comes with the next check", async () => {
    const inboxes = new FakeInboxes();
    inboxes.crash = new Crash(1);
    await recordLetters(env.LEDGER, letters(2));
    const check = () =>
      checkThresholds(watchEnv({ WEBHOOK_INBOX: inboxes }), config({ openLetters: 2 }), NOW);
    await expect(check()).rejects.toThrow("crash");
    expect(inboxes.told).toEqual([]);
    await check();
    expect(told(inboxes)).toEqual(["alert.opened open-letters"]);
  });

  test("goes nowhere when nobody is to be told, and what is still open is told once somebody is", async () => {
    const inboxes = new FakeInboxes();
    const check = (notify: string | null) =>
      checkThresholds(
        watchEnv({ WEBHOOK_INBOX: inboxes, DIRECTIVES: queue(5) }),
        config({ openLetters: 2, queueBacklog: 5 }, notify),
        NOW,
      );
    await recordLetters(env.LEDGER, letters(2));
    await check(null);
    await resolveAll();
    await check(null);
    expect(inboxes.told).toEqual([]);
    const { open, closed } = await listIncidents(env.LEDGER);
    expect([open.map(({ rule }) => rule), closed.map(({ rule }) => rule)]).toEqual([
      ["queue-backlog"],
      ["open-letters"],
    ]);
    await check("receiver");
    expect(told(inboxes)).toEqual(["alert.opened queue-backlog directives"]);
  });
});

describe("GET /v1/dlq/incidents", () => {
  test("lists what is open and the last that ended, newest first", async () => {
    await recordLetters(env.LEDGER, letters(2));
    const thresholds = config({ ...DEFAULT_ALERTS, openLetters: 2 });
    await checkThresholds(watchEnv(), thresholds, NOW);
    await checkThresholds(watchEnv(), thresholds, NOW + MINUTE);
    const response = await dlqRoutes().request("/v1/dlq/incidents", {}, watchEnv());
    const report = incidentsReportSchema.parse(await response.json());
    expect(report.open).toMatchObject([
      {
        rule: "open-letters",
        subject: "",
        detail: "2 letters are open; the threshold is 2",
        openedAt: "2030-01-31T12:00:00.000Z",
        closedAt: null,
      },
    ]);
    expect(report.closed).toMatchObject([
      { rule: "new-code", subject: "execution_reverted", closedAt: "2030-01-31T12:01:00.000Z" },
    ]);
  });

  test("forgets what ended three months ago, and never what is open or untold", async () => {
    const insert = (id: string, closedAt: number | null, toldEnd: number) =>
      env.LEDGER.prepare(
        "INSERT INTO incidents (id, rule, subject, detail, opened_at, closed_at, opened_told, closed_told) VALUES (?1, 'queue-backlog', ?1, '', 0, ?2, 1, ?3)",
      )
        .bind(id, closedAt, toldEnd)
        .run();
    await insert("old", 1, 1);
    await insert("untold", 1, 0);
    await insert("open", null, 0);
    await insert("new", NOW - MINUTE, 1);
    await checkThresholds(watchEnv(), config(), NOW);
    expect((await rows("SELECT id FROM incidents ORDER BY id")).map(({ id }) => id)).toEqual([
      "new",
      "open",
      "untold",
    ]);
  });
});
