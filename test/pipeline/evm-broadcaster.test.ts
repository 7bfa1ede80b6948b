import { describe, expect, it } from "vitest";
import { startAnvil } from "../../ops/anvil.ts";
import { ALICE, localChain, PAUPER, ready, REVERTS, signedBy, transfer } from "./evm-local-chain.ts";

const chain = localChain();

describe("a send to a real chain", () => {
  it("is accepted, and accepted again while it waits", async () => {
    const { signed, outcome } = await chain.outcomeOf(transfer(0));
    expect(outcome).toEqual({ kind: "accepted" });
    expect((await chain.alice.send([signed])).get(signed.hash)).toEqual({ kind: "accepted" });
  });

  it("is accepted again after it was mined", async () => {
    const { signed } = await chain.outcomeOf(transfer(0));
    await chain.rpc("evm_mine");
    expect((await chain.alice.send([signed])).get(signed.hash)).toEqual({ kind: "accepted" });
  });

  it("is uncertain when another transaction has used its sequence, until evidence says whose it was", async () => {
    await chain.outcomeOf(transfer(0));
    await chain.rpc("evm_mine");
    expect((await chain.outcomeOf(transfer(0, { value: 2n }))).outcome).toEqual({
      kind: "uncertain",
      failure: { code: "nonce_too_low", message: "nonce too low" },
    });
  });

  it("is uncertain when another transaction waits at its sequence", async () => {
    await chain.outcomeOf(transfer(0));
    expect((await chain.outcomeOf(transfer(0, { value: 2n }))).outcome).toMatchObject({
      kind: "uncertain",
      failure: { code: "nonce_occupied" },
    });
  });

  it("is uncertain when the account cannot pay, since another node may see its funds", async () => {
    expect((await chain.outcomeOf(transfer(0), chain.broadcasterOf(PAUPER))).outcome).toMatchObject({
      kind: "uncertain",
      failure: { code: "insufficient_funds" },
    });
  });

  it("is refused with too little gas to begin", async () => {
    expect((await chain.outcomeOf(transfer(0, {}, 20_000n))).outcome).toMatchObject({
      kind: "refused",
      failure: { code: "intrinsic_gas_too_low" },
    });
  });

  it("is uncertain with more gas than a block holds", async () => {
    expect((await chain.outcomeOf(transfer(0, {}, 400_000_000n))).outcome).toMatchObject({
      kind: "uncertain",
      failure: { code: "gas_limit_exceeded" },
    });
  });

  it("is uncertain with a fee below the base fee", async () => {
    expect(
      (await chain.outcomeOf(transfer(0), chain.alice, { maxFeePerGas: 1n, maxPriorityFeePerGas: 1n }))
        .outcome,
    ).toMatchObject({ kind: "uncertain", failure: { code: "fee_too_low" } });
  });

  it("is refused with a tip above the fee", async () => {
    expect(
      (
        await chain.outcomeOf(transfer(0), chain.alice, {
          maxFeePerGas: 2_000_000_000n,
          maxPriorityFeePerGas: 3_000_000_000n,
        })
      ).outcome,
    ).toMatchObject({ kind: "refused", failure: { code: "invalid_transaction" } });
  });

  it("is uncertain when it was signed for another chain", async () => {
    const elsewhere = chain.broadcasterOf(ALICE, { chain: 1 });
    const { terms } = await ready(chain.alice);
    const [signed] = await signedBy(elsewhere, terms, [transfer(0)]);
    if (signed === undefined) throw new Error("nothing was signed");
    expect((await chain.alice.send([signed])).get(signed.hash)).toMatchObject({
      kind: "uncertain",
      failure: { code: "wrong_chain" },
    });
  });

  it("is refused when its bytes are no transaction", async () => {
    const hash = `0x${"00".repeat(32)}`;
    expect((await chain.alice.send([{ hash, raw: "0x02c0" }])).get(hash)).toMatchObject({
      kind: "refused",
      failure: { code: "invalid_transaction" },
    });
  });

  it("decides each of a batch by itself", async () => {
    const { terms } = await ready(chain.alice);
    const signed = await signedBy(chain.alice, terms, [
      transfer(0),
      transfer(1, {}, 20_000n),
      transfer(2),
      transfer(0, { value: 2n }),
    ]);
    const outcomes = await chain.alice.send(signed);
    expect(signed.map(({ hash }) => outcomes.get(hash)?.kind)).toEqual([
      "accepted",
      "refused",
      "accepted",
      "uncertain",
    ]);
  });

  it("over a gap is accepted, and waits for the gap to be filled", async () => {
    const { signed: late, outcome } = await chain.outcomeOf(transfer(1));
    expect(outcome).toEqual({ kind: "accepted" });
    await chain.rpc("evm_mine");
    expect(await chain.alice.lookUp([late.hash], 1)).toMatchObject({
      ok: true,
      value: { sequence: 0, looked: [late.hash], receipts: [] },
    });
    const { signed: filler } = await chain.outcomeOf({ sequence: 0, action: null, replaces: [] });
    await chain.rpc("evm_mine");
    expect(await chain.alice.lookUp([filler.hash, late.hash], 1)).toMatchObject({
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

  it("of a no-op replaces what waits at its sequence, and is what is mined there", async () => {
    const { signed: stuck } = await chain.outcomeOf(transfer(0));
    const { signed: burn, outcome } = await chain.outcomeOf({
      sequence: 0,
      action: null,
      replaces: [stuck.raw],
    });
    expect(outcome).toEqual({ kind: "accepted" });
    await chain.rpc("evm_mine");
    const answer = await chain.alice.lookUp([stuck.hash, burn.hash], 1);
    expect(answer).toMatchObject({
      ok: true,
      value: { sequence: 1, receipts: [{ hash: burn.hash, success: true }] },
    });
  });

  it("is uncertain when nothing listens any more", async () => {
    const gone = await startAnvil({ port: 0, quiet: true });
    await gone.stop();
    const { terms } = await ready(chain.alice);
    const signed = await signedBy(chain.alice, terms, [transfer(0)]);
    expect([...(await chain.broadcasterOf(ALICE, { url: gone.url }).send(signed)).values()]).toMatchObject([
      { kind: "uncertain", failure: { code: "network_error" } },
    ]);
  });
});

describe("a look-up on a real chain", () => {
  it("finds what was mined, with its end, and does not find what was not", async () => {
    const { terms } = await ready(chain.alice);
    const [good, bad] = await signedBy(chain.alice, terms, [
      transfer(0),
      transfer(1, { to: REVERTS, value: 0n }, 100_000n),
    ]);
    if (good === undefined || bad === undefined) throw new Error("nothing was signed");
    await chain.alice.send([good, bad]);
    await chain.rpc("evm_mine");
    const unknown = `0x${"ab".repeat(32)}`;
    const answer = await chain.alice.lookUp([good.hash, bad.hash, unknown], 1);
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
    const { signed } = await chain.outcomeOf(transfer(0));
    await chain.rpc("evm_mine");
    expect(await chain.alice.lookUp([signed.hash], 3)).toMatchObject({
      ok: true,
      value: { sequence: 0, receipts: [] },
    });
    await chain.rpc("anvil_mine", "0x2");
    expect(await chain.alice.lookUp([signed.hash], 3)).toMatchObject({
      ok: true,
      value: { sequence: 1, receipts: [{ hash: signed.hash, success: true }] },
    });
  });

  it("tells the end of 500 transactions", async () => {
    const { terms } = await ready(chain.alice);
    const signed = await signedBy(
      chain.alice,
      terms,
      Array.from({ length: 500 }, (_, sequence) => transfer(sequence)),
    );
    expect(new Set([...(await chain.alice.send(signed)).values()].map(({ kind }) => kind))).toEqual(
      new Set(["accepted"]),
    );
    await chain.rpc("evm_mine");
    const answer = await chain.alice.lookUp(
      signed.map(({ hash }) => hash),
      1,
    );
    expect(answer.ok && answer.value.sequence).toBe(500);
    expect(answer.ok && answer.value.receipts.map(({ hash }) => hash)).toEqual(
      signed.map(({ hash }) => hash),
    );
    const byBlock = await chain.alice.lookUp(
      signed.map(({ hash }) => hash),
      1,
      0,
    );
    expect(byBlock.ok && byBlock.value.receipts.length).toBe(500);
    expect(byBlock.ok && answer.ok && new Set(byBlock.value.looked)).toEqual(
      new Set(answer.ok ? answer.value.looked : []),
    );
  });

  it("finds the transactions that used sequences up, whoever sent them and however long ago", async () => {
    const { signed: first } = await chain.outcomeOf(transfer(0));
    await chain.rpc("evm_mine");
    const { signed: second } = await chain.outcomeOf(transfer(1));
    await chain.rpc("evm_mine");
    await chain.rpc("anvil_mine", "0x64");
    const glance = await chain.alice.lookUp([], 1);
    if (!glance.ok) throw new Error(glance.error.message);
    expect(await chain.alice.usersOf([0, 1, 2], glance.value.block)).toEqual({
      ok: true,
      value: [
        { sequence: 0, hash: first.hash },
        { sequence: 1, hash: second.hash },
      ],
    });
  });

  it("forgets a block that was reorganized away", async () => {
    const { signed } = await chain.outcomeOf(transfer(0));
    await chain.rpc("anvil_mine", "0x2");
    expect(await chain.alice.lookUp([signed.hash], 1)).toMatchObject({
      ok: true,
      value: { sequence: 1, receipts: [{ success: true }] },
    });
    await chain.rpc("anvil_reorg", 2, []);
    expect(await chain.alice.lookUp([signed.hash], 1)).toMatchObject({
      ok: true,
      value: { sequence: 0, looked: [signed.hash], receipts: [] },
    });
  });
});
