import { beforeEach, expect, test } from "vitest";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import { feesOf } from "../../consumers/signers/evm-transaction.ts";
import { localKeySigner } from "../../consumers/signers/local-key.ts";
import type { Failure } from "../../domain/failure.ts";
import { parseAccount } from "../../domain/ids.ts";
import {
  ACCOUNT,
  accepted,
  begin,
  entry,
  live,
  moment,
  record,
  refused,
  script,
  sendAll,
  settleWith,
  stateOf,
  takeWork,
  uncertain,
} from "../model/lane-script.ts";

beforeEach(begin);

const GWEI = 1_000_000_000n;
const parsed = parseAccount(ACCOUNT);
if (!parsed.ok) throw new Error(parsed.error);
const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const broadcaster = evmBroadcaster({
  account: parsed.value,
  chain: { rpcUrl: "http://127.0.0.1:1/", policy: { rpcTimeoutSeconds: 1 } },
  signer: localKeySigner({ account: parsed.value, key: { env: "KEY" }, env: { KEY } }),
});
const slot = () => {
  const open = script.lane.slots.get(0);
  if (open === undefined) throw new Error("the slot is gone");
  return open;
};

/** A directive that is given up: its number is to be burnt. */
function giveUp(): void {
  const flight = live("a");
  record(flight.token, entry(0, "a"));
  settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
  script.nowMs += 3_600_000;
  settleWith(takeWork().token, { outcomes: [{ hash: "h-0-a", outcome: refused("insufficient_funds") }] });
  expect(stateOf("a")).toBe("review");
}

/** The node refuses the no-op each time. The tips that were offered, and the seconds between the tries. */
async function burnInVain(tries: number, code: Failure["code"]) {
  const tips: bigint[] = [];
  const waits: number[] = [];
  for (let round = 0; round < tries; round += 1) {
    waits.push((slot().resendAtMs - script.nowMs) / 1000);
    script.nowMs = slot().resendAtMs;
    const { token, burns } = takeWork();
    expect(burns).toHaveLength(1);
    // The market does not move: 1 gwei of tip, 2 gwei at the most.
    const signed = await broadcaster.sign(
      { maxPriorityFeePerGas: GWEI, maxFeePerGas: 2n * GWEI, noOpGas: 21_000n },
      burns.map(({ sequence, replaces }) => ({ sequence, action: null, replaces })),
    );
    if (!signed.ok) throw new Error(signed.error.message);
    const [noop] = signed.value;
    if (noop === undefined) throw new Error("nothing signed");
    tips.push(feesOf(noop.raw)?.maxPriorityFeePerGas ?? 0n);
    expect(record(token, { ...entry(0, null), ...noop })).toEqual({ kind: "recorded" });
    settleWith(token, {
      outcomes: [{ hash: noop.hash, outcome: refused(code) }],
      reading: { sequence: 0 },
    });
  }
  return { tips, waits };
}

test.each(["insufficient_funds", "pool_full", "invalid_transaction"] as const)(
  "a no-op that the node refuses with %s raises no later one's price",
  async (code) => {
    giveUp();
    const { tips } = await burnInVain(120, code);
    expect(new Set(tips)).toEqual(new Set([GWEI]));
  },
);

test("a no-op that the pool has room for at a higher fee is raised, as often as a bump is", async () => {
  giveUp();
  const { tips } = await burnInVain(120, "nonce_occupied");
  expect(new Set(tips).size).toBe(moment().policy.maxBumps + 1);
  expect(tips.at(-1)).toBeLessThan(2n * GWEI);
});

test.each(["insufficient_funds", "nonce_occupied"] as const)(
  "a no-op that is refused with %s again and again leaves no transaction behind for each try",
  async (code) => {
    giveUp();
    await burnInVain(120, code);
    expect(slot().transactions.length).toBeLessThan(moment().policy.maxBumps + 2);
  },
);

test("a no-op that the node refuses is tried ever more rarely, and for as long as it takes", async () => {
  giveUp();
  const { waits } = await burnInVain(120, "insufficient_funds");
  const { rebroadcastAfterSeconds } = moment().policy;
  expect(waits[1]).toBeLessThan(3);
  for (const wait of waits.slice(10)) expect(wait).toBeGreaterThanOrEqual(rebroadcastAfterSeconds);
  expect(waits.at(-1)).toBeLessThan(rebroadcastAfterSeconds + 1);
});

test("a burn whose number the chain has used already waits for the evidence", () => {
  giveUp();
  for (let flights = 0; flights < 3; flights += 1) {
    script.nowMs = slot().resendAtMs;
    const { token, burns } = takeWork();
    expect(burns).toHaveLength(1);
    settleWith(token, { reading: { sequence: 1 } });
  }
  const { rebroadcastAfterSeconds } = moment().policy;
  expect(slot().resendAtMs - script.nowMs).toBeGreaterThanOrEqual(rebroadcastAfterSeconds * 1000);
});

test("bytes that were exposed are outbid, however often a no-op was refused since", async () => {
  giveUp();
  await burnInVain(3, "insufficient_funds");
  script.nowMs = slot().resendAtMs;
  expect(takeWork().burns).toEqual([{ sequence: 0, replaces: ["0x"] }]);
});

test("a bump that the node refuses for want of funds is not outbid by the next, and is tried no oftener than `maxBumps`", () => {
  sendAll(live("a"));
  const { maxBumps } = moment().policy;
  for (let bump = 0; bump < maxBumps; bump += 1) {
    script.nowMs += 86_400_000;
    const { token, bumps } = takeWork();
    expect(bumps.map(({ replaces }) => replaces)).toEqual([["0x"]]);
    // The market does not move, so the bytes are the same each time.
    record(token, { ...entry(0, "a", "bumped"), raw: "0xb0" });
    settleWith(token, { outcomes: [{ hash: "bumped", outcome: refused("insufficient_funds") }] });
  }
  script.nowMs += 86_400_000;
  const { bumps, rebroadcast, token } = takeWork();
  expect([bumps, rebroadcast.map(({ hash }) => hash)]).toEqual([[], ["h-0-a"]]);
  settleWith(token, { outcomes: [{ hash: "h-0-a", outcome: accepted }] });
  expect(stateOf("a")).toBe("broadcast");
});
