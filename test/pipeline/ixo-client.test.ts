import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";
import { z } from "zod";
import { ANVIL_ACCOUNTS } from "../../ops/anvil-accounts.ts";

const secrets = {
  API_TOKENS: "[]",
  CHAIN_URL: "http://127.0.0.1:8545",
  ...Object.fromEntries(ANVIL_ACCOUNTS.map(({ privateKey }, index) => [`ANVIL_KEY_${index}`, privateKey])),
};

/** The example Worker, whose requests come first, and Lockstep, which it is bound to. */
const server = createTestHarness({
  root: process.cwd(),
  workers: [
    { configPath: "docs/examples/sequence-client/wrangler.jsonc" },
    { configPath: "wrangler.jsonc", secrets, vars: { IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: "0" } },
  ],
});

beforeAll(async () => {
  await server.listen();
});
afterAll(() => server.close());

const signerData = z.strictObject({ accountNumber: z.number(), sequence: z.number(), chainId: z.string() });

async function sequence(query: string): Promise<number> {
  const answer = await server.fetch(`/?${query}`, { method: "POST" });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(text);
  return signerData.parse(JSON.parse(text)).sequence;
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);

test("a Worker bound to the class Sequencer of lockstep gets 100 numbers for 100 calls at once, none twice", async () => {
  const numbers = await Promise.all(range(0, 100).map(() => sequence("accountNumber=1&chainSequence=100")));
  expect(numbers.toSorted((left, right) => left - right)).toEqual(range(100, 100));
});

test("a job that is repeated gets the number that it got", async () => {
  const query = "accountNumber=2&chainSequence=100";
  const numbers = [];
  for (const job of ["a", "b", "a", "c"]) numbers.push(await sequence(`${query}&job=${job}`));
  expect(numbers).toEqual([100, 101, 100, 102]);
});

test("an evicted object goes on where it was", async () => {
  const query = "accountNumber=3&chainSequence=100";
  expect(await sequence(query)).toBe(100);
  await server.getWorker("lockstep").evictDurableObject("Sequencer", { name: "global" });
  expect(await sequence(query)).toBe(101);
});

test("what the client would throw says what is wrong", async () => {
  await expect(sequence("accountNumber=4&chainSequence=-1")).rejects.toThrow("chainSequence must");
});
