import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { consumeDeadLetters, type DeadLetterEnv, type DeadMessage, type Debtor } from "../../dlq/consumer.ts";
import type { LedgerDatabase } from "../../dlq/ledger.ts";
import { listLetters, showLetter, type LetterWithHistory } from "../../dlq/letters.ts";
import type { LetterFilter, NewLetter } from "../../domain/dead-letter.ts";
import { parseDirective, type Directive } from "../../domain/directive.ts";
import { parseAccount, type AccountId } from "../../domain/ids.ts";
import type { InboxAddress, InboxName } from "../../domain/inbox-name.ts";
import type { LaneLetter, LetterKey } from "../../domain/lane.ts";
import { encodeMessage, type Body } from "../../domain/message.ts";
import type { EventAdmission, InboxLetter } from "../../domain/webhook-event.ts";

export const NOW = Date.parse("2030-01-31T12:00:00Z");
export const ALICE = accountOf(`eip155:31337:0x${"a".repeat(40)}`);
export const BOB = accountOf(`eip155:31337:0x${"b".repeat(40)}`);
export const EVERY: LetterFilter = {
  state: null,
  code: null,
  kind: null,
  lane: null,
  sourceQueue: null,
  fromMs: null,
  toMs: null,
};

function accountOf(text: string): AccountId {
  const parsed = parseAccount(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value.id;
}

export function newLetter(given: Partial<NewLetter> = {}): NewLetter {
  return {
    kind: "directive",
    lane: ALICE,
    directiveId: "d1",
    digest: "d".repeat(64),
    generation: 0,
    sourceQueue: "directives",
    code: "execution_reverted",
    message: "the call reverts",
    firstFailureCode: "network_error",
    firstFailureAtMs: NOW - 5000,
    lastFailureAtMs: NOW - 1000,
    attempts: 3,
    directiveStatus: "dead",
    sequence: 7,
    transactions: [{ hash: "0x01", sequence: 7, status: "refused" }],
    refund: null,
    body: '{"action":{"type":"evm.transaction"}}',
    bodyFormat: "json",
    openedAtMs: NOW,
    ...given,
  };
}

export function laneLetter(account: AccountId, id: string, given: Partial<LaneLetter> = {}): LaneLetter {
  return {
    account,
    id,
    digest: "d".repeat(64),
    generation: 0,
    status: "dead",
    payload: '{"action":{"type":"evm.transaction"}}',
    failure: { code: "execution_reverted", message: "the call reverts", atMs: NOW - 1000 },
    firstFailure: { code: "network_error", message: "no route", atMs: NOW - 5000 },
    attempts: 3,
    sequence: 7,
    transactions: [{ hash: "0x01", sequence: 7, status: "refused" }],
    admittedAtMs: NOW - 9000,
    ...given,
  };
}

/** Lanes that owe the given letters until they hear of them. `away`: the accounts whose lane throws, at which call. */
export class FakeLanes {
  readonly owed: LaneLetter[];
  readonly away: Partial<Record<AccountId, "letter" | "letterRecorded">> = {};
  /** The accounts whose lane never answers, at which call. */
  readonly hung: Partial<Record<AccountId, "letter" | "letterRecorded">> = {};
  readonly calls: string[] = [];

  constructor(...owed: LaneLetter[]) {
    this.owed = owed;
  }

  getByName(account: AccountId): Debtor<LaneLetter> {
    return {
      letter: (key) => {
        this.#call(account, "letter");
        if (this.hung[account] === "letter") return new Promise(() => undefined);
        return Promise.resolve(this.owed.find((letter) => letter.account === account && isKey(letter, key)));
      },
      letterRecorded: (keys) => {
        this.#call(account, "letterRecorded");
        if (this.hung[account] === "letterRecorded") return new Promise(() => undefined);
        for (const key of keys) {
          const at = this.owed.findIndex((letter) => letter.account === account && isKey(letter, key));
          if (at >= 0) this.owed.splice(at, 1);
        }
        return Promise.resolve();
      },
    };
  }

  #call(account: AccountId, method: "letter" | "letterRecorded"): void {
    this.calls.push(`${method} ${account}`);
    if (this.away[account] === method) throw new Error("the lane is away");
  }
}

/** Inboxes that owe the given letters, and remember what they were given. `away`: the call that throws. */
export class FakeInboxes {
  readonly owed: InboxLetter[];
  readonly admitted: { readonly address: InboxAddress; readonly event: EventAdmission }[] = [];
  readonly calls: string[] = [];
  away: "letter" | "letterRecorded" | "admit" | null = null;

