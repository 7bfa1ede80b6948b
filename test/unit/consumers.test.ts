import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { consumeConfirmations } from "../../consumers/confirmations.ts";
import { consumeDirectives } from "../../consumers/directives.ts";
import { directive, encodeMessage, type Body } from "../../domain/message.ts";
import { isDirectiveId, parseAccount } from "../../domain/ids.ts";
import { defineConfig } from "../../domain/config.ts";
import type { Broadcaster } from "../../consumers/broadcasters/broadcaster.ts";
import { MemoryChain } from "../model/memory-chain.ts";
import { MemorySequencer } from "../model/memory-sequencer.ts";

const ADDRESS = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const parsed = parseAccount(`eip155:31337:${ADDRESS}`);
if (!parsed.ok) throw new Error(parsed.error);
const ACCOUNT = parsed.value.id;
const OTHER = "eip155:31337:0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const config = defineConfig({
  chains: {
    "eip155:31337": {
      rpcUrl: { env: "CHAIN_URL" },
      signers: [ACCOUNT, OTHER].map((account) => ({ account, key: { env: "KEY" } })),
    },
  },
});

class Crash extends Error {}

let nowMs: number;
let crashAt: number;
let steps: string[];
let chain: MemoryChain;
let lane: MemorySequencer;
let doorbells: { delaySeconds: number | undefined }[];
let letters: unknown[];
let dlqDown: boolean;
let registerLane: () => Promise<void>;

function step(at: string): void {
  steps.push(at);
  if (steps.length === crashAt) throw new Crash(`crash at ${at}`);
}

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  nowMs = 1_000_000;
  crashAt = 0;
  steps = [];
  chain = new MemoryChain(step);
  lane = new MemorySequencer(() => nowMs, step, { maxUnconfirmed: 500 });
  doorbells = [];
  letters = [];
  dlqDown = false;
  registerLane = async () => undefined;
});

afterEach(() => {
  vi.useRealTimers();
});

const env = () => ({
  SEQUENCER: { getByName: () => lane },
  DIRECTIVES: {
    send: async (_: Body, options?: { delaySeconds?: number }) =>
      void doorbells.push({ delaySeconds: options?.delaySeconds }),
  },
  DIRECTIVES_DLQ: {
    send: async (body: unknown) => {
      if (dlqDown) throw new Error("the queue is away");
      letters.push(body);
    },
  },
});

interface Delivered {
  readonly id: string;
  readonly attempts: number;
  readonly body: unknown;
  readonly ends: string[];
  ack(): void;
  retry(options?: { delaySeconds?: number }): void;
}

function message(body: unknown, attempts = 1): Delivered {
  const ends: string[] = [];
  const id = `m${Math.trunc(nowMs)}`;
  return {
    id,
    attempts,
    body,
    ends,
    ack: () => void ends.push("ack"),
    retry: (options) => void ends.push(`retry ${options?.delaySeconds}`),
  };
}

const consume = (...messages: Delivered[]) =>
  consumeDirectives({ queue: "directives", messages }, env(), {
    config,
    broadcasterOf: () => chain,
    registerLane,
    now: () => nowMs,
    random: () => 0.5,
  });
const confirmAll = () =>
  consumeConfirmations(
    { messages: [message(encodeMessage({ kind: "confirmation", account: ACCOUNT }))] },
    env(),
    { config, broadcastersOf: () => () => chain },
  );

function transfer(id: string, recipient = 1, account: string = ACCOUNT): Body {
  return directive({
    id,
    account,
    action: { type: "evm.transaction", to: `0x${recipient.toString(16).padStart(40, "0")}`, value: "1" },
  });
}
const doorbell = () => encodeMessage({ kind: "doorbell", account: ACCOUNT });

