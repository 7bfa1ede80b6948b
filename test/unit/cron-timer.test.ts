import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fireCron, startCron } from "../../ops/cron-timer.ts";

const URL = "http://127.0.0.1:8787";
let answers: (() => Promise<Response>)[];
let asked: string[];

beforeEach(() => {
  answers = [];
  asked = [];
  vi.useFakeTimers();
  vi.stubGlobal("fetch", (url: string) => {
    asked.push(url);
    return (answers.shift() ?? (() => Promise.resolve(new Response("ok"))))();
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("the cron runs at its pace until it is stopped", async () => {
  const cron = startCron(URL, 60);
  await vi.advanceTimersByTimeAsync(59_000);
  expect(asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(121_000);
  expect(asked).toHaveLength(3);
  expect(new Set(asked)).toEqual(new Set([`${URL}/cdn-cgi/local/scheduled?cron=*+*+*+*+*&format=json`]));
  await cron.stop();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toHaveLength(3);
});

test("a Worker that restarts misses its turn, and a slow one is not asked twice at once", async () => {
  let release = (_: Response): void => undefined;
  answers.push(
    () => Promise.reject(new TypeError("fetch failed")),
    () => Promise.resolve(new Response("exception", { status: 500 })),
    () => new Promise((resolve) => (release = resolve)),
  );
  const cron = startCron(URL, 60);
  await vi.advanceTimersByTimeAsync(300_000);
  expect(asked).toHaveLength(3);
  release(new Response("ok"));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(4);
  await cron.stop();
});

test("who runs it by hand hears that it failed", async () => {
  answers.push(() => Promise.resolve(new Response("exception", { status: 500 })));
  await expect(fireCron(URL)).rejects.toThrow("the cron answered 500: exception");
  await expect(fireCron(URL)).resolves.toBeUndefined();
});
