import { afterAll, beforeAll, expect, test } from "vitest";
import { bytesToHex } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { createTestHarness } from "wrangler";
import { startAnvil, type Anvil } from "../../ops/anvil.ts";
import { waitUntil } from "../../ops/wait-until.ts";

const CUSTOMER = "0x00000000000000000000000000000000000c0ffe";
const KEY = mnemonicToAccount("test test test test test test test test test test test junk").getHdKey()
  .privateKey;

let chain: Anvil;
const harness = createTestHarness();

beforeAll(async () => {
  if (KEY === null) throw new Error("no key");
  chain = await startAnvil({ port: 0, blockTimeSeconds: 1, quiet: true });
  const keys = Object.fromEntries(
    Array.from({ length: 10 }, (_, index) => [`ANVIL_KEY_${index}`, bytesToHex(KEY)]),
  );
  await harness.update({
    workers: [
      { configPath: "./wrangler.jsonc", secrets: { ...keys, CHAIN_URL: chain.url, API_TOKENS: "[]" } },
      { configPath: "./docs/examples/sender/wrangler.jsonc" },
    ],
  });
  await harness.listen();
  await harness.getWorker("lockstep").applyD1Migrations("LEDGER");
});
afterAll(async () => {
  await harness.close();
  await chain.stop();
});

async function balance(): Promise<string> {
  const answer = await fetch(chain.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_getBalance", params: [CUSTOMER, "latest"] }),
  });
  const body: unknown = await answer.json();
  return typeof body === "object" && body !== null && "result" in body
    ? BigInt(String(body.result)).toString()
    : "";
}

test("the example Worker pays one refund, however often the order is refunded over its queue binding", async () => {
  const refunds = harness.getWorker("refunds");
  for (let again = 0; again < 3; again += 1) {
    const answer = await refunds.fetch(`/refunds/1001?to=${CUSTOMER}`, { method: "POST" });
    expect(answer.status).toBe(202);
  }
  const paid = await waitUntil(async () => ((await balance()) === "0" ? undefined : balance()), {
    what: "the refund",
    withinMs: 60_000,
  });
  expect(paid).toBe("25000000000");
  const other = await refunds.fetch(`/refunds/1002?to=${CUSTOMER}`, { method: "POST" });
  expect(other.status).toBe(202);
  await waitUntil(async () => ((await balance()) === "50000000000" ? true : undefined), {
    what: "the other refund",
    withinMs: 60_000,
  });
});

test("a directive that is wrong is refused where it is sent, with the name of the field", async () => {
  const refused = harness.getWorker("refunds").fetch("/refunds/1003?to=nobody", { method: "POST" });
  await expect(refused).rejects.toThrow("action.to must be an EVM address");
});
