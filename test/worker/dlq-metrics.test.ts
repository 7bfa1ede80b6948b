import { env } from "cloudflare:workers";
import parsePrometheusTextFormat from "parse-prometheus-text-format";
import { describe, expect, test } from "vitest";
import { recordLetters } from "../../dlq/ledger.ts";
import { metricsText } from "../../dlq/metrics.ts";
import { dlqRoutes } from "../../dlq/operator-http.ts";
import { reconcileLetters } from "../../dlq/reconcile.ts";
import type { LaneStatusView } from "../../domain/lane.ts";
import { ALICE, BOB, newLetter, NOW } from "./dlq-fixture.ts";
import { ANN, directive, letterFor, MemoryInboxes, MemoryLanes } from "./letters-fixture.ts";
import {
  addReplay,
  FakeInboxes,
  inbox,
  lane,
  mute,
  queue,
  registerInboxes,
  registerLanes,
  watchEnv,
} from "./watch-fixture.ts";

const BOUNDS = { limit: 1000, withinMs: 8000 };
const LETTERS = [
  newLetter({ directiveId: "a", openedAtMs: NOW - 90_000 }),
  newLetter({ directiveId: "b", code: "gave_up" }),
  newLetter({ directiveId: "c", lane: BOB }),
];

/** Samples by `name{label="value",…}`, as the independent parser reads them. */
function samplesOf(text: string): Record<string, number> {
  const samples: Record<string, number> = {};
  for (const { name, metrics } of parsePrometheusTextFormat(text))
    for (const { labels = {}, value } of metrics) {
      const pairs = Object.entries(labels).map(([label, labelled]) => `${label}="${labelled}"`);
      const series = pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
      expect(samples, "no series comes twice").not.toHaveProperty([series]);
      samples[series] = Number(value);
    }
  return samples;
}

function lanesOf(views: Readonly<Record<string, LaneStatusView | "away" | "silent">>) {
  return {
    getByName: (name: string) => ({
      status: () => {
        const view = views[name];
        if (view === "silent") return new Promise<LaneStatusView>(() => undefined);
        return view === undefined || view === "away"
          ? Promise.reject(new Error("the lane is away"))
          : Promise.resolve(view);
      },
    }),
  };
}

