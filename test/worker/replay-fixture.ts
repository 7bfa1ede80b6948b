import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { CALL_BOUNDS } from "../../dlq/call-bounds.ts";
import { landedReviews } from "../../dlq/plan-landed.ts";
import { makePlan } from "../../dlq/plan.ts";
import { recordLetters, type LedgerDatabase } from "../../dlq/ledger.ts";
import { runPlan, showReplay, type ReplayEnv, type ReplayParams } from "../../dlq/replay-commands.ts";
import { driveReplay, type Turn } from "../../dlq/replay-driver.ts";
import type { ReplayTargets } from "../../dlq/replay-send.ts";
import type { PlanReport, ReplayReport } from "../../domain/api-letters.ts";
import type { NewLetter } from "../../domain/dead-letter.ts";
import type { AccountId } from "../../domain/ids.ts";
import { inboxOfKey, type InboxName } from "../../domain/inbox-name.ts";
import type { Admission, DirectiveStatus, DirectiveView, LetterKey } from "../../domain/lane.ts";
import { DEFAULT_REPLAY, type ReplayPolicy } from "../../domain/operations.ts";
import type { EventStatus, EventView } from "../../domain/webhook-event.ts";
import config from "../../lockstep.config.ts";
import { newLetter, NOW, rows } from "./dlq-fixture.ts";

export const POLICY: ReplayPolicy = { ...DEFAULT_REPLAY, ratePerSecond: 5000, perLanePerSecond: 5000 };
/** Accounts that lockstep.config.ts has signers for. */
export const [ALICE, BOB, CAROL] = [...config.signers.keys()] as [AccountId, AccountId, AccountId];
export const INBOX = inboxOfKey("polar", "cus_1").name;

interface FakeDirective {
  digest: string;
  status: DirectiveStatus;
  generation: number;
}

/** Lanes as a replay sees them, with the compare-and-set of the real one, and every readmission counted. */
export class FakeLanes {
  readonly directives = new Map<string, FakeDirective>();
  readonly calls: string[] = [];
  /** By directive and generation that it left: more than one is a doubled effect. */
  readonly readmissions = new Map<string, number>();
  readonly away = new Set<string>();
  /** Never answer. */
  readonly hung = new Set<string>();
  /** Called before and after each call of a lane: may throw. */
  crash: (place: string) => void = () => undefined;

  put(account: string, id: string, given: Partial<FakeDirective> = {}): void {
    this.directives.set(`${account} ${id}`, {
      digest: "d".repeat(64),
      status: "dead",
      generation: 0,
      ...given,
    });
  }

  get(account: string, id: string): FakeDirective {
    const found = this.directives.get(`${account} ${id}`);
    if (found === undefined) throw new Error(`no directive ${id}`);
    return found;
  }

