import { env } from "cloudflare:workers";
import { runDurableObjectAlarm } from "cloudflare:test";
import { expect, test } from "vitest";
import { parseAccount } from "../../domain/ids.ts";

const parsed = parseAccount("eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
if (!parsed.ok) throw new Error(parsed.error);
const account = parsed.value.id;

test("a directive that was admitted, recorded, settled and seen in a receipt is confirmed", async () => {
  const lane = env.SEQUENCER.getByName(account);
  const payload = JSON.stringify({
    action: { type: "evm.transaction", to: account.split(":")[2], value: "1", data: "0x" },
  });
  expect(await lane.admit(account, [{ id: "a", digest: "d", payload, expiresAtMs: null }])).toEqual([
    { kind: "admitted", status: "queued" },
  ]);
  const first = await lane.take(account, "test");
  if (first.kind !== "work") throw new Error(first.kind);
  const settled = await lane.settle({
    token: first.token,
    outcomes: [],
    refusals: [],
    outage: null,
    reading: { sequence: 5 },
    renew: true,
  });
  if (settled.kind !== "settled" || settled.next.kind !== "work") throw new Error(JSON.stringify(settled));
  const work = settled.next;
  expect(work.range).toEqual([5]);
  expect(await lane.recordSigned(work.token, [{ sequence: 5, id: "a", hash: "0xaa", raw: "0x02" }])).toEqual({
    kind: "recorded",
  });
  await lane.settle({
    token: work.token,
    outcomes: [{ hash: "0xaa", outcome: { kind: "accepted" } }],
    refusals: [],
    outage: null,
    reading: { sequence: 5 },
    renew: false,
  });
  expect((await lane.directive("a"))?.status).toBe("broadcast");
  expect(
    await lane.confirm({
      block: 1,
      sequence: 6,
      looked: ["0xaa"],
      receipts: [{ hash: "0xaa", block: 1, success: true }],
    }),
  ).toEqual({ finalized: 1, open: 0 });
  expect((await lane.directive("a"))?.status).toBe("confirmed");
  expect((await lane.status()).counts).toEqual({ admitted: 1, settled: 1, dead: 0, inFlight: 0 });
  await runDurableObjectAlarm(lane);
});