describe("one batch", () => {
  test("good, poison, transient and unreadable messages each come to one end, and none affects another", async () => {
    chain.refusals.set("reverts", { code: "execution_reverted", message: "no" });
    chain.refusals.set("poor", { code: "insufficient_funds", message: "no" });
    const bodies: Record<string, unknown> = {
      good: transfer("good", 1),
      reverts: transfer("reverts", 2),
      poor: transfer("poor", 3),
      twice: transfer("good", 1),
      conflict: transfer("good", 9),
      noSigner: transfer("x", 1, "eip155:31337:0x000000000000000000000000000000000000dead"),
      noChain: transfer("x", 1, `eip155:1:${ADDRESS}`),
      nothing: null,
      text: "hello",
      noVersion: { json: { kind: "directive" } },
      strangeKind: { json: { v: 1, kind: "confirmation", account: ACCOUNT } },
      bell: doorbell(),
    };
    const messages = Object.values(bodies).map((body) => message(body));
    await consume(...messages);
    const ends = Object.fromEntries(Object.keys(bodies).map((name, index) => [name, messages[index]?.ends]));
    for (const [name, end] of Object.entries(ends)) expect(end, name).toHaveLength(1);
    expect(ends["bell"]?.[0]).toMatch(/^retry \d+$/);
    expect(
      Object.entries(ends)
        .filter(([name]) => name !== "bell")
        .every(([, end]) => end?.[0] === "ack"),
    ).toBe(true);
    expect(letters).toHaveLength(7);
    expect([lane.statusOf("good"), lane.statusOf("poor")]).toEqual(["broadcast", "queued"]);
    expect(chain.landed).toHaveLength(1);
  });

  test("a message that the dead-letter queue cannot take is given back, not lost", async () => {
    dlqDown = true;
    const poison = message({ broken: true });
    await consume(poison);
    expect(poison.ends).toEqual(["retry 10"]);
  });

  test("an introduction is given back when its lane cannot be reached, and acknowledged once it is admitted", async () => {
    crashAt = 1;
    const introduction = message(transfer("a"));
    await consume(introduction);
    expect(introduction.ends[0]).toMatch(/^retry/);
    crashAt = 0;
    const again = message(transfer("a"), 2);
    await consume(again);
    expect(again.ends).toEqual(["ack"]);
  });

  test("a chain outage retries the doorbell at the lane's due time, and loses nothing", async () => {
    chain.outage = { code: "rate_limited", message: "slow down", retryAfterSeconds: 30 };
    const [first, bell] = [message(transfer("a")), message(doorbell())];
    await consume(first, bell);
    expect([first.ends, bell.ends]).toEqual([["ack"], ["retry 30"]]);
    chain.outage = null;
    nowMs += 30_000;
    await consume(message(doorbell(), 2));
    expect(lane.statusOf("a")).toBe("broadcast");
  });

  test("a lane without a doorbell in the batch gets a delayed one", async () => {
    chain.outage = { code: "endpoint_error", message: "down", retryAfterSeconds: 5 };
    await consume(message(transfer("a")));
    expect(doorbells).toEqual([{ delaySeconds: 5 }]);
  });

  test("a doorbell near the end of its retries is replaced by a fresh one", async () => {
    chain.outage = { code: "endpoint_error", message: "down", retryAfterSeconds: 5 };
    await consume(message(transfer("a")));
    doorbells = [];
    const old = message(doorbell(), 91);
    await consume(old);
    expect(old.ends).toEqual(["ack"]);
    expect(doorbells).toEqual([{ delaySeconds: 5 }]);
  });
});

describe("one lane", () => {
  test("a hundred directives cost four calls to a new lane and three to a known one", async () => {
    const calls = () => steps.filter((at) => at.startsWith("before ") && at !== "before send").length;
    await consume(...Array.from({ length: 100 }, (_, index) => message(transfer(`a${index}`, index + 1))));
    expect(chain.landed).toHaveLength(100);
    expect(calls()).toBe(1 + 4);
    steps = [];
    await consume(...Array.from({ length: 100 }, (_, index) => message(transfer(`b${index}`, index + 1))));
    expect(chain.landed).toHaveLength(200);
    expect(calls()).toBe(1 + 3);
  });

  test("no send starts after the lease's end", async () => {
    await lane.admit(ACCOUNT, [{ id: "a", digest: "a", payload: payloadOf("a"), expiresAtMs: null }]);
    const slow = new MemoryChain((at) => {
      if (at === "preflight") nowMs += 60_000;
    });
    await consumeDirectives({ queue: "directives", messages: [message(doorbell())] }, env(), {
      config,
      broadcasterOf: () => slow,
      registerLane: async () => undefined,
      now: () => nowMs,
      random: () => 0.5,
    });
    expect(slow.sends).toEqual([]);
  });
});

