import { beforeEach, describe, expect, test } from "vitest";
import { inboxOfKey, inboxOfShard } from "../../domain/inbox-name.ts";
import type { EffectResult, InboxTakeAnswer, InboxWork } from "../../domain/webhook-event.ts";
import { DEFAULT_INBOX_POLICY } from "../../domain/webhook-source.ts";
import { admitEvent, readmitEvent } from "../../durable-objects/webhook-inbox-admission.ts";
import { inboxAlarmMs, ringInbox } from "../../durable-objects/webhook-inbox-alarm.ts";
import { planEvents, takeEvents } from "../../durable-objects/webhook-inbox-lease.ts";
import { pauseInbox, resumeInbox, skipHead } from "../../durable-objects/webhook-inbox-operations.ts";
import { settleEvents } from "../../durable-objects/webhook-inbox-settlement.ts";
import { MemoryInbox } from "../model/memory-inbox.ts";

const HOUR_MS = 3_600_000;
const deliver = { kind: "delivery", destination: "receiver" } as const;
const about = { index: 0, status: null, latencyMs: 1 };
const DONE: EffectResult = { kind: "done", ...about };
const FAILED: EffectResult = {
  kind: "transient",
  failure: { code: "endpoint_error", message: "503" },
  ...about,
};
const REFUSED: EffectResult = { kind: "permanent", failure: { code: "forbidden", message: "403" }, ...about };

let inbox: MemoryInbox;
let nowMs: number;
let policy: typeof DEFAULT_INBOX_POLICY;
const moment = () => ({ nowMs, random: () => 0.999, policy });

beforeEach(() => {
  inbox = new MemoryInbox();
  nowMs = 1_000_000;
  policy = DEFAULT_INBOX_POLICY;
});

function admit(count: number, address = inboxOfKey("test", "key")): void {
  for (let index = 0; index < count; index += 1) {
    const id = String(inbox.header.nextSequence);
    admitEvent(inbox, address, { id, digest: id, body: "{}", contentType: "application/json" }, moment());
  }
}

function work(answer: InboxTakeAnswer = takeEvents(inbox, "test", moment())): InboxWork {
  if (answer.kind !== "work") throw new Error(answer.kind);
  const plans = answer.events
    .filter(({ effects }) => effects === null)
    .map(({ sequence }) => ({ sequence, effects: [deliver], failure: null }));
  planEvents(inbox, answer.token, plans, moment());
  return answer;
}

const lent = ({ events }: InboxWork) => events.map(({ sequence }) => sequence);

function settle(
  token: number,
  results: Readonly<Record<number, EffectResult>>,
  renew = false,
): InboxTakeAnswer {
  const entries = Object.entries(results).map(([sequence, result]) => ({
    sequence: Number(sequence),
    effects: [result],
  }));
  const answer = settleEvents(inbox, { token, results: entries, renew }, moment());
  if (answer.kind !== "settled") throw new Error(answer.kind);
  return answer.next;
}

const stateOf = (sequence: number) => inbox.event(sequence)?.state;

describe("a key waits for its head", () => {
  test("a thousand events behind a failing head make no attempts, and no more doorbells than the head has due times", () => {
    admit(1000);
    const endMs = nowMs + 3 * HOUR_MS;
    let [doorbells, attempts] = [0, 0];
    while (nowMs < endMs) {
      nowMs = Math.max(nowMs, inboxAlarmMs(inbox, moment()) ?? endMs);
      if (!ringInbox(inbox, moment()).doorbell) continue;
      doorbells += 1;
      const { token, events } = work();
      attempts += 1;
      expect(settle(token, { [events[0]?.sequence ?? -1]: FAILED }, true).kind).toBe("waiting");
    }
    expect(doorbells).toBe(attempts);
    expect(doorbells).toBeLessThan(20);
    expect(inbox.event(0)?.attempts).toBe(attempts);
    expect([...inbox.records.values()].slice(1).every((record) => record.attempts === 0)).toBe(true);
    expect(inbox.header.attempts).toEqual({ "transient:endpoint_error": attempts });
  });

  test("what was not tried is lent again at once, without an attempt counted, in the same order", () => {
    admit(4);
    const first = work();
    expect(settle(first.token, { 0: DONE }, true)).toMatchObject({
      kind: "work",
      events: [
        { sequence: 1, attempt: 1 },
        { sequence: 2, attempt: 1 },
        { sequence: 3, attempt: 1 },
      ],
    });
    expect(inbox.rows.size).toBe(0);
  });

  test("an event that is named without a result was not tried", () => {
    admit(1);
    const { token } = work();
    settleEvents(inbox, { token, results: [{ sequence: 0, effects: [] }], renew: false }, moment());
    expect(inbox.event(0)).toMatchObject({ state: "queued", attempts: 0 });
  });

  test("Retry-After is not undercut, and is what the consumer is told", () => {
    admit(1);
    const { token } = work();
    const failure = { code: "rate_limited", message: "429", retryAfterSeconds: 120 } as const;
    const next = settle(token, { 0: { kind: "transient", ...about, failure } }, true);
    expect(next).toEqual({ kind: "waiting", dueInMs: 120_000 });
    nowMs += 119_999;
    expect(takeEvents(inbox, "test", moment()).kind).toBe("waiting");
    nowMs += 1;
    expect(lent(work())).toEqual([0]);
  });

  test("of a shard, a failing event keeps nobody waiting", () => {
    admit(3, inboxOfShard("test", "x", 1));
    expect(settle(work().token, { 0: FAILED, 1: DONE, 2: DONE }, true).kind).toBe("waiting");
    admit(2, inboxOfShard("test", "x", 1));
    expect(lent(work())).toEqual([3, 4]);
  });
});

