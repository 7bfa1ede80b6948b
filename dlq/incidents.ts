// In:  findings of a check: a threshold is passed, or is not.
// Out: incidents, one open at a time for each rule and subject; of each, one alert that it opened and one that it ended.
// On failure: throws. What is untold stays so, and is told by the next check: by ids that make no second event.
import { z } from "zod";
import type { LedgerDatabase } from "./ledger.ts";
import { notify, type NotifyEnv } from "./notify.ts";

export const RULES = [
  "open-letters",
  "oldest-letter",
  "letters-growing",
  "queue-backlog",
  "new-code",
  "unhealthy-lane",
] as const;
export type Rule = (typeof RULES)[number];

/** What a check found out. Of what it could not find out there is no finding, and an open incident of it stays open. */
export interface Finding {
  readonly rule: Rule;
  /** The queue, lane, inbox or code; empty where the rule has none. */
  readonly subject: string;
  /** What is wrong, for a person; null when the threshold is not passed. */
  readonly detail: string | null;
}

export interface Incident {
  readonly id: string;
  readonly rule: string;
  readonly subject: string;
  readonly detail: string;
  readonly openedAtMs: number;
  readonly closedAtMs: number | null;
}

const MAX_OPEN_SHOWN = 1000;
const MAX_CLOSED_SHOWN = 50;
/** The rest is told by the next checks: a Worker's invocation may call out so often. */
const TOLD_AT_ONCE = 100;
const KEPT_MS = 90 * 24 * 3_600_000;

const incidentRow = z
  .object({
    id: z.string(),
    rule: z.string(),
    subject: z.string(),
    detail: z.string(),
    opened_at: z.number(),
    closed_at: z.number().nullable(),
  })
  .transform(({ id, rule, subject, detail, opened_at, closed_at }): Incident => ({
    id,
    rule,
    subject,
    detail,
    openedAtMs: opened_at,
    closedAtMs: closed_at,
  }));
const toldRow = z.object({ opened_told: z.number(), closed_told: z.number() });
const COLUMNS = "id, rule, subject, detail, opened_at, closed_at";

export interface Incidents {
  /** Newest first, both. */
  readonly open: readonly Incident[];
  readonly closed: readonly Incident[];
}

export async function listIncidents(db: LedgerDatabase): Promise<Incidents> {
  const [open, closed] = await db.batch([
    db
      .prepare(
        `SELECT ${COLUMNS} FROM incidents INDEXED BY incidents_open WHERE closed_at IS NULL ORDER BY seq DESC LIMIT ?`,
      )
      .bind(MAX_OPEN_SHOWN),
    db
      .prepare(
        `SELECT ${COLUMNS} FROM incidents WHERE closed_at IS NOT NULL ORDER BY closed_at DESC, seq DESC LIMIT ?`,
      )
      .bind(MAX_CLOSED_SHOWN),
  ]);
  return {
    open: (open?.results ?? []).map((row) => incidentRow.parse(row)),
    closed: (closed?.results ?? []).map((row) => incidentRow.parse(row)),
  };
}

/**
 * Opens and ends incidents, in one transaction. `newCodes` are written down as seen in it, so that each is news once, and
 * its incident ends with the next check. Incidents of rules that are switched off end too.
 */
export async function writeFindings(
  db: LedgerDatabase,
  findings: readonly Finding[],
  { newCodes, off }: { readonly newCodes: readonly string[]; readonly off: readonly Rule[] },
  nowMs: number,
): Promise<void> {
  const passed = findings.flatMap(({ rule, subject, detail }) =>
    detail === null ? [] : [{ id: crypto.randomUUID(), rule, subject, detail }],
  );
  const clear = findings.flatMap(({ rule, subject, detail }) => (detail === null ? [{ rule, subject }] : []));
  await db.batch([
    db
      .prepare(
        `UPDATE incidents INDEXED BY incidents_open SET closed_at = MAX(?1, opened_at) WHERE closed_at IS NULL AND (
           rule IN (SELECT value FROM json_each(?2)) OR rule = 'new-code' OR
           (rule, subject) IN (SELECT value->>'rule', value->>'subject' FROM json_each(?3)))`,
      )
      .bind(nowMs, JSON.stringify(off), JSON.stringify(clear)),
    db
      .prepare(
        `INSERT INTO incidents (id, rule, subject, detail, opened_at)
         SELECT value->>'id', value->>'rule', value->>'subject', value->>'detail', ?1 FROM json_each(?2)
         WHERE value->>'rule' <> 'new-code' OR value->>'subject' NOT IN (SELECT code FROM seen_codes)
         ON CONFLICT DO NOTHING`,
      )
      .bind(nowMs, JSON.stringify(passed)),
    db
      .prepare(
        "INSERT INTO seen_codes (code, seen_at) SELECT value, ?1 FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING",
      )
      .bind(nowMs, JSON.stringify(newCodes)),
    db.prepare("DELETE FROM incidents WHERE closed_at < ? AND closed_told = 1").bind(nowMs - KEPT_MS),
  ]);
}

const UNTOLD = "opened_told = 0 OR (closed_at IS NOT NULL AND closed_told = 0)";

/** Tells what is untold, oldest first: of one incident first that it opened. The row is marked after the alert is durable. */
export async function tellIncidents(db: LedgerDatabase, env: NotifyEnv): Promise<void> {
  const { results } = await db
    .prepare(
      `SELECT ${COLUMNS}, opened_told, closed_told FROM incidents INDEXED BY incidents_untold WHERE ${UNTOLD} ORDER BY seq LIMIT ?`,
    )
    .bind(TOLD_AT_ONCE)
    .all();
  for (const row of results) {
    const incident = incidentRow.parse(row);
    const { opened_told: openedTold } = toldRow.parse(row);
    const { id, rule, subject, detail, openedAtMs, closedAtMs } = incident;
    const data = { incident: id, rule, subject, detail, openedAt: new Date(openedAtMs).toISOString() };
    if (openedTold === 0) {
      await notify(env, {
        type: "alert.opened",
        id: `alert-${id}-opened`,
        key: "alerts",
        data,
        atMs: openedAtMs,
      });
      await db.prepare("UPDATE incidents SET opened_told = 1 WHERE id = ?").bind(id).run();
    }
    if (closedAtMs !== null) {
      await notify(env, {
        type: "alert.resolved",
        id: `alert-${id}-resolved`,
        key: "alerts",
        data: { ...data, closedAt: new Date(closedAtMs).toISOString() },
        atMs: closedAtMs,
      });
      await db.prepare("UPDATE incidents SET closed_told = 1 WHERE id = ?").bind(id).run();
    }
  }
}

/** Nobody is to be told: what has ended is settled. What is open is told once somebody is. */
export async function settleIncidents(db: LedgerDatabase): Promise<void> {
  await db
    .prepare(
      `UPDATE incidents INDEXED BY incidents_untold SET opened_told = 1, closed_told = 1 WHERE (${UNTOLD}) AND closed_at IS NOT NULL`,
    )
    .run();
}
