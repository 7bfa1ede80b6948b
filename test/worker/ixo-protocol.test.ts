import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeEach, expect, test, vi } from "vitest";
import { parseAccount } from "../../domain/ids.ts";
import { IxoProtocol, type IxoStore } from "../../durable-objects/ixo-protocol.ts";
import { readIxoSettings } from "../../durable-objects/ixo-request.ts";
import { IxoStorage } from "../../durable-objects/ixo-storage.ts";
import { MemoryIxoStore } from "../unit/ixo-memory-store.ts";

type Stub = ReturnType<typeof env.SEQUENCER.getByName>;

const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);
const body = (chainSequence: number, accountNumber = 7) =>
  JSON.stringify({ chainId: "ixo-5", accountNumber, chainSequence });

/** As the client of the SDK calls. */
async function call(stub: Stub, chainSequence: number, signal?: AbortSignal): Promise<number> {
  const request = new Request("http://do/getSignerData", {
    method: "POST",
    body: body(chainSequence),
    ...(signal === undefined ? {} : { signal }),
  });
  const response = await stub.fetch(request);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json<{ sequence: number }>()).sequence;
}

async function nextOf(stub: Stub): Promise<number | undefined> {
  const response = await stub.fetch("http://do/status");
  const status = await response.json<{ data: Record<string, Record<string, { sequence: number }>> }>();
  return status.data["ixo-5"]?.["7"]?.sequence;
}

/** A protocol over the object's own rows, without a stagger and with a clock that the test sets. */
function protocolOver(store: IxoStore, now: () => number = Date.now): IxoProtocol {
  const settings = readIxoSettings({ IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: 0 });
  return new IxoProtocol(store, settings, new Map(), { now, wait: (ms) => scheduler.wait(ms) });
}

async function ask(protocol: IxoProtocol, text: string, path = "/getSignerData"): Promise<string> {
  const response = await protocol.fetch(new Request(`http://do${path}`, { method: "POST", body: text }));
  return `${response.status} ${await response.text()}`;
}

beforeEach(() => {
  // What it says of fall-backs is not what is tested here.
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});

test("an unchanged client gets consecutive numbers from an object of any name", async () => {
  const stub = env.SEQUENCER.getByName("global");
  expect(await Promise.all(range(0, 3).map(() => call(stub, 100)))).toEqual([100, 101, 102]);
});

test("100 callers at once without a stagger get 100 consecutive numbers", async () => {
  const answers = await runInDurableObject(env.SEQUENCER.getByName("global"), (_, state) => {
    const protocol = protocolOver(new IxoStorage(state.storage));
    return Promise.all(range(0, 100).map(() => ask(protocol, body(100))));
  });
  const expected = range(100, 100).map((sequence) => ({ accountNumber: 7, sequence, chainId: "ixo-5" }));
  expect(answers).toEqual(expected.map((answer) => `200 ${JSON.stringify(answer)}`));
});

test("callers that go while they wait leave no gap", async () => {
  const stub = env.SEQUENCER.getByName("global");
  const gone = new AbortController();
  const calls = range(0, 10).map((index) => call(stub, 100, index % 4 === 0 ? undefined : gone.signal));
  // It comes after them, so they wait when it is answered.
  await stub.fetch("http://do/status");
  gone.abort();
  const answers = await Promise.allSettled(calls);
  const numbers = answers.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
  expect(numbers).toEqual(range(100, numbers.length));
  expect(numbers.length).toBeLessThan(10);
  expect(await nextOf(stub)).toBe(100 + numbers.length);
});

test("an evicted object goes on where it was", async () => {
  const stub = env.SEQUENCER.getByName("global");
  await call(stub, 100);
  await evictDurableObject(stub);
  expect(await call(stub, 100)).toBe(101);
});

// Three thousand allocations, one after another: a machine that is busy with other tests takes its time for them.
test("an allocation writes as few rows with 3,000 accounts as with one", async () => {
  const written = await runInDurableObject(env.SEQUENCER.getByName("global"), async (_, state) => {
    let rows = 0;
    const exec: SqlStorage["exec"] = (query, ...bindings: SqlStorageValue[]) => {
      const cursor = state.storage.sql.exec(query, ...bindings);
      const results = cursor.toArray();
      rows += cursor.rowsWritten;
      return Object.assign(cursor, { toArray: () => results }) as never;
    };
    const sql = Object.assign(Object.create(state.storage.sql) as SqlStorage, { exec });
    const transactionSync = <Answer>(work: () => Answer) => state.storage.transactionSync(work);
    const protocol = protocolOver(new IxoStorage({ sql, transactionSync }));
    const rowsOf = async (text: string) => {
      const before = rows;
      expect(await ask(protocol, text)).toMatch(/^200 /);
      return rows - before;
    };
    const withId = (requestId: string) => JSON.stringify({ ...JSON.parse(body(5)), requestId });
    const first = [await rowsOf(body(5)), await rowsOf(body(5)), await rowsOf(withId("a"))];
    for (let account = 100; account < 3100; account += 1) await ask(protocol, body(5, account));
    return { first, last: [await rowsOf(body(5, 99)), await rowsOf(body(5, 99)), await rowsOf(withId("b"))] };
  });
  expect(written.last).toEqual(written.first);
  expect(Math.max(...written.first)).toBeLessThanOrEqual(4);
}, 60_000);