describe("after a permanent failure", () => {
  test("the key goes on where its source says so", () => {
    admit(3);
    settle(work().token, { 0: REFUSED, 1: DONE });
    expect([stateOf(0), stateOf(1), inbox.owed.has(0)]).toEqual(["dead", "settled", true]);
    expect(lent(work())).toEqual([2]);
  });

  test("the key pauses where its source says so; what was done in the same flight counts", () => {
    policy = { ...policy, afterPermanentFailure: "pause" };
    admit(4);
    const next = settle(work().token, { 0: DONE, 1: REFUSED, 2: DONE }, true);
    expect(next).toMatchObject({ kind: "paused" });
    expect([0, 1, 2, 3].map(stateOf)).toEqual(["settled", "dead", "settled", "queued"]);
    expect(inbox.log).toMatchObject([{ kind: "paused", detail: "policy: event 1 is dead: forbidden" }]);
    resumeInbox(inbox, "fixed", "ada", moment());
    expect(lent(work())).toEqual([3]);
  });

  test("an event is dead with its permanent failure once its other effects have ended", () => {
    admit(1);
    const answer = takeEvents(inbox, "test", moment());
    if (answer.kind !== "work") throw new Error(answer.kind);
    planEvents(inbox, answer.token, [{ sequence: 0, effects: [deliver, deliver], failure: null }], moment());
    const both = (second: EffectResult) => [{ sequence: 0, effects: [REFUSED, { ...second, index: 1 }] }];
    settleEvents(inbox, { token: answer.token, results: both(FAILED), renew: false }, moment());
    expect(stateOf(0)).toBe("queued");
    nowMs += HOUR_MS;
    const { token } = work();
    settleEvents(inbox, { token, results: both(DONE), renew: false }, moment());
    expect(inbox.event(0)).toMatchObject({
      state: "dead",
      failure: { code: "forbidden" },
      effects: [{ state: "failed" }, { state: "done" }],
    });
  });
});

describe("an event that was readmitted", () => {
  const readmit = (sequence: number) =>
    readmitEvent(inbox, { id: String(sequence), digest: String(sequence), generation: 0 }, moment());

  test("does not keep newer ones waiting where the key goes on", () => {
    admit(2);
    settle(work().token, { 0: REFUSED });
    readmit(0);
    const first = work();
    expect(lent(first)).toEqual([0]);
    settle(first.token, { 0: FAILED });
    expect(lent(work())).toEqual([1]);
  });

  test("takes turns with the newer ones, one at a time and the earliest first, so that a large replay starves neither", () => {
    admit(200);
    for (let flight = 0; flight < 2; flight += 1) {
      const { token, events } = work();
      settle(token, Object.fromEntries(events.map(({ sequence }) => [sequence, REFUSED])));
    }
    for (let sequence = 99; sequence >= 0; sequence -= 1) {
      nowMs += 1;
      readmit(sequence);
    }
    const flights: string[] = [];
    for (let flight = 0; flight < 6; flight += 1) {
      const { token, events } = work();
      flights.push(`${events.length} from ${events[0]?.sequence}`);
      settle(token, Object.fromEntries(events.map(({ sequence }) => [sequence, DONE])));
    }
    expect(flights).toEqual(["1 from 0", "50 from 100", "1 from 1", "50 from 150", "1 from 2", "1 from 3"]);
  });

  test("keeps its place where the key pauses", () => {
    policy = { ...policy, afterPermanentFailure: "pause" };
    admit(2);
    settle(work().token, { 0: REFUSED });
    readmit(0);
    resumeInbox(inbox, "fixed", "ada", moment());
    const first = work();
    expect(lent(first)).toEqual([0, 1]);
    expect(settle(first.token, { 0: FAILED }, true).kind).toBe("waiting");
  });

  test("rings at once: nobody else does", () => {
    admit(1);
    settle(work().token, { 0: REFUSED });
    ringInbox(inbox, moment());
    readmit(0);
    expect(inboxAlarmMs(inbox, moment())).toBe(nowMs);
  });
});

