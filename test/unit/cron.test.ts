import { afterEach, expect, test, vi } from "vitest";
import { runCron } from "../../dlq/cron.ts";

afterEach(() => vi.restoreAllMocks());

test("a job that fails stops no other, and is one line of the log", async () => {
  const lines: unknown[] = [];
  vi.spyOn(console, "error").mockImplementation((line) => lines.push(JSON.parse(String(line))));
  const done: string[] = [];
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await runCron({
    rejects: () => Promise.reject(new Error("D1 is away")),
    throws: () => {
      throw new RangeError("a bug");
    },
    // Waits for the one after it: they run side by side.
    first: async () => {
      await released;
      done.push("first");
    },
    second: async () => {
      release();
      done.push("second");
      await Promise.resolve();
    },
  });
  expect(done.toSorted()).toEqual(["first", "second"]);
  expect(lines).toEqual([
    { at: "dlq.cron", job: "throws", error: "a bug" },
    { at: "dlq.cron", job: "rejects", error: "D1 is away" },
  ]);
});