test("rows and memory give the same answers, whatever is called and with the object thrown away at every step", async () => {
  const step = fc.record({
    pauseMs: fc.integer({ min: 0, max: 20_000 }),
    path: fc.constantFrom("/getSignerData", "/getSignerData", "/getSignerData", "/reset"),
    chainId: fc.constantFrom("ixo-5", "__proto__"),
    accountNumber: fc.constantFrom(1, Number.MAX_SAFE_INTEGER),
    chainSequence: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constantFrom(90_000, 1e12)),
    requestId: fc.option(fc.constantFrom("a", "b"), { nil: undefined }),
  });
  await runInDurableObject(env.SEQUENCER.getByName("global"), async (_, state) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const memory = new MemoryIxoStore();
        await ask(protocolOver(new IxoStorage(state.storage)), "", "/reset");
        state.storage.sql.exec("DELETE FROM ixo_lanes");
        let nowMs = 1_700_000_000_000;
        for (const { pauseMs, path, ...text } of steps) {
          nowMs += pauseMs;
          const stores = [memory, new IxoStorage(state.storage)];
          const [left, right] = await Promise.all(
            stores.map((store) =>
              ask(
                protocolOver(store, () => nowMs),
                JSON.stringify(text),
                path,
              ),
            ),
          );
          expect(right).toBe(left);
        }
        expect(new IxoStorage(state.storage).lanes().length).toBe(memory.lanes().length);
      }),
      { numRuns: 50 },
    );
  });
});

test("ids of requests are forgotten after 14 days, a few at a time", async () => {
  const left = await runInDurableObject(env.SEQUENCER.getByName("global"), (_, state) => {
    const store = new IxoStorage(state.storage);
    const pair = { chainId: "ixo-5", accountNumber: 7 };
    for (const day of range(0, 40)) store.putRequest(pair, `job-${day}`, day, day * 86_400_000);
    return range(0, 40).filter((day) => store.requested(pair, `job-${day}`) !== null);
  });
  expect(left).toEqual(range(25, 15));
});

test("an object that serves such clients has no lane and no alarm", async () => {
  const stub = env.SEQUENCER.getByName("global");
  await call(stub, 100);
  expect(await runInDurableObject(stub, (_, state) => state.storage.getAlarm())).toBe(null);
  expect(await runDurableObjectAlarm(stub)).toBe(false);
  expect((await stub.status()).counts).toEqual({ admitted: 0, settled: 0, dead: 0, inFlight: 0 });
});

test("a lane goes on as it was beside such clients in one object, and they beside it", async () => {
  const parsed = parseAccount("eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
  if (!parsed.ok) throw new Error(parsed.error);
  const account = parsed.value.id;
  const stub = env.SEQUENCER.getByName(account);
  await stub.admit(account, [{ id: "a", digest: "d", payload: "{}", expiresAtMs: null }]);
  const before = await stub.status();
  const alarm = await runInDurableObject(stub, (_, state) => state.storage.getAlarm());
  expect(await call(stub, 100)).toBe(100);
  await stub.fetch("http://do/reset", { method: "POST" });
  expect(await stub.status()).toEqual(before);
  expect(await runInDurableObject(stub, (_, state) => state.storage.getAlarm())).toBe(alarm);
});

test.each([["abc"], [""], ["-5"]])("with a stagger of %j every call answers 500", async (delay) => {
  const settings = readIxoSettings({ IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: delay });
  const answer = await runInDurableObject(env.SEQUENCER.getByName("global"), (_, state) =>
    ask(
      new IxoProtocol(new IxoStorage(state.storage), settings, new Map(), {
        now: Date.now,
        wait: (ms) => scheduler.wait(ms),
      }),
      body(100),
    ),
  );
  expect(answer).toMatch(/^500 .*IXO_CLIENT_SEQUENCE_MIN_DELAY_MS/);
});
