import { z } from "zod";
import type { InboxAddress } from "../../domain/inbox-name.ts";
import { decodeMessage, type Message } from "../../domain/message.ts";
import type { EventAdmission, EventView, IndexEntry, InboxStatusView } from "../../domain/webhook-event.ts";
import { webhookSource, type UntypedSource } from "../../domain/webhook-source.ts";
import type { ProducerEnv } from "../../producers/http.ts";
import { AT, ID, SCHEMES } from "./signatures-fixture.ts";

export const NOW_MS = AT * 1000;
export const MAX_BODY_BYTES = 2000;
/** Not the default, so that a source's own is seen to count. */
export const TOLERANCE_SECONDS = 200;

/** A source for each scheme of signatures. `old` is what a rotation leaves behind; `UNSET` has no value anywhere. */
export const SIGNED_SOURCES = SCHEMES.map(({ name, scheme, secrets, ...rest }, index) => ({
  ...rest,
  scheme: name,
  signature: scheme,
  name: `s${index}`,
  secret: secrets[0],
  old: secrets[1],
}));
export type SignedSource = (typeof SIGNED_SOURCES)[number];

export const secretValues: Readonly<Record<string, string>> = Object.fromEntries(
  SIGNED_SOURCES.flatMap(({ name, secret, old }) => [
    [`${name}_SECRET`, secret],
    [`${name}_OLD_SECRET`, old],
  ]),
);

export const sources: Readonly<Record<string, UntypedSource>> = {
  ...Object.fromEntries(
    SIGNED_SOURCES.map(({ name, signature }) => [
      name,
      webhookSource({
        signature,
        secrets: [{ env: `${name}_UNSET` }, { env: `${name}_OLD_SECRET` }, { env: `${name}_SECRET` }],
        maxBodyBytes: MAX_BODY_BYTES,
        toleranceSeconds: TOLERANCE_SECONDS,
        eventId: "id",
        orderingKey: "customer",
        schema: z.unknown(),
        handle: () => ({}),
      }),
    ]),
  ),
  bare: webhookSource({
    signature: { scheme: "github" },
    secrets: [{ env: "bare_UNSET" }],
    schema: z.unknown(),
    handle: () => ({}),
  }),
  throwing: webhookSource({
    signature: { scheme: "github" },
    secrets: [{ env: "s0_SECRET" }],
    orderingKey: () => {
      throw new Error("no customer in 'hunter2'");
    },
    schema: z.unknown(),
    handle: () => ({}),
  }),
};

/** The first source whose signature vouches for an id, and the first whose does not. */
export const [STANDARD, STRIPE, GITHUB] = [0, 2, 3].map((index) => SIGNED_SOURCES[index]!) as [
  SignedSource,
  SignedSource,
  SignedSource,
];

export interface Post {
  readonly body?: string | Uint8Array;
  readonly secret?: string;
  readonly at?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a provider sends: a genuine request, unless it is told otherwise. */
export function signedPost(source: SignedSource, { body = '{"id":"evt_1"}', ...given }: Post = {}) {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const { secret = source.secret, at = AT, headers = {} } = given;
  const signature = source.sign({ body: bytes, at, secret });
  return {
    path: `/webhooks/${source.name}`,
    init: {
      method: "POST",
      body: new Uint8Array(bytes),
      headers: { "content-type": "application/json", ...signature, ...headers },
    },
  };
}

/** The id of an event of a source, where the request is `signedPost`'s and its body's id is the given one. */
export function eventIdOf({ idSigned }: SignedSource, bodyId: string): string {
  return idSigned === null ? bodyId : ID;
}

type Part = "inbox" | "events" | "index" | "queue";

/** Inboxes and index as their protocols say, in memory. They record what is asked of them. */
export class FakeInboxes {
  /** Every inbox and part of the index that was asked for. */
  readonly opened: string[] = [];
  readonly admitted: { readonly address: InboxAddress; readonly event: EventAdmission }[] = [];
  readonly commands: { readonly [name: string]: string }[] = [];
  readonly doorbells: Message[] = [];
  readonly events = new Map<string, EventView[]>();
  readonly index = new Map<string, IndexEntry[]>();
  /** `events`: an inbox that does not say what it has. */
  readonly failing = new Set<Part>();
  atOnce = 0;
  mostAtOnce = 0;

