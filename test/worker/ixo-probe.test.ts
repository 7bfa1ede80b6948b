import { env } from "cloudflare:workers";
import { expect, test } from "vitest";

const call = (stub: DurableObjectStub, chainSequence: number, signal?: AbortSignal) =>
  stub.fetch("http://do/getSignerData", { method: "POST", body: JSON.stringify({ chainId: "ixo-5", accountNumber: 1, chainSequence }), ...(signal ? { signal } : {}) });

test("probe", async () => {
  const stub = env.SEQUENCER.getByName("global");
  const t0 = Date.now();
  const results = await Promise.allSettled(Array.from({ length: 10 }, async (_, i) => {
    const r = await call(stub, 100, i % 2 === 1 || i > 5 ? AbortSignal.timeout(350) : undefined);
    return JSON.stringify(await r.json()) + " " + (Date.now() - t0);
  }));
  console.log(results.map((r) => r.status === "fulfilled" ? r.value : String(r.reason)).join("\n"));
  const s = await stub.fetch("http://do/status");
  console.log(await s.text());
  expect(1).toBe(1);
});
