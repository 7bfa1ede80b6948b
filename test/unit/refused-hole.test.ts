import { beforeEach, expect, test, vi } from "vitest";
import { consumeDirectives } from "../../consumers/directives.ts";
import { defineConfig } from "../../domain/config.ts";
import { encodeMessage } from "../../domain/message.ts";
import type { Outcome } from "../../domain/outcome.ts";
import {
  ACCOUNT,
  accepted,
  begin,
  entry,
  live,
  record,
  refused as refusedWith,
  script,
  settleWith,
  takeWork,
} from "../model/lane-script.ts";
import { MemoryChain } from "../model/memory-chain.ts";
import { MemorySequencer } from "../model/memory-sequencer.ts";

beforeEach(() => {
  begin();
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});

const config = defineConfig({
  chains: {
    "eip155:31337": { rpcUrl: { env: "CHAIN_URL" }, signers: [{ account: ACCOUNT, key: { env: "KEY" } }] },
  },
});
const payload = (to: number) =>
  JSON.stringify({
    action: { type: "evm.transaction", to: `0x${to.toString(16).padStart(40, "0")}`, value: "1", data: "0x" },
  });
const occupied: Outcome = {
  kind: "refused",
  failure: { code: "nonce_occupied", message: "replacement transaction underpriced" },
};

test("a hole whose no-op the node refuses makes the lane wait, instead of asking the node again at once", async () => {
  let nowMs = 1_000_000;
  let preflights = 0;
  const chain = new MemoryChain((at) => {
    if (at === "preflight") preflights += 1;
    nowMs += 5;
  });
  const lane = new MemorySequencer(() => nowMs);
  await lane.admit(
    ACCOUNT,
    ["a", "b"].map((id, index) => ({ id, digest: id, payload: payload(index + 1), expiresAtMs: null })),
  );
  // Somebody else's transaction waits in the pool at number 0: whatever is sent there is refused. Number 1 is taken.
  chain.answers = [occupied, accepted, ...Array.from({ length: 1000 }, () => occupied)];
  const ends: string[] = [];
  await consumeDirectives(
    {
      queue: "directives",
      messages: [
        {
          id: "bell",
          attempts: 1,
          body: encodeMessage({ kind: "doorbell", account: ACCOUNT }),
          ack: () => void ends.push("ack"),
          retry: ({ delaySeconds }) => void ends.push(`retry ${delaySeconds}`),
        },
      ],
    },
    {
      SEQUENCER: { getByName: () => lane },
      DIRECTIVES: { send: async () => undefined },
      DIRECTIVES_DLQ: { send: async () => undefined },
    },
    {
      config,
      broadcasterOf: () => chain,
      registerLane: async () => undefined,
      now: () => nowMs,
      random: () => 0.5,
    },
  );
  expect(preflights).toBeLessThan(10);
  expect(ends).not.toContain("retry 0");
});

/** Two holes below an accepted transaction, and no directive to fill them. */
function holes(): void {
  const flight = live("a", "b", "c");
  record(flight.token, entry(0, "a"), entry(1, "b"), entry(2, "c"));
  settleWith(flight.token, {
    outcomes: [
      { hash: "h-0-a", outcome: refusedWith("intrinsic_gas_too_low") },
      { hash: "h-1-b", outcome: refusedWith("intrinsic_gas_too_low") },
      { hash: "h-2-c", outcome: accepted },
    ],
  });
}

function fill(outcome: Outcome): string {
  const { token, range } = takeWork();
  expect(range).toEqual([0, 1]);
  record(token, entry(0, null), entry(1, null));
  const answer = settleWith(token, {
    outcomes: ["h-0-null", "h-1-null"].map((hash) => ({ hash, outcome })),
    reading: { sequence: 0 },
    renew: true,
  });
  return answer.kind === "settled" ? answer.next.kind : answer.kind;
}

test("the wait grows with each flight whose no-ops are refused, once for all of them", () => {
  holes();
  let before = 0;
  for (let flights = 1; flights < 5; flights += 1) {
    expect(fill(occupied)).toBe("waiting");
    const { outage } = script.lane.header;
    expect(outage?.attempts).toBe(flights);
    const waitMs = (outage?.notBeforeMs ?? 0) - script.nowMs;
    expect(waitMs).toBeGreaterThanOrEqual(before);
    before = waitMs;
    script.nowMs += waitMs;
  }
  expect(before).toBeGreaterThan(1000);
});

test("the wait is over when the node takes them", () => {
  holes();
  fill(occupied);
  script.nowMs += 1000;
  fill(accepted);
  expect(script.lane.header.outage).toBeNull();
});
