import { describe, expect, test, vi } from "vitest";
import { idle, IxoBench, PAIR, type Answer } from "./ixo-fixture.ts";

const FROM_100 = { ...PAIR, chainSequence: 100 };
const NO_STAGGER = { IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: "0" };

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

/** What calls that are all under way at once are answered, and after how many milliseconds; null without a number. */
function together(bench: IxoBench, calls: readonly (() => Promise<Answer>)[]) {
  const startMs = bench.clock.nowMs;
  return Promise.all(
    calls.map(async (call) => {
      const { sequence = null } = await call();
      return { sequence, afterMs: bench.clock.nowMs - startMs };
    }),
  );
}

describe("numbers", () => {
  test("100 callers at once get 100 consecutive numbers, the first at once and one more each 400 ms", async () => {
    const bench = new IxoBench();
    const calls = together(
      bench,
      range(0, 100).map(() => () => bench.call(FROM_100)),
    );
    await bench.clock.advance(40_000);
    expect(await calls).toEqual(
      range(0, 100).map((index) => ({ sequence: 100 + index, afterMs: index * 400 })),
    );
  });

  test("100 callers at once without a stagger get 100 consecutive numbers", async () => {
    const bench = new IxoBench(NO_STAGGER);
    const numbers = await Promise.all(range(0, 100).map(() => bench.sequence(100)));
    expect(numbers).toEqual(range(100, 100));
  });

  test("an account that was idle for 7.1 s with its transaction pending gets the next number", async () => {
    const bench = new IxoBench();
    expect(await bench.sequence(100)).toBe(100);
    await bench.clock.advance(7100);
    expect(await bench.sequence(100)).toBe(101);
  });

  test("numbers go on from the chain when somebody else used some", async () => {
    const bench = new IxoBench(NO_STAGGER);
    expect(await bench.sequence(100)).toBe(100);
    expect(await bench.sequence(140)).toBe(140);
  });

  test("a caller that read the chain before the others does not get a number of theirs", async () => {
    const bench = new IxoBench(NO_STAGGER);
    await bench.sequence(100);
    await bench.sequence(101);
    expect(await bench.sequence(100)).toBe(102);
  });

  test("one account does not wait for another: 20 accounts with a stagger of 100 ms are all answered at once", async () => {
    const bench = new IxoBench({ IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: "100" });
    const answers = await Promise.all(
      range(0, 20).map((accountNumber) => bench.call({ chainId: "ixo-5", accountNumber, chainSequence: 5 })),
    );
    expect(answers.map(({ sequence }) => sequence)).toEqual(range(0, 20).map(() => 5));
  });

  test("the same account number on two chains is two accounts", async () => {
    const bench = new IxoBench();
    expect((await bench.call({ chainId: "ixo-5", accountNumber: 1, chainSequence: 5 })).sequence).toBe(5);
    expect((await bench.call({ chainId: "pandora-8", accountNumber: 1, chainSequence: 9 })).sequence).toBe(9);
  });

  test("a new object over the same rows goes on with the numbers and with the stagger", async () => {
    const bench = new IxoBench();
    await bench.sequence(100);
    bench.evict();
    let answered: number | null = null;
    const second = bench.sequence(100).then((sequence) => (answered = sequence));
    await bench.clock.advance(399);
    expect(answered).toBe(null);
    await bench.clock.advance(1);
    expect(await second).toBe(101);
  });

  test("a call beyond 1,000 that wait for one account is refused, and others are not", async () => {
    const bench = new IxoBench();
    const calls = Promise.all(range(0, 1001).map(() => bench.call({ ...PAIR, chainSequence: 0 })));
    await idle();
    const other = await bench.call({ chainId: "ixo-5", accountNumber: 8, chainSequence: 0 });
    expect(other.status).toBe(200);
    await bench.clock.advance(400 * 1001);
    const statuses = (await calls).map(({ status }) => status);
    expect(statuses.filter((status) => status === 503)).toHaveLength(1);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1000);
  });
});