describe("GET /metrics", () => {
  test("is Prometheus text, in which every part has its samples", async () => {
    await addReplay("r1", "running", { landed: 1, waiting: 2 });
    await addReplay("r2", "done", { landed: 1 });
    await recordLetters(env.LEDGER, LETTERS);
    await env.LEDGER.batch([
      env.LEDGER.prepare("UPDATE letters SET state = 'resolved' WHERE directive_id = 'c'"),
      env.LEDGER.prepare("UPDATE letters SET refund = 'manual' WHERE directive_id = 'b'"),
    ]);
    await registerLanes(ALICE, BOB);
    await registerInboxes("webhook:polar:ada");
    const inboxes = new FakeInboxes();
    inboxes.views["webhook:polar:ada"] = inbox({
      status: "waiting",
      counts: { admitted: 9, settled: 6, dead: 1, inFlight: 2 },
      attempts: { done: 6, "transient:http_503": 4, "permanent:http_403": 1 },
    });
    const text = await metricsText(
      watchEnv({
        DIRECTIVES: queue(3, 900, NOW - 1500),
        SEQUENCER: lanesOf({
          [ALICE]: lane({
            counts: { admitted: 10, settled: 5, dead: 2, inFlight: 3 },
            lettersOwed: 1,
            attempts: { accepted: 7, "refused:execution_reverted": 2 },
          }),
          [BOB]: lane({ status: "paused", attempts: { accepted: 1 } }),
        }),
        WEBHOOK_INBOX: inboxes,
      }),
      NOW,
    );
    expect(samplesOf(text)).toMatchObject({
      'lockstep_queue_backlog_messages{queue="directives"}': 3,
      'lockstep_queue_backlog_bytes{queue="directives"}': 900,
      'lockstep_queue_oldest_message_age_seconds{queue="directives"}': 1.5,
      'lockstep_queue_oldest_message_age_seconds{queue="dead-letters-parking"}': 0,
      'lockstep_letters{state="open",kind="directive",code="execution_reverted"}': 1,
      'lockstep_letters{state="resolved",kind="directive",code="execution_reverted"}': 1,
      'lockstep_letters_opened_total{code="execution_reverted"}': 2,
      'lockstep_letters_opened_total{code="gave_up"}': 1,
      lockstep_open_letters_oldest_age_seconds: 90,
      lockstep_reconciliation_required_letters: 1,
      'lockstep_lanes{status="live"}': 1,
      'lockstep_lanes{status="paused"}': 1,
      'lockstep_lanes{status="degraded"}': 0,
      'lockstep_lane_directives{state="in_flight"}': 3,
      'lockstep_lane_directives{state="settled"}': 5,
      lockstep_lane_letters_owed: 1,
      'lockstep_attempts_total{outcome="accepted",code=""}': 8,
      'lockstep_attempts_total{outcome="refused",code="execution_reverted"}': 2,
      'lockstep_inboxes{status="waiting"}': 1,
      'lockstep_inbox_events{state="in_flight"}': 2,
      'lockstep_deliveries_total{outcome="done",code=""}': 6,
      'lockstep_deliveries_total{outcome="transient",code="http_503"}': 4,
      'lockstep_deliveries_total{outcome="permanent",code="http_403"}': 1,
      'lockstep_replay_letters{replay="r1",outcome="landed"}': 1,
      'lockstep_replay_letters{replay="r1",outcome="waiting"}': 2,
      lockstep_lanes_unread: 0,
      lockstep_lanes_left_out: 0,
      'lockstep_scrape_errors{source="letters"}': 0,
      'lockstep_scrape_errors{source="replays"}': 0,
    });
    expect(text).not.toContain('replay="r2"');
  });

  test("counts a letter under the code that it was opened with, whatever its lane says later: no counter falls", async () => {
    const lanes = new MemoryLanes();
    lanes.admit(directive("a"));
    lanes.review(ANN, "a");
    await letterFor(lanes, ANN, "a", { code: "unauthorized" });
    await recordLetters(env.LEDGER, [newLetter({ code: "unauthorized" })]);
    const opened = 'lockstep_letters_opened_total{code="unauthorized"}';
    expect(samplesOf(await metricsText(watchEnv(), NOW))).toMatchObject({ [opened]: 2 });
    // Evidence: the transaction was mined, and reverted. The letter says so now.
    lanes.end(ANN, "a", "reverted");
    const scope = { ids: null, actor: "lockstep", tell: null };
    const ledger = { LEDGER: env.LEDGER, SEQUENCER: lanes, WEBHOOK_INBOX: new MemoryInboxes() };
    await reconcileLetters(ledger, scope, NOW + 5);
    expect(samplesOf(await metricsText(watchEnv(), NOW))).toMatchObject({
      [opened]: 2,
      'lockstep_letters{state="open",kind="directive",code="reverted"}': 1,
    });
  });

  test("follows the conventions: prefix, help, base units, and _total for counters alone", async () => {
    const families = parsePrometheusTextFormat(await metricsText(watchEnv(), NOW));
    expect(families.length).toBeGreaterThan(15);
    for (const { name, help, type, metrics } of families) {
      expect(name).toMatch(/^lockstep_[a-z_]+$/);
      expect(help).toMatch(/^.+\.$/);
      expect(["GAUGE", "COUNTER"]).toContain(type);
      expect(name.endsWith("_total"), name).toBe(type === "COUNTER");
      expect(name).not.toMatch(/_(ms|milliseconds|count|kilobytes)$/);
      for (const { value } of metrics) expect(Number.isFinite(Number(value)), name).toBe(true);
    }
  });

  test("is served with the type of the text format, and refuses parameters", async () => {
    const answer = await dlqRoutes().request("/metrics", {}, watchEnv());
    expect([answer.status, answer.headers.get("content-type")]).toEqual([
      200,
      "text/plain; version=0.0.4; charset=utf-8",
    ]);
    expect((await dlqRoutes().request("/metrics?x=1", {}, watchEnv())).status).toBe(400);
  });

  test("counts a lane that throws or stays silent, tells of the others, and lets no counter fall", async () => {
    await registerLanes(ALICE, BOB);
    for (const trouble of ["away", "silent"] as const) {
      const SEQUENCER = lanesOf({ [ALICE]: lane({ attempts: { accepted: 7 } }), [BOB]: trouble });
      const text = await metricsText(watchEnv({ SEQUENCER }), NOW, { ...BOUNDS, withinMs: 50 });
      expect(samplesOf(text)).toMatchObject({ 'lockstep_lanes{status="live"}': 1, lockstep_lanes_unread: 1 });
      expect(text).not.toContain("lockstep_attempts_total{");
    }
  });

  test("asks the oldest of a registry that is too long, and says how many it left out", async () => {
    await registerLanes(ALICE, BOB);
    await env.LEDGER.prepare("UPDATE lanes SET registered_at = registered_at - 1 WHERE account = ?")
      .bind(BOB)
      .run();
    const SEQUENCER = lanesOf({ [BOB]: lane({ attempts: { accepted: 7 } }) });
    const samples = samplesOf(await metricsText(watchEnv({ SEQUENCER }), NOW, { ...BOUNDS, limit: 1 }));
    expect(samples).toMatchObject({
      lockstep_lanes_unread: 0,
      lockstep_lanes_left_out: 1,
      'lockstep_attempts_total{outcome="accepted",code=""}': 7,
    });
  });

  test("leaves out what cannot be read, and says so", async () => {
    await env.LEDGER.prepare("DROP TABLE replay_counts").run();
    const samples = samplesOf(await metricsText(watchEnv({ DIRECTIVES: mute }), NOW));
    expect(samples).toMatchObject({
      'lockstep_scrape_errors{source="queue directives"}': 1,
      'lockstep_scrape_errors{source="queue confirmations"}': 0,
      'lockstep_scrape_errors{source="replays"}': 1,
      'lockstep_scrape_errors{source="lanes"}': 0,
    });
    expect(samples).not.toHaveProperty(['lockstep_queue_backlog_messages{queue="directives"}']);
    expect(samples).toHaveProperty(['lockstep_queue_backlog_messages{queue="confirmations"}']);
  });

  test("tells without a ledger what the queues say", async () => {
    const away = () => {
      throw new Error("D1_ERROR: away");
    };
    const samples = samplesOf(await metricsText(watchEnv({ LEDGER: { prepare: away, batch: away } }), NOW));
    expect(samples).toMatchObject({
      'lockstep_queue_backlog_messages{queue="directives"}': 0,
      'lockstep_scrape_errors{source="letters"}': 1,
      'lockstep_scrape_errors{source="lanes"}': 1,
    });
    expect(samples).not.toHaveProperty(['lockstep_lanes{status="live"}']);
    expect(samples).not.toHaveProperty("lockstep_reconciliation_required_letters");
  });
});
