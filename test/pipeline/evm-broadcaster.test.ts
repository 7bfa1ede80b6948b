import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type {
  Broadcaster,
  Candidate,
  Signed,
  SignRequest,
} from "../../consumers/broadcasters/broadcaster.ts";
import type { EvmTerms } from "../../consumers/broadcasters/evm-context.ts";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import { localKeySigner } from "../../consumers/signers/local-key.ts";
import type { EvmTransactionAction } from "../../domain/directive.ts";
import { parseAccount } from "../../domain/ids.ts";
import { startAnvil, type Anvil } from "../../ops/anvil.ts";

const ALICE = {
  address: "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
  key: "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
};
const PAUPER = { address: "0xc06d73162e9bffbcfbf1da59c511002a8f9155e5", key: `0x${"11".repeat(31)}12` };
const BOB = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
/** Reverts with Error("nope!"). */
const REVERTS = "0x00000000000000000000000000000000000000a1";
/** Runs until the gas is gone. */
const LOOPS = "0x00000000000000000000000000000000000000a2";
/** Stores its caller: 22,100 gas beside the transaction's own. */
const STORES = "0x00000000000000000000000000000000000000a3";

let anvil: Anvil;
let alice: Broadcaster<EvmTerms>;

async function rpc(method: string, ...params: unknown[]): Promise<unknown> {
  const response = await fetch(anvil.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  return z.object({ result: z.unknown() }).parse(await response.json()).result;
}

function broadcasterOf(
  { address, key }: typeof ALICE,
  url = anvil.url,
  chain = 31337,
): Broadcaster<EvmTerms> {
  const account = parseAccount(`eip155:${chain}:${address}`);
  if (!account.ok) throw new Error(account.error);
  const signer = localKeySigner({ account: account.value, key: { env: "KEY" }, env: { KEY: key } });
  return evmBroadcaster({
    account: account.value,
    chain: { rpcUrl: url, policy: { rpcTimeoutSeconds: 20 } },
    signer,
  });
}

function evm(action: Partial<EvmTransactionAction> = {}): EvmTransactionAction {
  return { type: "evm.transaction", to: BOB, value: 1n, data: "0x", gas: null, ...action };
}

async function ready(broadcaster: Broadcaster<EvmTerms>, candidates: readonly Candidate[] = []) {
  const answer = await broadcaster.preflight(candidates);
  if (answer.kind !== "ready") throw new Error(`${answer.failure.code}: ${answer.failure.message}`);
  return answer;
}

async function verdictOf(action: Partial<EvmTransactionAction>, broadcaster = alice) {
  return (await ready(broadcaster, [{ id: "it", action: evm(action) }])).verdicts.get("it");
}

async function signedBy(
  broadcaster: Broadcaster<EvmTerms>,
  terms: EvmTerms,
  requests: readonly SignRequest[],
): Promise<readonly Signed[]> {
  const answer = await broadcaster.sign(terms, requests);
  if (!answer.ok) throw new Error(answer.error.message);
  return answer.value;
}

const transfer = (
  sequence: number,
  action: Partial<EvmTransactionAction> = {},
  gas = 21_000n,
): SignRequest => ({ sequence, action: { action: evm(action), gas } });

async function outcomeOf(request: SignRequest, broadcaster = alice, fees: Partial<EvmTerms> = {}) {
  const { terms } = await ready(broadcaster);
  const [signed] = await signedBy(broadcaster, { ...terms, ...fees }, [request]);
  if (signed === undefined) throw new Error("nothing was signed");
  return { signed, outcome: (await broadcaster.send([signed])).get(signed.hash) };
}

beforeAll(async () => {
  anvil = await startAnvil({ port: 0, quiet: true });
  alice = broadcasterOf(ALICE);
  const error = `08c379a0${"20".padStart(64, "0")}${"05".padStart(64, "0")}${Buffer.from("nope!").toString("hex").padEnd(64, "0")}`;
  await rpc("anvil_setCode", REVERTS, `0x6064600c60003960646000fd${error}`);
  await rpc("anvil_setCode", LOOPS, "0x5b600056");
  await rpc("anvil_setCode", STORES, "0x3360005500");
});

afterAll(async () => {
  await anvil.stop();
});

let snapshot: unknown;
beforeEach(async () => {
  // A revert uses its snapshot up, and empties the pool.
  if (snapshot !== undefined) await rpc("evm_revert", snapshot);
  await rpc("anvil_dropAllTransactions");
  snapshot = await rpc("evm_snapshot");
});

describe("a preflight against a real chain", () => {
  it("reads the sequence of the latest block, not of the pool", async () => {
    expect((await ready(alice)).reading).toEqual({ sequence: 0 });
    expect((await outcomeOf(transfer(0))).outcome).toEqual({ kind: "accepted" });
    expect((await ready(alice)).reading).toEqual({ sequence: 0 });
    await rpc("evm_mine");
    expect((await ready(alice)).reading).toEqual({ sequence: 1 });
  });

  it("offers fees that the chain takes for twice its base fee", async () => {
    const { terms } = await ready(alice);
    const { baseFeePerGas } = z
      .object({ baseFeePerGas: z.string() })
      .parse(await rpc("eth_getBlockByNumber", "latest", false));
    expect(terms.maxFeePerGas).toBe(2n * BigInt(baseFeePerGas) + terms.maxPriorityFeePerGas);
  });

  it("passes a plain transfer with 21000 gas", async () => {
    expect(await verdictOf({})).toEqual({ kind: "pass", gas: 21_000n });
  });

  it("passes a call with enough gas to run", async () => {
    const verdict = await verdictOf({ to: STORES, value: 0n });
    if (verdict?.kind !== "pass") throw new Error("the call was refused");
    const { signed, outcome } = await outcomeOf({
      sequence: 0,
      action: { action: evm({ to: STORES, value: 0n }), gas: verdict.gas },
    });
    expect(outcome).toEqual({ kind: "accepted" });
    await rpc("evm_mine");
    expect(await alice.lookUp([signed.hash], 1)).toMatchObject({
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
    expect(await verdictOf({ value: 0n }, broadcasterOf(PAUPER))).toMatchObject({
      kind: "refused",
      failure: { code: "insufficient_funds" },
    });
    expect(await verdictOf({ to: STORES, value: 0n }, broadcasterOf(PAUPER))).toMatchObject({
      kind: "refused",
      failure: { code: "insufficient_funds" },
    });
  });

  it("judges 150 candidates each by itself", async () => {
    const candidates = Array.from({ length: 150 }, (_, index) => ({
      id: `d${index}`,
      action: evm(index % 3 === 0 ? { to: REVERTS, value: 0n } : {}),
    }));
    const { verdicts } = await ready(alice, candidates);
    expect(candidates.map(({ id }) => verdicts.get(id)?.kind)).toEqual(
      candidates.map((_, index) => (index % 3 === 0 ? "refused" : "pass")),
    );
  });

  it("is an outage on an account of another chain", async () => {
    expect(await broadcasterOf(ALICE, anvil.url, 1).preflight([])).toMatchObject({
      kind: "outage",
      failure: { code: "wrong_chain" },
    });
  });
});

describe("a send to a real chain", () => {
  it("is accepted, and accepted again while it waits", async () => {
    const { signed, outcome } = await outcomeOf(transfer(0));
    expect(outcome).toEqual({ kind: "accepted" });
    expect((await alice.send([signed])).get(signed.hash)).toEqual({ kind: "accepted" });
  });

  it("is accepted again after it was mined", async () => {
    const { signed } = await outcomeOf(transfer(0));
    await rpc("evm_mine");
    expect((await alice.send([signed])).get(signed.hash)).toEqual({ kind: "accepted" });
  });

  it("is refused when another transaction has used its sequence", async () => {
    await outcomeOf(transfer(0));
    await rpc("evm_mine");
    expect((await outcomeOf(transfer(0, { value: 2n }))).outcome).toEqual({
      kind: "refused",
      failure: { code: "nonce_too_low", message: "nonce too low" },
    });
  });

  it("is refused when another transaction waits at its sequence", async () => {
    await outcomeOf(transfer(0));
    expect((await outcomeOf(transfer(0, { value: 2n }))).outcome).toMatchObject({
      kind: "refused",
      failure: { code: "nonce_occupied" },
    });
  });

  it("is refused when the account cannot pay", async () => {
    expect((await outcomeOf(transfer(0), broadcasterOf(PAUPER))).outcome).toMatchObject({
      kind: "refused",
      failure: { code: "insufficient_funds" },
    });
  });

  it("is refused with too little gas to begin", async () => {
    expect((await outcomeOf(transfer(0, {}, 20_000n))).outcome).toMatchObject({
      kind: "refused",
      failure: { code: "intrinsic_gas_too_low" },
    });
  });

  it("is refused with more gas than a block holds", async () => {
    expect((await outcomeOf(transfer(0, {}, 400_000_000n))).outcome).toMatchObject({
      kind: "refused",
      failure: { code: "gas_limit_exceeded" },
    });
  });

  it("is refused with a fee below the base fee", async () => {
    expect(
      (await outcomeOf(transfer(0), alice, { maxFeePerGas: 1n, maxPriorityFeePerGas: 1n })).outcome,
    ).toMatchObject({ kind: "refused", failure: { code: "fee_too_low" } });
  });

  it("is refused with a tip above the fee", async () => {
    expect(
      (
        await outcomeOf(transfer(0), alice, {
          maxFeePerGas: 2_000_000_000n,
          maxPriorityFeePerGas: 3_000_000_000n,
        })
      ).outcome,
    ).toMatchObject({ kind: "refused", failure: { code: "invalid_transaction" } });
  });

  it("is refused when it was signed for another chain", async () => {
    const elsewhere = broadcasterOf(ALICE, anvil.url, 1);
    const { terms } = await ready(alice);
    const [signed] = await signedBy(elsewhere, terms, [transfer(0)]);
    if (signed === undefined) throw new Error("nothing was signed");
    expect((await alice.send([signed])).get(signed.hash)).toMatchObject({
      kind: "refused",
      failure: { code: "invalid_transaction" },
    });
  });

  it("is refused when its bytes are no transaction", async () => {
    const hash = `0x${"00".repeat(32)}`;
    expect((await alice.send([{ hash, raw: "0x02c0" }])).get(hash)).toMatchObject({
      kind: "refused",
      failure: { code: "invalid_transaction" },
    });
  });

  it("decides each of a batch by itself", async () => {
    const { terms } = await ready(alice);
    const signed = await signedBy(alice, terms, [
      transfer(0),
      transfer(1, {}, 20_000n),
      transfer(2),
      transfer(0, { value: 2n }),
    ]);
    const outcomes = await alice.send(signed);
    expect(signed.map(({ hash }) => outcomes.get(hash)?.kind)).toEqual([
      "accepted",
      "refused",
      "accepted",
      "refused",
    ]);
  });

  it("over a gap is accepted, and waits for the gap to be filled", async () => {
    const { signed: late, outcome } = await outcomeOf(transfer(1));
    expect(outcome).toEqual({ kind: "accepted" });
    await rpc("evm_mine");
    expect(await alice.lookUp([late.hash], 1)).toMatchObject({
      ok: true,
      value: { sequence: 0, looked: [late.hash], receipts: [] },
    });
    const { signed: filler } = await outcomeOf({ sequence: 0, action: null });
    await rpc("evm_mine");
    expect(await alice.lookUp([filler.hash, late.hash], 1)).toMatchObject({
      ok: true,
      value: {
        sequence: 2,
        receipts: [
          { hash: filler.hash, success: true },
          { hash: late.hash, success: true },
        ],
      },
    });
  });

  it("is uncertain when nothing listens any more", async () => {
    const gone = await startAnvil({ port: 0, quiet: true });
    await gone.stop();
    const { terms } = await ready(alice);
    const signed = await signedBy(alice, terms, [transfer(0)]);
    expect([...(await broadcasterOf(ALICE, gone.url).send(signed)).values()]).toMatchObject([
      { kind: "uncertain", failure: { code: "network_error" } },
    ]);
  });
});

describe("a look-up on a real chain", () => {
  it("finds what was mined, with its end, and does not find what was not", async () => {
    const { terms } = await ready(alice);
    const [good, bad] = await signedBy(alice, terms, [
      transfer(0),
      transfer(1, { to: REVERTS, value: 0n }, 100_000n),
    ]);
    if (good === undefined || bad === undefined) throw new Error("nothing was signed");
    await alice.send([good, bad]);
    await rpc("evm_mine");
    const unknown = `0x${"ab".repeat(32)}`;
    const answer = await alice.lookUp([good.hash, bad.hash, unknown], 1);
    expect(answer).toMatchObject({
      ok: true,
      value: { sequence: 2, looked: [good.hash, bad.hash, unknown] },
    });
    expect(answer.ok && answer.value.receipts.map(({ hash, success }) => ({ hash, success }))).toEqual([
      { hash: good.hash, success: true },
      { hash: bad.hash, success: false },
    ]);
  });

  it("sees a transaction when its block is deep enough, not before", async () => {
    const { signed } = await outcomeOf(transfer(0));
    await rpc("evm_mine");
    expect(await alice.lookUp([signed.hash], 3)).toMatchObject({
      ok: true,
      value: { sequence: 0, receipts: [] },
    });
    await rpc("anvil_mine", "0x2");
    expect(await alice.lookUp([signed.hash], 3)).toMatchObject({
      ok: true,
      value: { sequence: 1, receipts: [{ hash: signed.hash, success: true }] },
    });
  });

  it("tells the end of 500 transactions", async () => {
    const { terms } = await ready(alice);
    const signed = await signedBy(
      alice,
      terms,
      Array.from({ length: 500 }, (_, sequence) => transfer(sequence)),
    );
    expect(new Set([...(await alice.send(signed)).values()].map(({ kind }) => kind))).toEqual(
      new Set(["accepted"]),
    );
    await rpc("evm_mine");
    const answer = await alice.lookUp(
      signed.map(({ hash }) => hash),
      1,
    );
    expect(answer.ok && answer.value.sequence).toBe(500);
    expect(answer.ok && answer.value.receipts.map(({ hash }) => hash)).toEqual(
      signed.map(({ hash }) => hash),
    );
  });

  it("forgets a block that was reorganized away", async () => {
    const { signed } = await outcomeOf(transfer(0));
    await rpc("anvil_mine", "0x2");
    expect(await alice.lookUp([signed.hash], 1)).toMatchObject({
      ok: true,
      value: { sequence: 1, receipts: [{ success: true }] },
    });
    await rpc("anvil_reorg", 2, []);
    expect(await alice.lookUp([signed.hash], 1)).toMatchObject({
      ok: true,
      value: { sequence: 0, looked: [signed.hash], receipts: [] },
    });
  });
});

describe("a local node", () => {
  it("is refused a port that is taken, by name of the port", async () => {
    const { port } = new URL(anvil.url);
    await expect(startAnvil({ port: Number(port), quiet: true })).rejects.toThrow(`port ${port} is taken`);
  });

  it("says why it ended when its arguments are wrong", async () => {
    await expect(startAnvil({ port: 0, quiet: true, args: ["--no-such-option"] })).rejects.toThrow(
      "--no-such-option",
    );
  });

  it("is gone after a stop, and answers no more", async () => {
    const node = await startAnvil({ port: 0, quiet: true });
    await node.stop();
    await node.stop();
    expect(() => process.kill(node.pid, 0)).toThrow("ESRCH");
    await expect(fetch(node.url)).rejects.toThrow("fetch failed");
  });
});