describe("callers that have gone", () => {
  test("of 10 callers 7 go before their turn, and the numbers of the other 3 have no gap", async () => {
    const bench = new IxoBench();
    const gone = new AbortController();
    const stays = (index: number) => index === 0 || index === 4 || index === 9;
    const calls = together(
      bench,
      range(0, 10).map((index) => () => bench.call(FROM_100, stays(index) ? undefined : gone.signal)),
    );
    await bench.clock.advance(350);
    gone.abort();
    await bench.clock.advance(800);
    const numbers = (await calls).map(({ sequence }) => sequence);
    expect(numbers).toEqual([100, null, null, null, 101, null, null, null, null, 102]);
    const after = bench.sequence(100);
    await bench.clock.advance(400);
    expect(await after).toBe(103);
  });

  test("one that goes at the head of the line does not hold up the rest", async () => {
    const bench = new IxoBench();
    await bench.sequence(100);
    const gone = new AbortController();
    const head = bench.call(FROM_100, gone.signal);
    const rest = bench.sequence(100);
    await bench.clock.advance(100);
    gone.abort();
    await bench.clock.advance(300);
    expect(await head).toMatchObject({ status: 499 });
    expect(await rest).toBe(101);
  });
});

describe("requests with an id", () => {
  test("a redelivered request gets the number that it got, at once, and uses no second one up", async () => {
    const bench = new IxoBench();
    const request = { ...PAIR, chainSequence: 100, requestId: "job-1" };
    expect((await bench.call(request)).sequence).toBe(100);
    const next = bench.sequence(100);
    await idle();
    expect((await bench.call(request)).sequence).toBe(100);
    await bench.clock.advance(400);
    expect(await next).toBe(101);
  });

  test("the same request twice in the line gets one number", async () => {
    const bench = new IxoBench();
    await bench.sequence(100);
    const twice = [1, 2].map(() => bench.call({ ...PAIR, chainSequence: 100, requestId: "job-1" }));
    const other = bench.sequence(100);
    await bench.clock.advance(800);
    expect((await Promise.all(twice)).map(({ sequence }) => sequence)).toEqual([101, 101]);
    expect(await other).toBe(102);
  });

  test("one id means two requests on two accounts", async () => {
    const bench = new IxoBench();
    const request = { chainId: "ixo-5", requestId: "job-1" };
    expect((await bench.call({ ...request, accountNumber: 1, chainSequence: 5 })).sequence).toBe(5);
    expect((await bench.call({ ...request, accountNumber: 2, chainSequence: 9 })).sequence).toBe(9);
  });

  test("a request keeps its number after numbers were given out again, of which the log tells", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const bench = new IxoBench(NO_STAGGER);
    const request = { ...PAIR, chainSequence: 100, requestId: "job-1" };
    await bench.call(request);
    await bench.clock.advance(30_000);
    expect(await bench.sequence(100)).toBe(100);
    expect((await bench.call(request)).sequence).toBe(100);
    const line = { at: "ixo.fell-back", ...PAIR, why: "lost", from: 101, to: 100 };
    expect(warn.mock.calls).toEqual([[JSON.stringify(line)]]);
    warn.mockRestore();
  });
});