describe("the time budget", () => {
  /** Fails the head until it is dead; the time that took. */
  function failUntilDead(): number {
    const fromMs = nowMs;
    while (stateOf(0) === "queued") {
      const answer = takeEvents(inbox, "test", moment());
      if (answer.kind === "waiting") nowMs += answer.dueInMs;
      else settle(work(answer).token, { 0: FAILED });
    }
    return nowMs - fromMs;
  }

  test("ends a transient failure after its time, as given up, and says the last failure", () => {
    admit(1);
    const tookMs = failUntilDead();
    expect(tookMs).toBeGreaterThanOrEqual(24 * HOUR_MS);
    expect(tookMs).toBeLessThan(26 * HOUR_MS);
    expect(inbox.event(0)?.failure).toMatchObject({
      code: "gave_up",
      message: "last failure: endpoint_error: 503",
    });
  });

  test("does not run while the inbox is paused", () => {
    policy = { ...policy, giveUpAfterSeconds: 3600 };
    admit(1);
    settle(work().token, { 0: FAILED });
    pauseInbox(inbox, "maintenance", "ada", moment());
    nowMs += 3 * HOUR_MS;
    resumeInbox(inbox, "done", "ada", moment());
    settle(work().token, { 0: FAILED });
    expect(stateOf(0)).toBe("queued");
  });

  test("does not run while an event waits behind others, or for a consumer", () => {
    policy = { ...policy, giveUpAfterSeconds: 3600 };
    admit(2);
    nowMs += 48 * HOUR_MS;
    settle(work().token, { 0: DONE, 1: FAILED });
    expect(stateOf(1)).toBe("queued");
    nowMs += 48 * HOUR_MS;
    settle(work().token, { 1: FAILED });
    expect(stateOf(1)).toBe("queued");
  });

  test("begins anew with a readmission", () => {
    admit(1);
    failUntilDead();
    readmitEvent(inbox, { id: "0", digest: "0", generation: 0 }, moment());
    settle(work().token, { 0: FAILED });
    expect(stateOf(0)).toBe("queued");
  });
});

test("an event that kills its consumers is found out, and those around it are settled", () => {
  policy = { ...policy, giveUpAfterSeconds: 600 };
  admit(5);
  for (let turn = 0; turn < 200 && inbox.header.counts.settled + inbox.header.counts.dead < 5; turn += 1) {
    const answer = takeEvents(inbox, "test", moment());
    if (answer.kind === "waiting") {
      nowMs += answer.dueInMs;
      continue;
    }
    const { token, leaseMs, events } = work(answer);
    const sequences = events.map(({ sequence }) => sequence);
    if (sequences.includes(2)) nowMs += leaseMs;
    else settle(token, Object.fromEntries(sequences.map((sequence) => [sequence, DONE])));
  }
  expect([0, 1, 2, 3, 4].map(stateOf)).toEqual(["settled", "settled", "dead", "settled", "settled"]);
  expect(inbox.event(2)?.failure).toMatchObject({ code: "gave_up" });
});