  readonly env: Pick<ProducerEnv, "WEBHOOK_INBOX" | "WEBHOOK_INDEX" | "WEBHOOK_EVENTS"> = {
    WEBHOOK_INBOX: {
      getByName: (name) => {
        this.opened.push(name);
        return this.#inbox(name);
      },
    },
    WEBHOOK_INDEX: {
      getByName: (name) => {
        this.opened.push(name);
        return this.#part(name);
      },
    },
    WEBHOOK_EVENTS: {
      send: async (body) => {
        this.#fail("queue");
        const read = decodeMessage(JSON.parse(JSON.stringify(body)));
        if (read.ok) this.doorbells.push(read.value);
      },
    },
  };

  #fail(part: Part): void {
    if (this.failing.has(part)) throw new Error(`${part} unavailable`);
  }

  #admit(name: string, { id, digest }: EventAdmission): EventView {
    const events = this.events.get(name) ?? [];
    this.events.set(name, events);
    const view = { ...eventView, id, digest, sequence: events.length, admittedAtMs: Date.now() };
    events.push(view);
    return view;
  }

  #inbox(name: string): ReturnType<ProducerEnv["WEBHOOK_INBOX"]["getByName"]> {
    const events = () => this.events.get(name) ?? [];
    const command = (kind: string) => async (reason: string, actor: string) => {
      this.commands.push({ kind, name, reason, actor });
      return statusOf(events().length);
    };
    return {
      admit: async (address, event) => {
        this.#fail("inbox");
        this.admitted.push({ address, event });
        const known = events().find(({ id }) => id === event.id);
        const { id, sequence } = known ?? this.#admit(name, event);
        return { kind: known === undefined ? "admitted" : "duplicate", id, sequence };
      },
      events: async (below, limit) =>
        events()
          .filter(({ sequence }) => below === null || sequence < below)
          .toReversed()
          .slice(0, limit),
      event: async (id) => {
        this.#fail("events");
        this.atOnce += 1;
        this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce);
        await Promise.resolve();
        this.atOnce -= 1;
        return events().find((event) => event.id === id);
      },
      status: async () => {
        this.#fail("inbox");
        return statusOf(events().length);
      },
      pause: command("pause"),
      resume: command("resume"),
      skipHead: async (reason, actor, sequence) => {
        const { head } = statusOf(events().length);
        if (head === null || (sequence !== null && sequence !== head)) return { kind: "not-head", head };
        const status = await command("skipHead")(reason, actor);
        return { kind: "skipped", status };
      },
    };
  }

  #part(name: string): ReturnType<ProducerEnv["WEBHOOK_INDEX"]["getByName"]> {
    const entries = () => this.index.get(name) ?? [];
    return {
      note: async (entry) => {
        this.#fail("index");
        const known = entries().find(({ id }) => id === entry.id);
        if (known?.inbox === entry.inbox) return;
        this.index.set(name, [...entries().filter((other) => other !== known), entry]);
      },
      find: async (id) => {
        this.#fail("index");
        return entries().find((entry) => entry.id === id);
      },
      latest: async (before, limit) =>
        entries()
          .toSorted((left, right) => right.admittedAtMs - left.admittedAtMs || (left.id < right.id ? 1 : -1))
          .filter(
            ({ admittedAtMs, id }) =>
              before === null ||
              admittedAtMs < before.admittedAtMs ||
              (admittedAtMs === before.admittedAtMs && id < before.id),
          )
          .slice(0, limit),
    };
  }
}

const eventView: EventView = {
  id: "evt",
  sequence: 0,
  digest: "d",
  status: "dead",
  generation: 1,
  attempts: 3,
  failure: { code: "delivery_refused", message: "403", atMs: NOW_MS + 2000 },
  effects: [{ kind: "delivery", target: "receiver", account: null, state: "failed" }],
  audit: [{ atMs: NOW_MS, what: "admitted", status: null, latencyMs: null }],
  admittedAtMs: NOW_MS,
  updatedAtMs: NOW_MS + 3000,
};

function statusOf(events: number): InboxStatusView {
  return {
    status: "waiting",
    reason: null,
    nextSequence: events,
    head: events > 1 ? 0 : null,
    counts: { admitted: events, settled: 0, dead: 0, inFlight: events },
    lettersOwed: 0,
    attempts: {},
    events: [{ atMs: NOW_MS, kind: "paused", detail: "ada: maintenance" }],
  };
}
