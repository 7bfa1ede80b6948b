import { OpenAPIHono } from "@hono/zod-openapi";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { dlqRoutes } from "../../dlq/operator-http.ts";
import { recordLetters, type LedgerDatabase } from "../../dlq/ledger.ts";
import { showLetter, type LetterWithHistory } from "../../dlq/letters.ts";
import type { Actor } from "../../domain/api.ts";
import { DEFAULT_CHAIN_POLICY } from "../../domain/config.ts";
import { letterId, type NewLetter } from "../../domain/dead-letter.ts";
import { digestOf, encodePayload, parseDirective, type Directive } from "../../domain/directive.ts";
import { parseAccount, type AccountId } from "../../domain/ids.ts";
import type { InboxName } from "../../domain/inbox-name.ts";
import type { Admission, LetterKey } from "../../domain/lane.ts";
import type { Body } from "../../domain/message.ts";
import type { EventView } from "../../domain/webhook-event.ts";
import { admit } from "../../durable-objects/sequencer-admission.ts";
import { burn } from "../../durable-objects/sequencer-burn.ts";
import { readmit } from "../../durable-objects/sequencer-readmission.ts";
import { die, failed, type Moment } from "../../durable-objects/sequencer-state.ts";
import { directiveFacts } from "../../durable-objects/sequencer-view.ts";
import { MemoryLane } from "../model/memory-lane.ts";
import { NOW, newLetter } from "./dlq-fixture.ts";