describe("reset", () => {
  test("the next reading is adopted, lower or higher, and other accounts are as they were", async () => {
    const bench = new IxoBench(NO_STAGGER);
    const other = { chainId: "ixo-5", accountNumber: 8 };
    await bench.call({ ...other, chainSequence: 40 });
    await bench.sequence(100);
    expect(await bench.reset(PAIR)).toBe(200);
    expect(await bench.sequence(90)).toBe(90);
    await bench.reset(PAIR);
    expect(await bench.sequence(2_000_000)).toBe(2_000_000);
    expect((await bench.call({ ...other, chainSequence: 40 })).sequence).toBe(41);
  });

  test("without a body it is for every account", async () => {
    const bench = new IxoBench(NO_STAGGER);
    await bench.sequence(100);
    await bench.call({ chainId: "pandora-8", accountNumber: 1, chainSequence: 5 });
    expect(await bench.reset()).toBe(200);
    expect((await bench.fetch("/status")).body).toEqual({ data: {}, minDelayMs: 0 });
    expect(await bench.sequence(90)).toBe(90);
  });

  test("those in the line get consecutive numbers, and the stagger goes on", async () => {
    const bench = new IxoBench();
    await bench.sequence(100);
    const calls = together(bench, [() => bench.call(FROM_100), () => bench.call(FROM_100)]);
    await bench.clock.advance(200);
    await bench.reset(PAIR);
    await bench.clock.advance(1000);
    expect(await calls).toEqual([
      { sequence: 100, afterMs: 400 },
      { sequence: 101, afterMs: 800 },
    ]);
  });

  test("a call after it waits for the stagger of the one before it", async () => {
    const bench = new IxoBench();
    await bench.sequence(100);
    await bench.reset(PAIR);
    const calls = together(bench, [() => bench.call(FROM_100)]);
    await bench.clock.advance(1000);
    expect(await calls).toEqual([{ sequence: 100, afterMs: 400 }]);
  });

  test("it forgets the ids of requests", async () => {
    const bench = new IxoBench(NO_STAGGER);
    await bench.call({ ...PAIR, chainSequence: 100, requestId: "job-1" });
    await bench.reset(PAIR);
    expect((await bench.call({ ...PAIR, chainSequence: 7, requestId: "job-1" })).sequence).toBe(7);
  });

  test.each(["{", "[]", "{}", '{"chainId":"ixo-5"}', '{"chainId":"ixo-5","accountNumber":"7"}'])(
    "the body %s is refused, and nothing is reset",
    async (body) => {
      const bench = new IxoBench(NO_STAGGER);
      await bench.sequence(100);
      const answer = await bench.fetch("/reset", { method: "POST", body });
      expect(answer.status).toBe(400);
      expect(JSON.stringify(answer.body)).toMatch(/^{"error":".+"}$/);
      expect(await bench.sequence(100)).toBe(101);
    },
  );
});

describe("refusals", () => {
  test.each([
    ["/nothing", "GET", 404],
    ["/", "POST", 404],
    ["/getSignerData", "GET", 405],
    ["/reset", "GET", 405],
    ["/status", "POST", 405],
  ])("%s with %s answers with an error and %d", async (path, method, status) => {
    const answer = await new IxoBench().fetch(path, { method });
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.body)).toMatch(/^{"error":".+"}$/);
  });

  test.each(["/getSignerData", "/reset", "/status", "/nothing"])(
    "with a wrong variable even %s answers 500 and names it",
    async (path) => {
      const bench = new IxoBench({ IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: "abc" });
      const answer = await bench.fetch(path, { method: path === "/status" ? "GET" : "POST" });
      expect(answer.status).toBe(500);
      expect(JSON.stringify(answer.body)).toContain("IXO_CLIENT_SEQUENCE_MIN_DELAY_MS");
    },
  );

  test("a wrong body uses no number up", async () => {
    const bench = new IxoBench(NO_STAGGER);
    await bench.sequence(100);
    expect((await bench.call({ ...PAIR, chainSequence: "100" })).status).toBe(400);
    expect(await bench.sequence(100)).toBe(101);
  });
});

test("the status shows each account by chain and number, however a chain is called", async () => {
  const bench = new IxoBench(NO_STAGGER);
  const polluting = { chainId: "__proto__", accountNumber: 1, chainSequence: 3 };
  expect(await bench.call(polluting)).toEqual({
    status: 200,
    chainId: "__proto__",
    accountNumber: 1,
    sequence: 3,
  });
  await bench.call({ chainId: "constructor", accountNumber: 1, chainSequence: 3 });
  await bench.sequence(100);
  const { body } = await bench.fetch("/status");
  expect(JSON.stringify(body)).toContain('"__proto__":{"1":{"sequence":4,');
  expect(body).toMatchObject({
    data: {
      "ixo-5": { 7: { sequence: 101, chainSequence: 100, unsettled: 1 } },
      constructor: { 1: { sequence: 4 } },
    },
    minDelayMs: 0,
  });
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(({} as Record<string, unknown>)["1"]).toBe(undefined);
});
