import { afterEach, describe, expect, it } from "vitest";
import { ADDRESS, against, block, closeEndpoints, hash, hex } from "./evm-chain.ts";

afterEach(closeEndpoints);

describe("who used a number", () => {
  /** A node that has the state of the last two blocks only. The last of the numbers was used in the latest block. */
  async function fullNode(latest: number, last: number) {
    const { broadcaster, endpoint } = await against({
      latest,
      nonce: (at) =>
        Number(at) < latest - 1
          ? { error: { code: -32000, message: "missing trie node" } }
          : { result: hex(Number(at) < latest ? last : last + 1) },
      block: (number) => {
        const item = block(number, {});
        if (item === "missing" || !("result" in item)) return item;
        const transactions = number === latest ? [{ hash: hash(77), from: ADDRESS, nonce: hex(last) }] : [];
        return { result: Object.assign({}, item.result, { transactions }) };
      },
    });
    return { broadcaster, endpoint };
  }

  const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

  it.each([1, 2, 12])(
    "is found of each in turn, though others cannot be traced, with %i blocks from one look-up to the next",
    async (blocks) => {
      let found: readonly number[] = [];
      for (let lookUp = 0; lookUp < 10 && found.length === 0; lookUp += 1) {
        const latest = 1000 + lookUp * blocks;
        const { broadcaster } = await fullNode(latest, 39);
        const users = await broadcaster.usersOf(numbers(40), latest);
        if (users.ok) found = users.value.map(({ sequence }) => sequence);
      }
      expect(found).toEqual([39]);
    },
  );

  it("is asked of all at once while they are few", async () => {
    const { broadcaster } = await fullNode(20, 19);
    expect(await broadcaster.usersOf(numbers(20), 20)).toEqual({
      ok: true,
      value: [{ sequence: 19, hash: hash(77) }],
    });
  });

  /** Number 0 was used in block 30; below `stateFrom` the node has no state, but every block. */
  async function usedLongAgo(latest: number, stateFrom: number) {
    return await against({
      latest,
      nonce: (at) =>
        Number(at) < stateFrom
          ? { error: { code: -32602, message: "BlockOutOfRangeError" } }
          : { result: hex(Number(at) < 30 ? 0 : 1) },
      block: (number) => {
        const item = block(number, {});
        if (item === "missing" || !("result" in item)) return item;
        const transactions = number === 30 ? [{ hash: hash(77), from: ADDRESS, nonce: "0x0" }] : [];
        return { result: Object.assign({}, item.result, { transactions }) };
      },
    });
  }

  it.each([1, 29, 30])("is found at once by a node whose state begins at block %i", async (stateFrom) => {
    const { broadcaster } = await usedLongAgo(255, stateFrom);
    expect(await broadcaster.usersOf([0], 255)).toEqual({
      ok: true,
      value: [{ sequence: 0, hash: hash(77) }],
    });
  });

  it("is found in time though the node has lost the state of its block", async () => {
    let found: readonly number[] = [];
    for (let latest = 255; latest < 355 && found.length === 0; latest += 1) {
      const { broadcaster } = await usedLongAgo(latest, latest - 1);
      const users = await broadcaster.usersOf([0], latest);
      if (users.ok) found = users.value.map(({ sequence }) => sequence);
    }
    expect(found).toEqual([0]);
  });

  it("asks the node no more for many numbers than for twenty", async () => {
    const few = await fullNode(20, 100);
    await few.broadcaster.usersOf(numbers(20), 20);
    const many = await fullNode(20, 100);
    await many.broadcaster.usersOf(numbers(90), 20);
    expect(many.endpoint.batches.length).toBe(few.endpoint.batches.length);
  });
});