test("a lane whose chain hangs does not hold up another lane of the same batch", async () => {
  const [sick, well] = [new MemorySequencer(() => nowMs), new MemorySequencer(() => nowMs)];
  const sickChain = new MemoryChain();
  const hanging = Promise.withResolvers<void>();
  const hung: Broadcaster<null> = {
    preflight: async (candidates) => hanging.promise.then(() => sickChain.preflight(candidates)),
    sign: (terms, requests) => sickChain.sign(terms, requests),
    send: (transactions) => sickChain.send(transactions),
    lookUp: (hashes) => sickChain.lookUp(hashes),
    usersOf: (sequences) => sickChain.usersOf(sequences),
  };
  const wellLanded = Promise.withResolvers<void>();
  const wellChain = new MemoryChain((at) => {
    if (at === "after send of one") wellLanded.resolve();
  });
  const other = OTHER;
  const done = consumeDirectives(
    { queue: "directives", messages: [message(transfer("a")), message(transfer("b", 1, other))] },
    { ...env(), SEQUENCER: { getByName: (name) => (name === other ? well : sick) } },
    {
      config,
      broadcasterOf: ({ id }) => (id === other ? wellChain : hung),
      registerLane: async () => undefined,
      now: () => nowMs,
      random: () => 0.5,
    },
  );
  await wellLanded.promise;
  expect(sickChain.landed).toHaveLength(0);
  hanging.resolve();
  await done;
  expect(sickChain.landed).toHaveLength(1);
});

test("a ledger that hangs keeps no doorbell, and the lane's work does not wait for it", async () => {
  vi.useFakeTimers();
  registerLane = () => new Promise(() => undefined);
  const bell = message(doorbell());
  const consumed = consume(message(transfer("a")), bell);
  await vi.advanceTimersByTimeAsync(0);
  expect(chain.landed).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(2000);
  expect(bell.ends).toHaveLength(1);
  await consumed;
});

function payloadOf(id: string): string {
  if (!isDirectiveId(id)) throw new Error(id);
  return JSON.stringify({
    action: { type: "evm.transaction", to: `0x${"1".repeat(40)}`, value: "1", data: "0x" },
  });
}

describe("evidence", () => {
  test("a foreign transaction at a directive's number moves the directive to another, by the block that holds it", async () => {
    chain.answers = [{ kind: "uncertain", failure: { code: "endpoint_timeout", message: "lost" } }];
    await consume(message(transfer("a")));
    chain.landed.push({ hash: "theirs", raw: "", sequence: 0 });
    await confirmAll();
    expect(lane.statusOf("a")).toBe("queued");
    await consume(message(doorbell()));
    await confirmAll();
    expect(lane.statusOf("a")).toBe("confirmed");
    expect(chain.landed.map(({ hash }) => hash.split(":")[0])).toEqual(["theirs", "1"]);
  });

  test("a directive's own transaction without a receipt is neither confirmed nor sent again under another number", async () => {
    await consume(message(transfer("a")));
    chain.hideReceipts = true;
    await confirmAll();
    await consume(message(doorbell()));
    expect(lane.statusOf("a")).toBe("broadcast");
    expect(chain.landed).toHaveLength(1);
    chain.hideReceipts = false;
    await confirmAll();
    expect(lane.statusOf("a")).toBe("confirmed");
  });
});

describe("crash points", () => {
  /** Delivers the same messages until the lane rests, the way the queue and the alarm would. */
  async function deliverUntilDone(): Promise<void> {
    for (let delivery = 1; delivery <= 6; delivery += 1) {
      await consume(...["a", "b", "c"].map((id, index) => message(transfer(id, index + 1), delivery)));
      await consume(message(doorbell(), delivery));
      await confirmAll();
      nowMs += 40_000;
    }
  }

  async function stepsWithoutCrash(): Promise<number> {
    await deliverUntilDone();
    return steps.length;
  }

  test("a consumer that stops at any step leaves each directive with exactly one effect", async () => {
    const total = await stepsWithoutCrash();
    expect(total).toBeGreaterThan(20);
    for (let point = 1; point <= total; point += 1) {
      steps = [];
      crashAt = point;
      chain = new MemoryChain(step);
      lane = new MemorySequencer(() => nowMs, step);
      await deliverUntilDone();
      const effects = chain.landed.map(({ hash }) => hash.split(":")[1]);
      const recipients = [1, 2, 3].map((recipient) => `0x${recipient.toString(16).padStart(40, "0")}`);
      expect(new Set(effects.filter((effect) => effect !== "noop")), `crash at step ${point}`).toEqual(
        new Set(recipients),
      );
      expect(
        effects.filter((effect) => effect !== "noop"),
        `crash at step ${point}`,
      ).toHaveLength(3);
      expect(
        ["a", "b", "c"].map((id) => lane.statusOf(id)),
        `crash at step ${point}`,
      ).toEqual(["confirmed", "confirmed", "confirmed"]);
    }
  });
});