  getByName(account: AccountId): ReturnType<ReplayTargets["SEQUENCER"]["getByName"]> {
    const call = <Answer>(name: string, count: number, work: () => Answer): Promise<Answer> => {
      this.calls.push(`${name} ${account} ${count}`);
      if (this.hung.has(account)) return new Promise(() => undefined);
      if (this.away.has(account)) return Promise.reject(new Error("the lane is away"));
      try {
        this.crash(`before ${name}`);
        const answer = work();
        this.crash(`after ${name}`);
        return Promise.resolve(answer);
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    return {
      readmitAll: (keys) =>
        call("readmitAll", keys.length, () => keys.map((key) => this.#readmit(account, key))),
      directives: (ids) => call("directives", ids.length, () => ids.map((id) => this.#view(account, id))),
      admit: (_, admissions) =>
        call("admit", admissions.length, () =>
          admissions.map((admission) => this.#admit(account, admission)),
        ),
    };
  }

  #readmit(account: AccountId, { id, digest, generation }: LetterKey) {
    const directive = this.directives.get(`${account} ${id}`);
    if (directive === undefined || directive.digest !== digest) return { kind: "unknown" } as const;
    if (directive.status === "confirmed") return { kind: "already-landed" } as const;
    if (directive.status === "review") return { kind: "undetermined" } as const;
    if (directive.status === "reverted") return { kind: "reverted" } as const;
    if (directive.status !== "dead" || directive.generation !== generation)
      return { kind: "moved-on", status: directive.status, generation: directive.generation } as const;
    directive.status = "queued";
    directive.generation += 1;
    const left = `${account} ${id} ${generation}`;
    this.readmissions.set(left, (this.readmissions.get(left) ?? 0) + 1);
    return { kind: "readmitted", generation: directive.generation } as const;
  }

  #admit(account: AccountId, { id, digest }: Admission) {
    const known = this.directives.get(`${account} ${id}`);
    if (known === undefined) {
      this.put(account, id, { digest, status: "queued" });
      return { kind: "admitted", status: "queued" } as const;
    }
    return { kind: known.digest === digest ? "duplicate" : "conflict", status: known.status } as const;
  }

  #view(account: AccountId, id: string): DirectiveView | null {
    const directive = this.directives.get(`${account} ${id}`);
    if (directive === undefined) return null;
    return {
      ...directive,
      id,
      account,
      sequence: null,
      transactions: [],
      attempts: 0,
      failure: null,
      payload: "{}",
      admittedAtMs: 0,
      updatedAtMs: 0,
    };
  }
}

/** Inboxes as a replay sees them. */
export class FakeInboxes {
  readonly events = new Map<string, { status: EventStatus; generation: number }>();

  getByName(name: InboxName): ReturnType<ReplayTargets["WEBHOOK_INBOX"]["getByName"]> {
    return {
      readmit: ({ id, generation }) => {
        const event = this.events.get(`${name} ${id}`);
        if (event === undefined) return Promise.resolve({ kind: "unknown" });
        if (event.status === "settled") return Promise.resolve({ kind: "already-landed" });
        if (event.status !== "dead" || event.generation !== generation)
          return Promise.resolve({ kind: "moved-on", ...event });
        event.status = "queued";
        event.generation += 1;
        return Promise.resolve({ kind: "readmitted", generation: event.generation });
      },
      event: (id) => {
        const event = this.events.get(`${name} ${id}`);
        const view: EventView = {
          id,
          sequence: 1,
          digest: "d".repeat(64),
          status: "queued",
          generation: 0,
          ...event,
          attempts: 0,
          failure: null,
          effects: [],
          audit: [],
          admittedAtMs: 0,
          updatedAtMs: 0,
        };
        return Promise.resolve(event === undefined ? undefined : view);
      },
    };
  }
}

/** A queue that remembers what was sent. `refuses`: what a send throws. */
export class FakeQueue {
  readonly sent: { body: unknown; contentType: string }[] = [];
  refuses: Error | null = null;

  send(body: unknown, { contentType }: { contentType: string }): Promise<void> {
    if (this.refuses !== null) return Promise.reject(this.refuses);
    this.sent.push({ body, contentType });
    return Promise.resolve();
  }

  sendBatch(messages: readonly { body: unknown; contentType: string }[]): Promise<void> {
    this.sent.push(...messages);
    return Promise.resolve();
  }
}

/** A ledger, lanes, queues and a clock, with the Workflow's instances only written down. */
export class Arena {
  readonly lanes = new FakeLanes();
  readonly inboxes = new FakeInboxes();
  readonly directives = new FakeQueue();
  readonly webhookEvents = new FakeQueue();
  readonly drivers: ReplayParams[] = [];
  nowMs = NOW + 1000;
  bounds = CALL_BOUNDS;
  ledger: LedgerDatabase = env.LEDGER;

  get env(): ReplayEnv & ReplayTargets {
    return {
      LEDGER: this.ledger,
      SEQUENCER: this.lanes,
      WEBHOOK_INBOX: this.inboxes,
      DIRECTIVES: this.directives,
      WEBHOOK_EVENTS: this.webhookEvents,
      REPLAY: {
        create: ({ params }) => {
          this.drivers.push(params);
          return Promise.resolve();
        },
      },
    };
  }

  /** Dead directives of a lane and their letters, oldest first. */
  async fill(account: AccountId, count: number, given: Partial<NewLetter> = {}): Promise<void> {
    const letters = Array.from({ length: count }, (_, index) => {
      const directiveId = `d${String(index).padStart(5, "0")}`;
      this.lanes.put(account, directiveId);
      return newLetter({ lane: account, directiveId, openedAtMs: NOW - 100_000 + index, ...given });
    });
    for (let from = 0; from < letters.length; from += 1000) {
      const { failed } = await recordLetters(env.LEDGER, letters.slice(from, from + 1000));
      if (failed.size > 0) throw new Error([...failed.values()][0]);
    }
  }

  async plan(request: Parameters<typeof makePlan>[1] = { filter: {} }): Promise<PlanReport> {
    const plan = await makePlan(env.LEDGER, request, {
      policy: POLICY,
      actor: "ops",
      nowMs: this.nowMs,
      landedReviews: (filter) => landedReviews(this.env, filter),
    });
    if (!plan.ok) throw new Error(plan.error[0]?.message);
    return plan.value;
  }

  async run(plan: PlanReport, rates: { ratePerSecond?: number; perLanePerSecond?: number } = {}) {
    const { id, digest } = plan;
    return runPlan(
      this.env,
      { plan: id, digest, reason: "the cause is gone", ...rates },
      { policy: POLICY, actor: "ops", nowMs: this.nowMs },
    );
  }

  async begin(
    rates: { ratePerSecond?: number; perLanePerSecond?: number } = {},
    request?: Parameters<typeof makePlan>[1],
  ): Promise<ReplayReport> {
    const replay = await this.run(await this.plan(request), rates);
    if (!replay.ok) throw new Error(replay.error.kind);
    return replay.value;
  }

  /** One turn of the driver that was started last. */
  async turn(params = this.drivers.at(-1)): Promise<Turn> {
    if (params === undefined) throw new Error("nobody drives");
    const turn = await driveReplay(
      this.env,
      { replay: params.replay, number: params.driver },
      {
        config,
        bounds: this.bounds,
        now: () => this.nowMs,
        wait: (delayMs) => {
          this.nowMs += delayMs;
          return Promise.resolve();
        },
      },
    );
    this.nowMs += turn.delayMs + 1;
    return turn;
  }

  /** Turns until the driver has nothing left to do. */
  async drive(turns = 200): Promise<void> {
    for (let index = 0; index < turns; index += 1) if ((await this.turn()).ended) return;
    throw new Error("the replay does not end");
  }

  /** What became of every directive that is at work. */
  settle(status: DirectiveStatus): void {
    for (const directive of this.lanes.directives.values())
      if (directive.status === "queued") directive.status = status;
  }
}

/** The numbers of a replay, which add up. */
export function numbers({
  total,
  waiting,
  sent,
  inFlight,
  landed,
  alreadyLanded,
  failedAgain,
  refused,
  returned,
}: ReplayReport) {
  expect(waiting + inFlight + landed + failedAgain + refused + returned).toBe(total);
  expect(sent).toBe(inFlight + landed - alreadyLanded + failedAgain);
  return { waiting, inFlight, landed, alreadyLanded, failedAgain, refused, returned };
}

export async function shown(arena: Arena, id: string): Promise<ReplayReport> {
  const replay = await showReplay(arena.env, id, arena.nowMs);
  if (replay === null) throw new Error("no such replay");
  return replay;
}

/** Letters by state and resolution. */
export const states = () =>
  rows(
    "SELECT state, resolution, COUNT(*) AS letters FROM letters GROUP BY state, resolution ORDER BY state, resolution",
  );
