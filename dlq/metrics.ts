// In:  a scrape.
// Out: Prometheus text: queues, letters, replays, lanes, inboxes, and what the lanes and inboxes have tried.
// On failure: a part that cannot be read has no samples, and `lockstep_scrape_errors` says so. Never throws.
import { readQueues, type QueuesEnv } from "./depth.ts";
import { inboxMetrics, laneMetrics } from "./lane-metrics.ts";
import { SCAN_BOUNDS, scanInboxes, scanLanes, type ScanBounds, type ScanEnv } from "./lane-scan.ts";
import { letterGauges, replayProgress, type LetterGauges } from "./letter-gauges.ts";
import { exposition, single, type Metric, type Sample } from "./prometheus.ts";

export interface MetricsEnv extends QueuesEnv, ScanEnv {}

export async function metricsText(
  env: MetricsEnv,
  nowMs: number,
  bounds: ScanBounds = SCAN_BOUNDS,
): Promise<string> {
  const failed: Sample[] = [];
  const part = async <Read>(source: string, read: () => Promise<Read>): Promise<Read | null> => {
    try {
      const answer = await read();
      failed.push({ labels: { source }, value: 0 });
      return answer;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.warn(JSON.stringify({ at: "dlq.metrics", source, error: reason }));
      failed.push({ labels: { source }, value: 1 });
      return null;
    }
  };
  const [queues, letters, replays, lanes, inboxes] = await Promise.all([
    readQueues(env),
    part("letters", () => letterGauges(env.LEDGER)),
    part("replays", () => replayProgress(env.LEDGER)),
    part("lanes", () => scanLanes(env, bounds, 0)),
    part("inboxes", () => scanInboxes(env, bounds, 0)),
  ]);
  for (const { queue, reading } of queues)
    failed.push({ labels: { source: `queue ${queue}` }, value: reading.ok ? 0 : 1 });
  return exposition([
    ...queueMetrics(queues, nowMs),
    ...letterMetrics(letters, nowMs),
    {
      name: "lockstep_replay_letters",
      type: "gauge",
      help: "Letters of each replay that has not ended, by what became of them.",
      samples: (replays ?? []).map(({ replay, outcome, letters: value }) => ({
        labels: { replay, outcome },
        value,
      })),
    },
    ...laneMetrics(lanes),
    ...inboxMetrics(inboxes),
    {
      name: "lockstep_scrape_errors",
      type: "gauge",
      help: "1 for each part that could not be read in this scrape.",
      samples: failed,
    },
  ]);
}

function queueMetrics(queues: Awaited<ReturnType<typeof readQueues>>, nowMs: number): readonly Metric[] {
  const read = queues.flatMap(({ queue, reading }) => (reading.ok ? [{ labels: { queue }, reading }] : []));
  return [
    {
      name: "lockstep_queue_backlog_messages",
      type: "gauge",
      help: "Messages that wait on a queue. Those delayed or at work are not among them.",
      samples: read.map(({ labels, reading }) => ({ labels, value: reading.backlogCount })),
    },
    {
      name: "lockstep_queue_backlog_bytes",
      type: "gauge",
      help: "Bytes of the messages that wait on a queue.",
      samples: read.map(({ labels, reading }) => ({ labels, value: reading.backlogBytes })),
    },
    {
      name: "lockstep_queue_oldest_message_age_seconds",
      type: "gauge",
      help: "Age of the oldest message that waits on a queue; 0 when none does.",
      samples: read.map(({ labels, reading }) => ({
        labels,
        value: ageSeconds(reading.oldestMessageAtMs, nowMs),
      })),
    },
  ];
}

function letterMetrics(letters: LetterGauges | null, nowMs: number): readonly Metric[] {
  const groups = letters?.groups ?? [];
  return [
    {
      name: "lockstep_letters",
      type: "gauge",
      help: "Dead letters of the ledger by state, kind and failure code.",
      samples: groups.map(({ state, kind, code, letters: value }) => ({
        labels: { state, kind, code },
        value,
      })),
    },
    {
      name: "lockstep_letters_opened_total",
      type: "counter",
      help: "Dead letters ever recorded, by the failure code that they were recorded with.",
      samples: (letters?.opened ?? []).map(({ code, letters: value }) => ({ labels: { code }, value })),
    },
    {
      name: "lockstep_open_letters_oldest_age_seconds",
      type: "gauge",
      help: "Age of the oldest open letter; 0 when none is open.",
      samples: single(letters === null ? null : ageSeconds(letters.oldestOpenAtMs, nowMs)),
    },
    {
      name: "lockstep_reconciliation_required_letters",
      type: "gauge",
      help: "Open letters of which somebody must refund by hand.",
      samples: single(letters?.reconciliationRequired ?? null),
    },
  ];
}

function ageSeconds(sinceMs: number | null, nowMs: number): number {
  return sinceMs === null ? 0 : Math.max(0, nowMs - sinceMs) / 1000;
}
