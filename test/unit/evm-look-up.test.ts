import { afterEach, describe, expect, it } from "vitest";
import { SharedBlocks } from "../../consumers/broadcasters/evm-blocks.ts";
import { against, block, blockHash, closeEndpoints, hash, hex } from "./evm-chain.ts";
import type { Item } from "./evm-endpoint.ts";

afterEach(closeEndpoints);

describe("a look-up", () => {
  const mined = (asked: string, number: number, more: Record<string, unknown> = {}): Item => ({
    result: {
      transactionHash: asked,
      blockNumber: hex(number),
      blockHash: blockHash(number),
      status: "0x1",
      ...more,
    },
  });

  it("takes the sequence at the final depth, and only receipts that deep", async () => {
    const asked: string[] = [];
    const { broadcaster } = await against({
      latest: 20,
      nonce: (at) => (asked.push(at), { result: "0x5" }),
      receipt: (of) =>
        of === hash(0)
          ? mined(of, 17)
          : of === hash(1)
            ? mined(of, 18, { status: "0x0" })
            : of === hash(2)
              ? mined(of, 19)
              : { result: null },
    });
    expect(await broadcaster.lookUp([0, 1, 2, 3].map(hash), 3)).toEqual({
      ok: true,
      value: {
        block: 18,
        sequence: 5,
        // The third was included above the final depth: true, and no evidence.
        looked: [0, 1, 3].map(hash),
        receipts: [
          { hash: hash(0), block: 17, success: true },
          { hash: hash(1), block: 18, success: false },
        ],
        foreign: [],
      },
    });
    expect(asked).toEqual(["0x12"]);
  });

  it("stays at block 0 while the chain is shorter than the depth", async () => {
    const { broadcaster } = await against({
      latest: 2,
      nonce: (at) => ({ result: at === "0x0" ? "0x0" : "0x9" }),
      receipt: (of) => mined(of, 1),
    });
    expect(await broadcaster.lookUp([hash(0)], 12)).toEqual({
      ok: true,
      value: { block: 0, sequence: 0, looked: [], receipts: [], foreign: [] },
    });
  });

  it("asks for many hashes in several requests and tells of each", async () => {
    const { broadcaster, endpoint } = await against({ receipt: (of) => mined(of, 4) });
    const hashes = Array.from({ length: 500 }, (_, index) => hash(index));
    const answer = await broadcaster.lookUp(hashes, 1);
    expect(answer.ok && answer.value.looked).toEqual(hashes);
    expect(answer.ok && answer.value.receipts).toHaveLength(500);
    expect(Math.max(...endpoint.batches.map((batch) => batch.length))).toBe(100);
  });

  it("without hashes still tells the sequence", async () => {
    const { broadcaster } = await against({});
    expect(await broadcaster.lookUp([], 1)).toEqual({
      ok: true,
      value: { block: 20, sequence: 7, looked: [], receipts: [], foreign: [] },
    });
  });

  it.each([
    ["an error", { error: { code: -32000, message: "transaction indexing is in progress" } }],
    ["no answer", "missing"],
    ["another hash", mined(hash(77), 3)],
    ["no status", mined(hash(0), 3, { status: undefined })],
    ["no block's hash", mined(hash(0), 3, { blockHash: null })],
    ["nonsense", { result: 7 }],
  ] as const)("did not look at a hash whose receipt is %s", async (_, item) => {
    const { broadcaster } = await against({ receipt: (of) => (of === hash(0) ? item : { result: null }) });
    const answer = await broadcaster.lookUp([hash(0), hash(1)], 1);
    expect(answer).toMatchObject({ ok: true, value: { looked: [hash(1)], receipts: [] } });
  });

  it("takes a receipt of a transaction that waits for no proof of anything", async () => {
    const { broadcaster } = await against({
      receipt: (of) => mined(of, 3, { blockNumber: null, blockHash: null, status: null }),
    });
    expect(await broadcaster.lookUp([hash(0)], 1)).toMatchObject({
      ok: true,
      value: { looked: [hash(0)], receipts: [] },
    });
  });

  it.each([1, 3])(
    "is an error when the block is another at the end, %i confirmations deep",
    async (confirmations) => {
      let reads = 0;
      const { broadcaster } = await against({
        receipt: (of) => mined(of, 3),
        block: (number) => ((reads += 1), block(number, {}, reads > 2 ? 1 : 0)),
      });
      expect(await broadcaster.lookUp([hash(0)], confirmations)).toMatchObject({
        ok: false,
        error: { code: "endpoint_error" },
      });
    },
  );

  it("is an error when only the node that gave the receipts has another block", async () => {
    let reads = 0;
    const { broadcaster } = await against({
      block: (number) => ((reads += 1), block(number, {}, reads === 2 ? 1 : 0)),
    });
    expect(await broadcaster.lookUp([hash(0)], 1)).toMatchObject({
      ok: false,
      error: { code: "endpoint_error" },
    });
  });

  it("is an error when a receipt is of another block at the same height", async () => {
    const { broadcaster } = await against({
      receipt: (of) => mined(of, 20, { blockHash: blockHash(20, 1) }),
    });
    expect(await broadcaster.lookUp([hash(0)], 1)).toMatchObject({
      ok: false,
      error: { code: "endpoint_error" },
    });
  });

  it("R4: is an error when a receipt is of a block below the anchor that is not on its chain", async () => {
    // Two nodes behind one URL, on two sides of a split deeper than the final depth.
    const { broadcaster } = await against({
      latest: 20,
      receipt: (of) => mined(of, 15, { blockHash: blockHash(15, 1) }),
    });
    expect(await broadcaster.lookUp([hash(0)], 3)).toMatchObject({
      ok: false,
      error: { code: "endpoint_error" },
    });
  });

  it("R4: is an error when two receipts tell two hashes of one block", async () => {
    const { broadcaster } = await against({
      receipt: (of) => mined(of, 15, { blockHash: blockHash(15, of === hash(0) ? 0 : 1) }),
    });
    expect(await broadcaster.lookUp([hash(0), hash(1)], 3)).toMatchObject({ ok: false });
  });

  it("asks once for each block that has a receipt, together with the anchor", async () => {
    const { broadcaster, endpoint } = await against({
      receipt: (of) => mined(of, of === hash(2) ? 15 : 14),
    });
    const answer = await broadcaster.lookUp([0, 1, 2].map(hash), 3);
    expect(answer.ok && answer.value.receipts).toHaveLength(3);
    expect(endpoint.batches.at(-1)?.map(({ params }) => params[0])).toEqual(["0x12", "0xe", "0xf"]);
    expect(endpoint.batches).toHaveLength(4);
  });

  it("is an error when a node behind the endpoint does not have the block", async () => {
    let reads = 0;
    const { broadcaster } = await against({
      block: (number) => ((reads += 1) > 1 ? { result: null } : block(number, {})),
    });
    expect(await broadcaster.lookUp([hash(0)], 1)).toMatchObject({
      ok: false,
      error: { code: "endpoint_error" },
    });
  });

  it("is an error when two requests tell two sequences of one block", async () => {
    let reads = 0;
    const { broadcaster } = await against({ nonce: () => ({ result: hex((reads += 1)) }) });
    expect(
      await broadcaster.lookUp(
        Array.from({ length: 150 }, (_, index) => hash(index)),
        1,
      ),
    ).toMatchObject({ ok: false, error: { code: "endpoint_error" } });
  });

  it("is an error on another chain", async () => {
    const { broadcaster } = await against({ chainId: 1 });
    expect(await broadcaster.lookUp([hash(0)], 1)).toMatchObject({
      ok: false,
      error: { code: "wrong_chain" },
    });
  });

  it("is an error when the endpoint refuses the credential", async () => {
    const { broadcaster } = await against({}, { answer: (_, response) => response.writeHead(401).end() });
    expect(await broadcaster.lookUp([hash(0)], 1)).toMatchObject({
      ok: false,
      error: { code: "unauthorized" },
    });
  });

  describe("of many hashes", () => {
    const hashes = Array.from({ length: 60 }, (_, index) => hash(index));
    const receiptOf = (asked: string, number: number, more: Record<string, unknown> = {}) => ({
      transactionHash: asked,
      blockNumber: hex(number),
      blockHash: blockHash(number),
      status: "0x1",
      ...more,
    });
    const half = (number: number) => ({
      result: hashes.filter((_, index) => index % 2 === number % 2).map((asked) => receiptOf(asked, number)),
    });
    const methods = (endpoint: { batches: readonly (readonly { method: string }[])[] }) =>
      endpoint.batches.flat().map(({ method }) => method);

    it("that were included lately reads their blocks instead", async () => {
      const { broadcaster, endpoint } = await against({
        nonce: () => ({ result: hex(60) }),
        blockReceipts: half,
      });
      const answer = await broadcaster.lookUp(hashes, 1, 18);
      expect(answer.ok && new Set(answer.value.looked)).toEqual(new Set(hashes));
      expect(answer.ok && answer.value.receipts.filter(({ block: at }) => at === 19)).toHaveLength(30);
      expect(answer.ok && answer.value.sequence).toBe(60);
      expect(methods(endpoint)).not.toContain("eth_getTransactionReceipt");
    });

    it("asks by hash for what those blocks do not hold", async () => {
      const { broadcaster } = await against({
        blockReceipts: (number) => (number === 20 ? half(20) : { result: [] }),
        receipt: (asked) => (asked === hash(1) ? mined(asked, 12) : { result: null }),
      });
      const answer = await broadcaster.lookUp(hashes, 1, 18);
      expect(answer.ok && new Set(answer.value.looked)).toEqual(new Set(hashes));
      expect(answer.ok && answer.value.receipts.find((found) => found.hash === hash(1))?.block).toBe(12);
      expect(answer.ok && answer.value.receipts).toHaveLength(31);
    });

    it.each([
      ["a node that does not know the method", undefined],
      ["receipts of another block", () => ({ result: hashes.map((asked) => receiptOf(asked, 3)) })],
      [
        "the anchor's number with another hash",
        (number: number) => ({
          result: hashes.map((asked) => receiptOf(asked, number, { blockHash: blockHash(number, 9) })),
        }),
      ],
      [
        "a receipt without a status",
        (number: number) => ({ result: hashes.map((asked) => receiptOf(asked, number, { status: null })) }),
      ],
    ])("asks by hash after %s", async (_, blockReceipts) => {
      const { broadcaster, endpoint } = await against({
        receipt: (asked) => mined(asked, 19),
        ...(blockReceipts === undefined ? {} : { blockReceipts }),
      });
      const answer = await broadcaster.lookUp(hashes, 1, 19);
      expect(answer.ok && answer.value.receipts).toHaveLength(60);
      expect(methods(endpoint).filter((method) => method === "eth_getTransactionReceipt")).toHaveLength(60);
    });

    it("R4: takes no receipts of blocks that are not on the anchor's chain", async () => {
      const { broadcaster } = await against({
        nonce: () => ({ result: hex(60) }),
        blockReceipts: (number) => ({
          result: hashes.map((asked) => receiptOf(asked, number, { blockHash: blockHash(number, 1) })),
        }),
      });
      const answer = await broadcaster.lookUp(hashes, 3, 16);
      expect(answer.ok && answer.value.receipts).toEqual([]);
    });

    it("reads a block once for lanes that are looked up together, though each alone has few hashes", async () => {
      const blocks = new SharedBlocks(10);
      const few = [hashes.slice(0, 6), hashes.slice(6, 12)] as const;
      const lanes = [];
      for (const asked of few) {
        const { broadcaster, endpoint } = await against({ blockReceipts: half }, { blocks });
        const answer = await broadcaster.lookUp(asked, 1, 18);
        expect(answer.ok && answer.value.receipts.map((found) => found.hash).toSorted()).toEqual(
          asked.toSorted(),
        );
        lanes.push(methods(endpoint).filter((method) => method === "eth_getBlockReceipts").length);
      }
      expect(lanes).toEqual([2, 0]);
    });

    it("takes nothing that was read below another anchor", async () => {
      const blocks = new SharedBlocks(10);
      const asked = hashes.slice(0, 6);
      const before = await against({ blockReceipts: half }, { blocks });
      await before.broadcaster.lookUp(asked, 1, 18);
      // The other lane comes after a reorganization that threw everything out.
      const { broadcaster } = await against(
        { block: (number) => block(number, {}, 7), blockReceipts: () => ({ result: [] }) },
        { blocks },
      );
      const answer = await broadcaster.lookUp(asked, 1, 18);
      expect(answer.ok && answer.value.receipts).toEqual([]);
    });

    it("asks by hash when the last evidence is long ago", async () => {
      const { broadcaster, endpoint } = await against({
        receipt: (asked) => mined(asked, 4),
        blockReceipts: half,
      });
      const answer = await broadcaster.lookUp(hashes, 1, 5);
      expect(answer.ok && answer.value.receipts).toHaveLength(60);
      expect(methods(endpoint)).not.toContain("eth_getBlockReceipts");
    });
  });
});