describe("a head that is skipped while a consumer has it", () => {
  const skip = () => skipHead(inbox, { reason: "poison", actor: "ada", sequence: null }, moment());
  const occupied = () => takeEvents(inbox, "another", moment()).kind === "occupied";

  test("is dead at once, and its consumer stays the only one, whose word counts for the others alone", () => {
    admit(4);
    const { token } = work();
    expect(skip()).toBe(0);
    expect([stateOf(0), inbox.owed.has(0), occupied()]).toEqual(["dead", true, true]);
    const next = settle(token, { 0: DONE, 1: DONE }, true);
    expect(next).toMatchObject({ kind: "work", events: [{ sequence: 2 }, { sequence: 3 }] });
    expect([stateOf(0), stateOf(1)]).toEqual(["dead", "settled"]);
    expect(inbox.header.attempts).toEqual({ done: 1 });
  });

  test.each([
    ["continue", inboxOfKey("test", "key")],
    ["pause", inboxOfKey("test", "key")],
    ["continue", inboxOfShard("test", "x", 1)],
  ] as const)(
    "may be all that it has, one by one (%s, %o): the key goes on when it settles",
    (after, address) => {
      policy = { ...policy, afterPermanentFailure: after };
      admit(2, address);
      const { token } = work();
      admit(1, address);
      expect([skip(), skip(), occupied()]).toEqual([0, 1, true]);
      const next = settle(token, { 0: DONE, 1: FAILED }, true);
      expect(next).toMatchObject({ kind: "work", events: [{ sequence: 2 }] });
      expect([0, 1, 2].map(stateOf)).toEqual(["dead", "dead", "queued"]);
    },
  );

  test("keeps those behind it waiting no longer than the lease, and costs them no attempt", () => {
    admit(2);
    const { leaseMs } = work();
    skip();
    nowMs += leaseMs - 1;
    expect([occupied(), ringInbox(inbox, moment()).doorbell]).toEqual([true, false]);
    nowMs += 1;
    expect(ringInbox(inbox, moment()).doorbell).toBe(true);
    expect(work().events).toMatchObject([{ sequence: 1, attempt: 1 }]);
  });

  test("is replayed with what its consumer planned for it meanwhile", () => {
    admit(1);
    const answer = takeEvents(inbox, "test", moment());
    if (answer.kind !== "work") throw new Error(answer.kind);
    skip();
    planEvents(inbox, answer.token, [{ sequence: 0, effects: [deliver], failure: null }], moment());
    expect(inbox.event(0)).toMatchObject({ state: "dead", effects: [{ effect: deliver, state: "failed" }] });
    settle(answer.token, { 0: DONE });
    readmitEvent(inbox, { id: "0", digest: "0", generation: 0 }, moment());
    expect(work().events).toMatchObject([{ effects: [{ effect: deliver, state: "pending" }] }]);
  });
});

test("a head that is settled while an operator skips it does not make the next one be given up", () => {
  admit(3);
  settle(work().token, { 0: DONE });
  const skip = (sequence: number) => skipHead(inbox, { reason: "poison", actor: "ada", sequence }, moment());
  expect(skip(0)).toBeNull();
  expect(skip(2)).toBeNull();
  expect([0, 1, 2].map(stateOf)).toEqual(["settled", "queued", "queued"]);
  expect(skip(1)).toBe(1);
  expect([0, 1, 2].map(stateOf)).toEqual(["settled", "dead", "queued"]);
});

test("doorbells that nobody answers come ever more slowly, down to one a minute", () => {
  admit(1);
  const gaps: number[] = [];
  for (let ring = 0; ring < 7; ring += 1) {
    const atMs = inboxAlarmMs(inbox, moment()) ?? 0;
    gaps.push(atMs - nowMs);
    nowMs = atMs;
    expect(ringInbox(inbox, moment()).doorbell).toBe(true);
  }
  expect(gaps).toEqual([3000, 3000, 6000, 12_000, 24_000, 48_000, 60_000]);
});

test("what is settled is forgotten after its retention, so that its id is free; what is dead is kept", () => {
  policy = { ...policy, retentionSeconds: 3600 };
  admit(2);
  settle(work().token, { 0: DONE, 1: REFUSED });
  nowMs += 2 * HOUR_MS;
  ringInbox(inbox, moment());
  expect([inbox.sequenceOf("0"), inbox.sequenceOf("1")]).toEqual([undefined, 1]);
  expect(inbox.bodyOf(1)).toBe("{}");
  expect(inbox.header.counts).toEqual({ settled: 1, dead: 1, pruned: 1 });
});

test("a letter that the ledger does not take is sent ever more rarely, and never given up: no flood meets it when it is back", () => {
  admit(1);
  settle(work().token, { 0: REFUSED });
  const endMs = nowMs + 24 * HOUR_MS;
  const sentAtMs: number[] = [];
  while (nowMs < endMs) {
    if (ringInbox(inbox, moment()).letters.length > 0) sentAtMs.push(nowMs);
    nowMs = inboxAlarmMs(inbox, moment()) ?? endMs;
  }
  expect(sentAtMs.slice(0, 4).map((atMs) => atMs - (sentAtMs[0] ?? 0))).toEqual([0, 30_000, 60_000, 120_000]);
  expect(sentAtMs.length).toBeGreaterThan(100);
  expect(sentAtMs.length).toBeLessThan(200);
});
