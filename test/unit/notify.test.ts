import { expect, test, vi } from "vitest";
import { CALL_BOUNDS } from "../../dlq/call-bounds.ts";
import { notify } from "../../dlq/notify.ts";

test("an inbox that never answers is no notification: whoever tells it hears so, and tells it again later", async () => {
  vi.useFakeTimers();
  try {
    const env = {
      WEBHOOK_INBOX: { getByName: () => ({ admit: () => new Promise<never>(() => undefined) }) },
      WEBHOOK_EVENTS: { send: vi.fn<() => Promise<void>>() },
    };
    const told = notify(env, { type: "alert.opened", id: "a1", key: "alerts", data: {}, atMs: 0 });
    const refused = expect(told).rejects.toThrow("no answer");
    await vi.advanceTimersByTimeAsync(CALL_BOUNDS.callMs);
    await refused;
    expect(env.WEBHOOK_EVENTS.send).not.toHaveBeenCalled();
  } finally {
    vi.useRealTimers();
  }
});
