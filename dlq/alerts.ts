// In:  a tick of the cron.
// Out: incidents opened and ended by the thresholds of the configuration, and an alert of each.
// On failure: throws what D1 or the inbox throws: the next tick measures again, and tells what is untold.
import { z } from "zod";
import type { Config } from "../domain/config.ts";
import type { AlertThresholds } from "../domain/operations.ts";
import { readQueues, type QueuesEnv } from "./depth.ts";
import { settleIncidents, tellIncidents, writeFindings, type Finding, type Rule } from "./incidents.ts";
import { SCAN_BOUNDS, scanInboxes, scanLanes, type ScanBounds, type ScanEnv } from "./lane-scan.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { letterGauges, openedSince } from "./letter-gauges.ts";
import type { NotifyEnv } from "./notify.ts";

export type AlertEnv = QueuesEnv & ScanEnv & NotifyEnv;

const GROWTH_MS = 600_000;
const TICK_MS = 60_000;
/** A lane's reason may hold all that a node had to say. */
const MAX_REASON_LENGTH = 500;

/** Measures, writes incidents down, then tells of them: in this order, so that a crash loses no alert and doubles none. */
export async function checkThresholds(
  env: AlertEnv,
  { operations: { alerts, notify } }: Pick<Config, "operations">,
  nowMs: number,
  bounds: ScanBounds = SCAN_BOUNDS,
): Promise<void> {
  const newCodes = await unseenCodes(env.LEDGER);
  const found = await Promise.all([
    letterFindings(env.LEDGER, alerts, nowMs),
    queueFindings(env, alerts),
    alerts.unhealthyLane ? laneFindings(env, nowMs, bounds) : [],
  ]);
  const news = newCodes.map((code): Finding => ({
    rule: "new-code",
    subject: code,
    detail: `the first letter with the code ${code}`,
  }));
  const findings = [...found.flat(), ...(alerts.newCode ? news : [])];
  const off: Rule[] = alerts.unhealthyLane ? [] : ["unhealthy-lane"];
  await writeFindings(env.LEDGER, findings, { newCodes, off }, nowMs);
  if (notify === null) await settleIncidents(env.LEDGER);
  else await tellIncidents(env.LEDGER, env);
}

const codeRow = z.object({ code: z.string() });

async function unseenCodes(db: LedgerDatabase): Promise<readonly string[]> {
  const { results } = await db
    .prepare(
      "SELECT DISTINCT code FROM letter_counts WHERE code NOT IN (SELECT code FROM seen_codes) ORDER BY code",
    )
    .all();
  return results.map((row) => codeRow.parse(row).code);
}

async function letterFindings(
  db: LedgerDatabase,
  { openLetters, oldestOpenSeconds, openedInTenMinutes }: AlertThresholds,
  nowMs: number,
): Promise<readonly Finding[]> {
  const [{ groups, oldestOpenAtMs }, opened] = await Promise.all([
    letterGauges(db),
    openedSince(db, nowMs - GROWTH_MS, Math.ceil(openedInTenMinutes)),
  ]);
  const open = groups.reduce((sum, { state, letters }) => sum + (state === "open" ? letters : 0), 0);
  const oldestSeconds = oldestOpenAtMs === null ? null : (nowMs - oldestOpenAtMs) / 1000;
  return [
    {
      rule: "open-letters",
      subject: "",
      detail: open >= openLetters ? `${open} letters are open; the threshold is ${openLetters}` : null,
    },
    {
      rule: "oldest-letter",
      subject: "",
      detail:
        oldestSeconds !== null && oldestSeconds >= oldestOpenSeconds
          ? `the oldest open letter is ${Math.floor(oldestSeconds)} s old; the threshold is ${oldestOpenSeconds} s`
          : null,
    },
    {
      rule: "letters-growing",
      subject: "",
      detail:
        opened >= openedInTenMinutes ? `${opened} letters or more were opened within ten minutes` : null,
    },
  ];
}

async function queueFindings(env: QueuesEnv, { queueBacklog }: AlertThresholds): Promise<readonly Finding[]> {
  return (await readQueues(env)).flatMap(({ queue, reading }): readonly Finding[] => {
    if (!reading.ok) return [];
    const passed = reading.backlogCount >= queueBacklog;
    const detail = `${reading.backlogCount} messages wait on ${queue}; the threshold is ${queueBacklog}`;
    return [{ rule: "queue-backlog", subject: queue, detail: passed ? detail : null }];
  });
}

/** A registry that is longer than one check may ask is gone through in turn. */
async function laneFindings(env: ScanEnv, nowMs: number, bounds: ScanBounds): Promise<readonly Finding[]> {
  const turn = Math.floor(nowMs / TICK_MS);
  const [lanes, inboxes] = await Promise.all([scanLanes(env, bounds, turn), scanInboxes(env, bounds, turn)]);
  return [...lanes.read, ...inboxes.read].map(({ name, view: { status, reason } }) => ({
    rule: "unhealthy-lane",
    subject: name,
    detail:
      status === "degraded" || status === "paused"
        ? `${status}: ${(reason ?? "no reason is known").slice(0, MAX_REASON_LENGTH)}`
        : null,
  }));
}
