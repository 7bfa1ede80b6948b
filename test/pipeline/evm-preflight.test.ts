import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { EvmTransactionAction } from "../../domain/directive.ts";
import {
  ALICE,
  evm,
  localChain,
  LOOPS,
  PAUPER,
  ready,
  REVERTS,
  STORES,
  transfer,
} from "./evm-local-chain.ts";

const chain = localChain();

async function verdictOf(action: Partial<EvmTransactionAction>, broadcaster = chain.alice) {
  return (await ready(broadcaster, [{ id: "it", action: evm(action) }])).verdicts.get("it");
}

describe("a preflight against a real chain", () => {
  it("reads the sequence of the latest block, not of the pool", async () => {
    expect((await ready(chain.alice)).reading).toEqual({ sequence: 0 });
    expect((await chain.outcomeOf(transfer(0))).outcome).toEqual({ kind: "accepted" });
    expect((await ready(chain.alice)).reading).toEqual({ sequence: 0 });
    await chain.rpc("evm_mine");
    expect((await ready(chain.alice)).reading).toEqual({ sequence: 1 });
  });

  it("offers fees that the chain takes for twice its base fee", async () => {
    const { terms } = await ready(chain.alice);
    const { baseFeePerGas } = z
      .object({ baseFeePerGas: z.string() })
      .parse(await chain.rpc("eth_getBlockByNumber", "latest", false));
    expect(terms.maxFeePerGas).toBe(2n * BigInt(baseFeePerGas) + terms.maxPriorityFeePerGas);
  });

  it("passes a plain transfer with 21000 gas", async () => {
    expect(await verdictOf({})).toEqual({ kind: "pass", gas: 21_000n });
  });

  it("passes a call with enough gas to run", async () => {
    const verdict = await verdictOf({ to: STORES, value: 0n });
    if (verdict?.kind !== "pass") throw new Error("the call was refused");
    const { signed, outcome } = await chain.outcomeOf({
      sequence: 0,
      action: { action: evm({ to: STORES, value: 0n }), gas: verdict.gas },
      replaces: [],
    });
    expect(outcome).toEqual({ kind: "accepted" });
    await chain.rpc("evm_mine");
    expect(await chain.alice.lookUp([signed.hash], 1)).toMatchObject({
      ok: true,
      value: { receipts: [{ success: true }] },
    });
  });

  it("refuses a revert with its reason", async () => {
    expect(await verdictOf({ to: REVERTS, value: 0n })).toEqual({
      kind: "refused",
      failure: { code: "execution_reverted", message: "execution reverted: nope!" },
    });
  });

  it.each([
    ["a call that needs more gas than it is given", { to: STORES, value: 0n, gas: 30_000n }, "out_of_gas"],
    ["a call that never ends", { to: LOOPS, value: 0n }, "out_of_gas"],
    ["gas below the cost of a transfer", { gas: 20_999n }, "intrinsic_gas_too_low"],
    ["gas that leaves the data out", { data: "0x0102030405", gas: 21_000n }, "intrinsic_gas_too_low"],
    ["gas above the block's", { gas: 400_000_000n }, "gas_limit_exceeded"],
    ["a value above the balance", { value: 10n ** 24n }, "insufficient_funds"],
    [
      "a call with a value above the balance",
      { to: STORES, data: "0x01", value: 10n ** 24n },
      "insufficient_funds",
    ],
  ] as const)("refuses %s", async (_, action, code) => {
    expect(await verdictOf(action)).toMatchObject({ kind: "refused", failure: { code } });
  });

  it("refuses everything of an account without funds as that, even without value", async () => {
    expect(await verdictOf({ value: 0n }, chain.broadcasterOf(PAUPER))).toMatchObject({
      kind: "refused",
      failure: { code: "insufficient_funds" },
    });
    expect(await verdictOf({ to: STORES, value: 0n }, chain.broadcasterOf(PAUPER))).toMatchObject({
      kind: "refused",
      failure: { code: "insufficient_funds" },
    });
  });

  it("judges 150 candidates each by itself", async () => {
    const candidates = Array.from({ length: 150 }, (_, index) => ({
      id: `d${index}`,
      action: evm(index % 3 === 0 ? { to: REVERTS, value: 0n } : {}),
    }));
    const { verdicts } = await ready(chain.alice, candidates);
    expect(candidates.map(({ id }) => verdicts.get(id)?.kind)).toEqual(
      candidates.map((_, index) => (index % 3 === 0 ? "refused" : "pass")),
    );
  });

  it("is an outage on an account of another chain", async () => {
    expect(await chain.broadcasterOf(ALICE, { chain: 1 }).preflight([])).toMatchObject({
      kind: "outage",
      failure: { code: "wrong_chain" },
    });
  });
});