/** anvil's first two: the configuration has signers for them. */
export const ANN = accountOf("eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
export const BEN = accountOf("eip155:31337:0x70997970c51812dc3a010c7d01b50e0d17dc79c8");

function accountOf(text: string): AccountId {
  const parsed = parseAccount(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value.id;
}

export function directive(id: string, value = "1", account: string = ANN): Directive {
  const action = { type: "evm.transaction", to: `0x${"c".repeat(40)}`, value };
  const parsed = parseDirective({ id, account, action, metadata: { refund: "manual" } });
  if (!parsed.ok) throw new Error(parsed.error[0]?.message);
  return parsed.value;
}

/** Stops whatever counts its steps at one of them, once. */
export class Cut {
  at = Number.POSITIVE_INFINITY;
  steps = 0;

  step(): void {
    this.steps += 1;
    if (this.steps === this.at) throw new Error("cut off");
  }
}

/** The machine of the Sequencer over memory: what the chain decides, the test says. */
export class MemoryLanes {
  readonly cut: Cut;
  readonly away = new Set<AccountId>();
  /** Never answer. */
  readonly hung = new Set<AccountId>();
  readonly asked: AccountId[] = [];
  readonly #lanes = new Map<AccountId, MemoryLane>();
  gapTolerant = true;

  constructor(cut = new Cut()) {
    this.cut = cut;
  }

  get moment(): Moment {
    return {
      nowMs: NOW,
      random: () => 0.5,
      policy: { ...DEFAULT_CHAIN_POLICY, gapTolerant: this.gapTolerant },
    };
  }

  lane(account: AccountId): MemoryLane {
    const known = this.#lanes.get(account) ?? new MemoryLane();
    this.#lanes.set(account, known);
    return known;
  }

  getByName(account: AccountId) {
    const call = async <Answer>(event: (lane: MemoryLane) => Answer): Promise<Answer> => {
      this.asked.push(account);
      if (this.hung.has(account)) return new Promise<Answer>(() => undefined);
      if (this.away.has(account)) throw new Error("the lane is away");
      this.cut.step();
      return structuredClone(event(this.lane(account)));
    };
    return {
      admit: (name: AccountId, admissions: readonly Admission[]) =>
        call((lane) => admit(lane, name, admissions, this.moment)),
      readmit: (key: LetterKey, edit: Admission | null) =>
        call((lane) => readmit(lane, key, edit, this.moment)),
      directives: (ids: readonly string[]) => call((lane) => ids.map((id) => directiveFacts(lane, id))),
      burn: (_: AccountId, id: string, reason: string, actor: string) =>
        call((lane) => burn(lane, id, reason, actor, this.moment)),
    };
  }

  admit({ id, account, ...rest }: Directive): void {
    const payload = encodePayload(rest);
    const digest = digestOf({ account, ...rest });
    admit(this.lane(account.id), account.id, [{ id, digest, payload, expiresAtMs: null }], this.moment);
  }

  statusOf(account: AccountId, id: string): string | undefined {
    return directiveFacts(this.lane(account), id)?.status;
  }

  /** Contained and refused: dead. */
  kill(account: AccountId, id: string): void {
    const record = this.lane(account).directive(id);
    if (record?.state === "queued")
      die(this.lane(account), record, { code: "execution_reverted", message: "it reverts", atMs: NOW });
  }

  /** Sent, and an endpoint answered 401: nobody knows. */
  review(account: AccountId, id: string): void {
    const lane = this.lane(account);
    const record = lane.directive(id);
    if (record?.state !== "queued") return;
    lane.dequeue([record.admission]);
    lane.putDirective({
      ...failed(record, { code: "unauthorized", message: "401", atMs: NOW }),
      state: "review",
      sequence: record.admission,
    });
    lane.putSlot({
      sequence: record.admission,
      state: "open",
      id,
      admission: record.admission,
      transactions: [
        { hash: `0x${id}`, raw: "0x", token: 1, validUntil: null, noop: false, state: "uncertain" },
      ],
      resendAtMs: NOW,
      signedAtMs: NOW,
      burning: false,
      failingSinceMs: null,
      replacements: 0,
    });
  }

  /** What final evidence came to, of one in review or at work. */
  end(account: AccountId, id: string, state: "confirmed" | "reverted" | "dead"): void {
    const lane = this.lane(account);
    const record = lane.directive(id);
    if (record === undefined || (record.state !== "review" && record.state !== "queued")) return;
    lane.dequeue([record.admission]);
    lane.deleteSlot(record.admission);
    const status = { confirmed: "included", reverted: "reverted", dead: "superseded" } as const;
    const log = [{ hash: `0x${id}`, sequence: record.admission, status: status[state] }] as const;
    const failure = { code: state === "reverted" ? "reverted" : "unauthorized", message: state } as const;
    const ended = state === "confirmed" ? record : failed(record, { ...failure, atMs: NOW + 1 });
    lane.putDirective({ ...ended, state, log, sequence: state === "dead" ? null : record.admission });
  }
}

export class MemoryInboxes {
  readonly events = new Map<string, EventView>();
  readonly told: unknown[] = [];
  away = false;

  getByName(name: InboxName) {
    return {
      event: async (id: string) => {
        if (this.away) throw new Error("the inbox is away");
        return this.events.get(`${name} ${id}`);
      },
      admit: async (_: unknown, { id, body }: { readonly id: string; readonly body: string }) => {
        if (this.away) throw new Error("the inbox is away");
        this.told.push({ id, body: JSON.parse(body) as unknown });
        return { kind: "admitted", id, sequence: 0 } as const;
      },
    };
  }
}

export function eventView(id: string, given: Partial<EventView>): EventView {
  return {
    id,
    sequence: 3,
    digest: "d".repeat(64),
    status: "dead",
    generation: 0,
    attempts: 1,
    failure: null,
    effects: [],
    audit: [],
    admittedAtMs: NOW,
    updatedAtMs: NOW,
    ...given,
  };
}

/** D1 that stops at a step. */
export function cutLedger(cut: Cut): LedgerDatabase {
  return {
    prepare: (sql) => {
      cut.step();
      return env.LEDGER.prepare(sql);
    },
    batch: async (statements) => {
      cut.step();
      return env.LEDGER.batch(statements);
    },
  };
}

const actor: Actor = { name: "ann", scope: "operator", accounts: null };

/** The routes with an operator in front and memory behind. */
export class Operator {
  readonly cut = new Cut();
  readonly lanes = new MemoryLanes(this.cut);
  readonly inboxes = new MemoryInboxes();
  readonly rung: Body[] = [];
  readonly #app = new OpenAPIHono<{ Variables: { actor: Actor } }>();

  constructor() {
    this.#app.use(async (c, next) => {
      c.set("actor", actor);
      await next();
    });
    this.#app.onError((error) => new Response(JSON.stringify({ thrown: error.message }), { status: 500 }));
    this.#app.route("/", dlqRoutes());
  }

  async call(path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const init =
      body === undefined
        ? {}
        : {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
          };
    const response = await this.#app.request(path, init, {
      LEDGER: cutLedger(this.cut),
      SEQUENCER: this.lanes,
      WEBHOOK_INBOX: this.inboxes,
      WEBHOOK_EVENTS: { send: async () => undefined },
      DIRECTIVES: { send: async (sent: Body) => void this.rung.push(sent) },
    });
    return { status: response.status, body: await response.json() };
  }

  act(id: string, action: string, body: Record<string, unknown> = {}) {
    return this.call(`/v1/dlq/letters/${id}/${action}`, { reason: "because", ...body });
  }
}

/** The letter that the lane's directive would have: its id. */
export async function letterFor(
  lanes: MemoryLanes,
  account: AccountId,
  id: string,
  given: Partial<NewLetter> = {},
): Promise<string> {
  const facts = directiveFacts(lanes.lane(account), id);
  if (facts === null) throw new Error(`the lane has no ${id}`);
  const { status, digest, generation, sequence, transactions } = facts;
  if (status !== "dead" && status !== "review" && status !== "reverted")
    throw new Error(`${id} is ${status}`);
  const letter = newLetter({
    lane: account,
    directiveId: id,
    digest,
    generation,
    directiveStatus: status,
    sequence,
    transactions: transactions.map((sent) => ({ ...sent })),
    ...given,
  });
  expect((await recordLetters(env.LEDGER, [letter])).failed.size).toBe(0);
  return letterId(letter);
}

export async function shown(id: string): Promise<LetterWithHistory> {
  const found = await showLetter(env.LEDGER, id);
  if (found === null) throw new Error(`no letter ${id}`);
  return found;
}