  constructor(...owed: InboxLetter[]) {
    this.owed = owed;
  }

  getByName(name: InboxName): ReturnType<DeadLetterEnv["WEBHOOK_INBOX"]["getByName"]> {
    return {
      letter: async (key) => {
        this.#call("letter", name);
        return this.owed.find((letter) => letter.address.name === name && isKey(letter, key));
      },
      letterRecorded: async (keys) => {
        this.#call("letterRecorded", name);
        for (const key of keys) {
          const at = this.owed.findIndex((letter) => letter.address.name === name && isKey(letter, key));
          if (at >= 0) this.owed.splice(at, 1);
        }
      },
      admit: async (address, event) => {
        this.#call("admit", name);
        const known = this.admitted.findIndex((other) => other.event.id === event.id);
        if (known === -1) this.admitted.push({ address, event });
        return known === -1
          ? { kind: "admitted", id: event.id, sequence: this.admitted.length - 1 }
          : { kind: "duplicate", id: event.id, sequence: known };
      },
    };
  }

  #call(method: "letter" | "letterRecorded" | "admit", name: InboxName): void {
    this.calls.push(`${method} ${name}`);
    if (this.away === method) throw new Error("the inbox is away");
  }
}

function isKey(letter: LetterKey, key: LetterKey): boolean {
  return letter.id === key.id && letter.digest === key.digest && letter.generation === key.generation;
}

/** A message that remembers each call, so that two ends of one message show. */
export class FakeMessage implements DeadMessage {
  readonly ends: ("ack" | "retry")[] = [];
  readonly delays: (number | undefined)[] = [];
  readonly timestamp = new Date(NOW - 2000);
  readonly attempts = 1;
  readonly id: string;
  readonly body: unknown;

  constructor(body: unknown, id = "m1") {
    this.body = body;
    this.id = id;
  }

  ack(): void {
    this.ends.push("ack");
  }

  retry(options?: { delaySeconds?: number }): void {
    this.ends.push("retry");
    this.delays.push(options?.delaySeconds);
  }
}

/** D1 that refuses its first `failures` transactions, or all of them, while `reads` answers or not. */
export function failingLedger({ failures, reads }: { failures: number; reads: boolean }): LedgerDatabase {
  let left = failures;
  return {
    prepare: (sql) => {
      if (!reads && sql.startsWith("SELECT")) throw new Error("D1_ERROR: away");
      return env.LEDGER.prepare(sql);
    },
    batch: (statements) => {
      left -= 1;
      return left >= 0 ? Promise.reject(new Error("D1_ERROR: away")) : env.LEDGER.batch(statements);
    },
  };
}

export async function rows(sql: string): Promise<Record<string, unknown>[]> {
  return (await env.LEDGER.prepare(sql).all()).results;
}

export function rejection(account: AccountId, id: string): Body {
  return encodeMessage({
    kind: "rejection",
    origin: "lane",
    account,
    id,
    digest: "d".repeat(64),
    generation: 0,
  });
}

export function directive(id = "d9"): Directive {
  const parsed = parseDirective({
    id,
    account: ALICE,
    action: { type: "evm.transaction", to: `0x${"c".repeat(40)}`, value: "1" },
    metadata: { order: 5 },
  });
  if (!parsed.ok) throw new Error(parsed.error[0]?.message);
  return parsed.value;
}

export const CONTEXT = { nowMs: NOW, notifies: true };

/** What is around the consumer: everything but the ledger is faked. */
export function around(
  SEQUENCER = new FakeLanes(),
  LEDGER: LedgerDatabase = env.LEDGER,
  WEBHOOK_INBOX = new FakeInboxes(),
): DeadLetterEnv {
  return { LEDGER, SEQUENCER, WEBHOOK_INBOX, WEBHOOK_EVENTS: { send: async () => undefined } };
}

/** The end of each message, in order. */
export async function consume(
  messages: FakeMessage[],
  lanes = new FakeLanes(),
  LEDGER: LedgerDatabase = env.LEDGER,
): Promise<string[]> {
  await consumeDeadLetters({ queue: "directives-dlq", messages }, around(lanes, LEDGER), CONTEXT);
  return messages.map(({ ends }) => ends.join("+"));
}

export async function onlyLetter(): Promise<LetterWithHistory> {
  const { letters } = await listLetters(env.LEDGER, EVERY, { after: null, limit: 10 });
  expect(letters).toHaveLength(1);
  const shown = await showLetter(env.LEDGER, letters[0]!.id);
  if (shown === null) throw new Error("the letter is listed, but cannot be shown");
  return shown;
}
