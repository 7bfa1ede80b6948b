import { env } from "cloudflare:workers";
import type { AlertEnv } from "../../dlq/alerts.ts";
import type { MeteredQueue } from "../../dlq/depth.ts";
import type { LedgerDatabase } from "../../dlq/ledger.ts";
import type { WatchEnv } from "../../dlq/watch-routes.ts";
import type { LaneStatusView } from "../../domain/lane.ts";
import type { EventAdmissionAnswer, InboxStatusView } from "../../domain/webhook-event.ts";
import { NOW } from "./dlq-fixture.ts";

export function queue(backlogCount = 0, backlogBytes = 0, oldestAtMs?: number): MeteredQueue {
  const oldest = oldestAtMs === undefined ? {} : { oldestMessageTimestamp: new Date(oldestAtMs) };
  return { metrics: () => Promise.resolve({ backlogCount, backlogBytes, ...oldest }) };
}

export const mute: MeteredQueue = { metrics: () => Promise.reject(new Error("no metrics here")) };

/** Healthy lanes and quiet queues, but for what is given. */
export function watchEnv(given: Partial<WatchEnv & AlertEnv> = {}): WatchEnv & AlertEnv {
  return {
    LEDGER: env.LEDGER,
    DIRECTIVES: queue(),
    CONFIRMATIONS: queue(),
    DIRECTIVES_DLQ: queue(),
    WEBHOOK_EVENTS_DLQ: queue(),
    DEAD_LETTERS_PARKING: queue(),
    SEQUENCER: { getByName: () => ({ status: () => Promise.resolve(lane()) }) },
    WEBHOOK_INBOX: new FakeInboxes(),
    ...given,
    WEBHOOK_EVENTS: { ...queue(), send: () => Promise.resolve(), ...given.WEBHOOK_EVENTS },
  };
}

export function lane(given: Partial<LaneStatusView> = {}): LaneStatusView {
  return {
    status: "live",
    reason: null,
    nextSequence: 0,
    chainSequence: 0,
    checkpoint: { received: null, contiguous: 0 },
    leases: [],
    counts: { admitted: 0, settled: 0, dead: 0, inFlight: 0 },
    open: 0,
    lettersOwed: 0,
    attempts: {},
    outage: null,
    events: [],
    ...given,
  };
}

export function inbox(given: Partial<InboxStatusView> = {}): InboxStatusView {
  return {
    status: "live",
    reason: null,
    nextSequence: 0,
    head: null,
    counts: { admitted: 0, settled: 0, dead: 0, inFlight: 0 },
    lettersOwed: 0,
    attempts: {},
    events: [],
    ...given,
  };
}

/** Takes each event once, by its id, as an inbox does. */
export class FakeInboxes {
  readonly told: { readonly inbox: string; readonly id: string; readonly body: string }[] = [];
  readonly views: Record<string, InboxStatusView> = {};
  crash: Crash | undefined;

  getByName(name: string) {
    return {
      status: () => Promise.resolve(this.views[name] ?? inbox()),
      admit: (_: unknown, { id, body }: { readonly id: string; readonly body: string }) =>
        (this.crash ?? new Crash()).step(() => {
          const known = this.told.some((event) => event.id === id);
          if (!known) this.told.push({ inbox: name, id, body });
          const kind = known ? "duplicate" : "admitted";
          return Promise.resolve<EventAdmissionAnswer>({ kind, id, sequence: 0 });
        }),
    };
  }
}

/** Ends the work at the step of a number, from 1: before the step is done, or when it is and nobody has heard of it. */
export class Crash {
  steps = 0;
  readonly #at: number;
  readonly #after: boolean;

  constructor(at = 0, after = false) {
    this.#at = at;
    this.#after = after;
  }

  async step<Answer>(run: () => Promise<Answer>): Promise<Answer> {
    this.steps += 1;
    const here = this.steps === this.#at;
    if (here && !this.#after) throw new Error("crash");
    const answer = await run();
    if (here) throw new Error("crash");
    return answer;
  }
}

/** D1 of which every call is a step. */
export function crashingLedger(crash: Crash): LedgerDatabase {
  const stepping = (statement: D1PreparedStatement): D1PreparedStatement => {
    const bind = statement.bind.bind(statement);
    const all = statement.all.bind(statement);
    const run = statement.run.bind(statement);
    return Object.assign(statement, {
      bind: (...values: unknown[]) => stepping(bind(...values)),
      all: () => crash.step(all),
      run: () => crash.step(run),
    });
  };
  return {
    prepare: (sql) => stepping(env.LEDGER.prepare(sql)),
    batch: (statements) => crash.step(() => env.LEDGER.batch(statements)),
  };
}

/** D1 that keeps every statement with its parameters. */
export function recordingLedger(): { readonly db: LedgerDatabase; readonly plans: () => Promise<string[]> } {
  const said: { readonly sql: string; readonly values: readonly unknown[] }[] = [];
  const db: LedgerDatabase = {
    prepare(sql) {
      const statement = env.LEDGER.prepare(sql);
      const bind = statement.bind.bind(statement);
      if (!sql.includes("?")) said.push({ sql, values: [] });
      return Object.assign(statement, {
        bind(...values: unknown[]) {
          said.push({ sql, values });
          return bind(...values);
        },
      });
    },
    batch: (statements) => env.LEDGER.batch(statements),
  };
  const plans = async (): Promise<string[]> => {
    const details: string[] = [];
    for (const { sql, values } of said) {
      const { results } = await env.LEDGER.prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .bind(...values)
        .all();
      details.push(...results.map(({ detail }) => String(detail)));
    }
    return details;
  };
  return { db, plans };
}

export async function registerLanes(...accounts: readonly string[]): Promise<void> {
  for (const account of accounts)
    await env.LEDGER.prepare("INSERT INTO lanes (account, registered_at) VALUES (?, ?)")
      .bind(account, NOW)
      .run();
}

export async function registerInboxes(...names: readonly string[]): Promise<void> {
  for (const name of names)
    await env.LEDGER.prepare("INSERT INTO inboxes (name, source, registered_at) VALUES (?, 'polar', ?)")
      .bind(name, NOW)
      .run();
}

/** A replay as those who watch see it: its letters are counted, and nothing else of them is there. */
export async function addReplay(
  id: string,
  status: "running" | "done",
  counts: Readonly<Record<string, number>>,
): Promise<void> {
  await env.LEDGER.batch([
    env.LEDGER.prepare(
      `INSERT INTO replays (id, plan_id, status, actor, reason, rate_per_second, per_lane_per_second, total, driver, page_token,
         next_page_at, watch_after, watch_at, watch_delay_ms, started_at, updated_at, ended_at)
       VALUES (?1, ?1, ?2, 'ann', 'fixed', 1, 1, 3, 1, '', 0, 0, 0, 0, 0, 0, ?3)`,
    ).bind(id, status, status === "done" ? NOW : null),
    ...Object.entries(counts).map(([outcome, letters]) =>
      env.LEDGER.prepare("INSERT INTO replay_counts (replay_id, outcome, letters) VALUES (?, ?, ?)").bind(
        id,
        outcome,
        letters,
      ),
    ),
  ]);
}
