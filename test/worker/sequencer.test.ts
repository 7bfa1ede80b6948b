import { env } from "cloudflare:workers";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { listLanes, registerLane } from "../../dlq/lane-registry.ts";
import { parseAccount, type AccountId } from "../../domain/ids.ts";
import { LaneStorage } from "../../durable-objects/sequencer-storage.ts";

function accountOf(address: string): AccountId {
  const parsed = parseAccount(`eip155:31337:${address}`);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value.id;
}
const account = accountOf("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");

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
  expect(
    await lane.recordSigned(work.token, [
      { sequence: 5, id: "a", hash: "0xaa", raw: "0x02", validUntil: null },
    ]),
  ).toEqual({
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
      foreign: [],
    }),
  ).toEqual({ finalized: 1, open: 0 });
  expect((await lane.directive("a"))?.status).toBe("confirmed");
  expect((await lane.status()).counts).toEqual({ admitted: 1, settled: 1, dead: 0, inFlight: 0 });
  await runDurableObjectAlarm(lane);
});

test("retention drops payloads and raw bytes of what is settled, and keeps id, digest, hash and outcome", async () => {
  const lane = env.SEQUENCER.getByName(account);
  await lane.admit(account, [
    { id: "settled", digest: "d1", payload: "{}", expiresAtMs: null },
    { id: "waiting", digest: "d2", payload: "{}", expiresAtMs: null },
  ]);
  const first = await lane.take(account, "test");
  if (first.kind !== "work") throw new Error(first.kind);
  const nothing = { outcomes: [], refusals: [], outage: null, reading: { sequence: 0 } };
  const settled = await lane.settle({ token: first.token, ...nothing, renew: true });
  if (settled.kind !== "settled" || settled.next.kind !== "work") throw new Error(settled.kind);
  await lane.recordSigned(settled.next.token, [
    { sequence: 0, id: "settled", hash: "0xaa", raw: "0x02", validUntil: null },
  ]);
  await lane.settle({
    token: settled.next.token,
    ...nothing,
    outcomes: [{ hash: "0xaa", outcome: { kind: "accepted" } }],
    renew: false,
  });
  await lane.confirm({
    block: 1,
    sequence: 1,
    looked: ["0xaa"],
    receipts: [{ hash: "0xaa", block: 1, success: true }],
    foreign: [],
  });
  await runInDurableObject(lane, (_, { storage }) => {
    const stored = new LaneStorage(storage.sql);
    expect(stored.prune(Date.now() + 1000, 0, 10)).toEqual({ next: null, left: true });
    const record = stored.directive("settled");
    const waiting = stored.directive("waiting");
    if (record === undefined || waiting === undefined) throw new Error("gone");
    expect([stored.payloadOf(record), stored.payloadOf(waiting)]).toEqual(["", "{}"]);
    expect(record).toMatchObject({
      digest: "d1",
      state: "confirmed",
      log: [{ hash: "0xaa", status: "included" }],
    });
    expect(storage.sql.exec("SELECT count(*) AS flights FROM flights").one()).toEqual({ flights: 0 });
  });
});

test("a lane is registered once, and listed with the others in pages", async () => {
  const accounts = [1, 2, 3].map((last) => accountOf(`0x${"0".repeat(39)}${last}`));
  for (const id of [...accounts, ...accounts]) await registerLane(env.LEDGER, id, 1);
  expect(await listLanes(env.LEDGER, "", 2)).toEqual(accounts.slice(0, 2));
  expect(await listLanes(env.LEDGER, accounts[1] ?? "", 2)).toEqual(accounts.slice(2));
});

test("many directives are told of in one answer, in order, without payloads; a burn is asked for in review alone", async () => {
  const lane = env.SEQUENCER.getByName(account);
  expect(await lane.directives(["a"])).toEqual([null]);
  expect(await lane.burn(account, "a", "test", "ann")).toEqual({ kind: "unknown" });
  await lane.admit(
    account,
    ["a", "b"].map((id) => ({ id, digest: "d", payload: "{}", expiresAtMs: null })),
  );
  const told = await lane.directives(["b", "nobody", "a"]);
  expect(told.map((facts) => facts?.id)).toEqual(["b", undefined, "a"]);
  expect(told[0]).toMatchObject({ status: "queued", generation: 0, transactions: [] });
  expect(told[0]).not.toHaveProperty("payload");
  expect(await lane.burn(account, "a", "test", "ann")).toEqual({ kind: "settled", status: "queued" });
});
