import { createHash } from "node:crypto";
import { z } from "zod";
import { problemSchema, type Problem } from "../../domain/api.ts";
import { defineConfig } from "../../domain/config.ts";
import type {
  Admission,
  AdmissionAnswer,
  DirectiveView,
  LaneStatusView,
  SequencerProtocol,
} from "../../domain/lane.ts";
import { parseInbox, type InboxName } from "../../domain/inbox-name.ts";
import { decodeMessage, type Message } from "../../domain/message.ts";
import { createApp, type ProducerEnv } from "../../producers/http.ts";
import { ACCOUNT, OTHER_ACCOUNT } from "./directive-fixture.ts";
import { FakeInboxes, secretValues, sources } from "./webhooks-fixture.ts";

export const config = defineConfig({
  chains: {
    "eip155:31337": {
      rpcUrl: { env: "CHAIN_URL" },
      signers: [
        { account: ACCOUNT, key: { env: "KEY_0" } },
        { account: OTHER_ACCOUNT, key: { env: "KEY_1" } },
      ],
    },
  },
  sources,
  destinations: { receiver: { url: { env: "RECEIVER_URL" }, secrets: [{ env: "RECEIVER_SECRET" }] } },
  operations: { notify: "receiver" },
});

export const UNSIGNED_ACCOUNT = `eip155:31337:0x${"1".repeat(40)}`;

/** The tokens as their holders have them. `limited` may use ACCOUNT alone; `next` is billing's after rotation. */
export const TOKENS = {
  producer: "producer-token-Aa1",
  next: "producer-token-Aa2",
  limited: "limited-token",
  operator: "operator-token",
} as const;

export const digest = (text: string) => createHash("sha256").update(text).digest("hex");

export const API_TOKENS = JSON.stringify([
  { name: "billing", scope: "producer", sha256: digest(TOKENS.producer) },
  { name: "billing", scope: "producer", sha256: digest(TOKENS.next).toUpperCase() },
  { name: "shop", scope: "producer", sha256: digest(TOKENS.limited), accounts: [ACCOUNT] },
  { name: "ada", scope: "operator", sha256: digest(TOKENS.operator) },
]);

type Lane = ReturnType<ProducerEnv["SEQUENCER"]["getByName"]>;

/** A Worker's bindings that record what is asked of them. Its lanes admit as the protocol says, in memory. */
export class FakeBindings {
  readonly opened: string[] = [];
  readonly admitted: { readonly account: string; readonly ids: readonly string[] }[] = [];
  readonly commands: {
    readonly command: string;
    readonly account: string;
    readonly reason: string;
    readonly actor: string;
  }[] = [];
  readonly doorbells: Message[] = [];
  readonly directives = new Map<string, Admission>();
  /** What the lane of an account throws instead of an answer. */
  readonly failing = new Map<string, Error>();
  queueFails = false;
  view: DirectiveView | undefined;

  readonly inboxes = new FakeInboxes();

  readonly env: ProducerEnv = {
    API_TOKENS,
    ...secretValues,
    ...this.inboxes.env,
    SEQUENCER: {
      getByName: (name) => {
        this.opened.push(name);
        return this.#lane(name);
      },
    },
    DIRECTIVES: {
      sendBatch: async (messages) => {
        if (this.queueFails) throw new Error("queue unavailable");
        for (const { body } of messages) {
          const read = decodeMessage(JSON.parse(JSON.stringify(body)));
          if (read.ok) this.doorbells.push(read.value);
        }
      },
    },
  };

  #lane(name: string): Lane {
    const fail = () => {
      const failure = this.failing.get(name);
      if (failure !== undefined) throw failure;
    };
    const command = (kind: string): SequencerProtocol["pause"] => {
      return async (account, reason, actor) => {
        this.commands.push({ command: kind, account, reason, actor });
        return laneStatus;
      };
    };
    return {
      admit: async (account, admissions) => {
        fail();
        this.admitted.push({ account, ids: admissions.map(({ id }) => id) });
        return admissions.map((admission) => this.#admit(account, admission));
      },
      directive: async () => {
        fail();
        return this.view;
      },
      status: async () => {
        fail();
        return laneStatus;
      },
      pause: command("pause"),
      resume: command("resume"),
      repair: command("repair"),
    };
  }

  #admit(account: string, admission: Admission): AdmissionAnswer {
    const key = `${account} ${admission.id}`;
    const known = this.directives.get(key);
    if (known === undefined) this.directives.set(key, admission);
    if (known === undefined) return { kind: "admitted", status: "queued" };
    return { kind: known.digest === admission.digest ? "duplicate" : "conflict", status: "broadcast" };
  }
}

export const laneStatus: LaneStatusView = {
  status: "paused",
  reason: "maintenance",
  nextSequence: 7,
  chainSequence: 5,
  checkpoint: { received: 6, contiguous: 4 },
  leases: [{ token: 3, holder: "consumer", endsInMs: 1500 }],
  counts: { admitted: 9, settled: 5, dead: 1, inFlight: 3 },
  open: 2,
  lettersOwed: 1,
  attempts: { accepted: 8, "refused:execution_reverted": 1 },
  outage: { code: "network_error", message: "refused", atMs: 1_000 },
  events: [{ atMs: 2_000, kind: "paused", detail: "ada: maintenance" }],
};

export const NO_REGISTRY = { listLanes: async () => [], listInboxes: async () => [] };

/** The inboxes that the registry of `call` knows, by their names. */
export const registered: InboxName[] = [];

const app = createApp<ProducerEnv>(config, {
  ...NO_REGISTRY,
  listInboxes: async (_, source, after, limit) =>
    registered.filter((name) => parseInbox(name)?.source === source && name > after).slice(0, limit),
});

/** A call of the HTTP API; the body, when it is no text, is written as JSON. */
export async function call(
  bindings: FakeBindings,
  method: string,
  path: string,
  options: {
    readonly token?: string | null;
    readonly body?: unknown;
    readonly headers?: Record<string, string>;
  } = {},
): Promise<Response> {
  const token = options.token === undefined ? TOKENS.operator : options.token;
  const { body } = options;
  return app.request(
    path,
    {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    },
    bindings.env,
  );
}

/** Reads a problem, and fails when the answer is none or says another status than it has. */
export async function problemOf(response: Response): Promise<Problem> {
  if (response.headers.get("content-type") !== "application/problem+json") {
    throw new Error(`not a problem: ${response.status} ${await response.text()}`);
  }
  const body = problemSchema.extend({ status: z.literal(response.status) }).parse(await response.json());
  return body;
}

export async function errorFields(response: Response): Promise<readonly string[]> {
  return (await problemOf(response)).errors?.map(({ field }) => field) ?? [];
}
