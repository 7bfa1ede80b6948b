import { parseTransaction } from "viem";
import { describe, expect, it } from "vitest";
import type { SignRequest } from "../../consumers/broadcasters/broadcaster.ts";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import { feesOf } from "../../consumers/signers/evm-transaction.ts";
import { localKeySigner } from "../../consumers/signers/local-key.ts";
import { parseAccount } from "../../domain/ids.ts";
import { ADDRESS, candidate, TO } from "./evm-chain.ts";

const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const FEES = { maxFeePerGas: 3_000n, maxPriorityFeePerGas: 1_000n };
const NO_OP_GAS = 30_123n;

async function fieldsOf(request: SignRequest, fees = FEES) {
  const account = parseAccount(`eip155:31337:${ADDRESS}`);
  if (!account.ok) throw new Error(account.error);
  const signer = localKeySigner({ account: account.value, key: { env: "K" }, env: { K: KEY } });
  const chain = { rpcUrl: "", policy: { rpcTimeoutSeconds: 1 } };
  const signed = await evmBroadcaster({ account: account.value, chain, signer }).sign(
    { ...fees, noOpGas: NO_OP_GAS },
    [request],
  );
  if (!signed.ok) return signed.error;
  const raw = signed.value[0]?.raw;
  if (raw?.startsWith("0x02") !== true) throw new Error("no type 2 transaction was signed");
  return { raw, ...parseTransaction(`0x02${raw.slice(4)}`) };
}

const noOp = (sequence: number, replaces: readonly string[] = []): SignRequest => ({
  sequence,
  action: null,
  replaces,
});

describe("a signature", () => {
  it("is over the directive's transaction at its sequence, with the fees of the moment", async () => {
    const { action } = candidate("a", { value: 5n, data: "0x0102" });
    expect(await fieldsOf({ sequence: 9, action: { action, gas: 30_000n }, replaces: [] })).toMatchObject({
      chainId: 31337,
      nonce: 9,
      to: TO,
      value: 5n,
      data: "0x0102",
      gas: 30_000n,
      ...FEES,
    });
  });

  it("of a no-op is over a transfer of nothing to the account itself", async () => {
    const fields = await fieldsOf(noOp(3));
    expect(fields).toMatchObject({ nonce: 3, to: ADDRESS, gas: NO_OP_GAS });
    // viem leaves out what is zero or empty.
    expect(fields).not.toHaveProperty("value");
    expect(fields).not.toHaveProperty("data");
  });

  it("outbids the highest of what it replaces, in both fees, by more than a tenth", async () => {
    const fields = async (fees: typeof FEES) => {
      const signed = await fieldsOf(noOp(3), fees);
      if (!("raw" in signed)) throw new Error(signed.message);
      return signed.raw;
    };
    const replaced = [
      await fields({ maxFeePerGas: 9_000n, maxPriorityFeePerGas: 100n }),
      await fields({ maxFeePerGas: 8_000n, maxPriorityFeePerGas: 4_000n }),
    ];
    expect(await fieldsOf(noOp(3, replaced))).toMatchObject({
      maxFeePerGas: 10_126n,
      maxPriorityFeePerGas: 4_501n,
    });
  });

  it("keeps the fees of the moment where they outbid already", async () => {
    const cheap = await fieldsOf(noOp(3), { maxFeePerGas: 10n, maxPriorityFeePerGas: 1n });
    if (!("raw" in cheap)) throw new Error(cheap.message);
    expect(await fieldsOf(noOp(3, [cheap.raw]))).toMatchObject(FEES);
  });

  it("is not given to an action of another kind of chain", async () => {
    const action = { type: "cosmos.messages", messages: [], memo: "", gas: null } as const;
    expect(await fieldsOf({ sequence: 0, action: { action, gas: 1n }, replaces: [] })).toMatchObject({
      code: "unsupported_action",
    });
  });
});

describe("the fees in raw bytes", () => {
  it.each([
    "",
    "0x",
    "0x02",
    "0x02c0",
    "0x02c20102",
    "0x02c3010203",
    "0xc0",
    "0x02f9",
    "0x02f8ff01",
    "nothing",
  ])("are not found in %j", (raw) => {
    expect(feesOf(raw)).toBeNull();
  });
});
