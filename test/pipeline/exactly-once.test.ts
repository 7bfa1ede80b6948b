import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readFileSync } from "node:fs";
import { mnemonicToAccount } from "viem/accounts";
import { bytesToHex } from "viem";
import { chance } from "../model/history.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import { ACCOUNTS, recipient, startLockstep, transfer, type Lockstep } from "./lockstep.ts";

let lockstep: Lockstep;

beforeAll(async () => {
  lockstep = await startLockstep();
});
afterAll(() => lockstep.close());

function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const random = chance(seed);
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((left, right) => left.at - right.at)
    .map(({ item }) => item);
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

/** Each directive of the group took effect exactly once: its recipient, whom nothing else pays, has its wei once. */
async function expectOneEffectEach(
  group: number,
  account: { address: string; account: string },
  ids: readonly string[],
): Promise<void> {
  const balances = await Promise.all(
    ids.map((_, index) => lockstep.chain.getBalance({ address: recipient(group, index) })),
  );
  expect(balances.map(String)).toEqual(ids.map(() => "1000"));
  const views = await Promise.all(ids.map((id) => lockstep.directive(account.account, id)));
  expect(new Set(views.map(({ status }) => status))).toEqual(new Set(["confirmed"]));
  const sequences = views.map(({ sequence }) => sequence ?? -1).toSorted((left, right) => left - right);
  expect(new Set(sequences).size).toBe(ids.length);
  const included = views.map(
    ({ transactions }) => transactions.filter(({ status }) => status === "included").length,
  );
  expect(new Set(included)).toEqual(new Set([1]));
}

test("1,000 directives, each introduced twice over the binding and posted once, in random order, take effect once each", async () => {
  const [alice] = ACCOUNTS;
  if (alice === undefined) throw new Error("no account");
  const ids = Array.from({ length: 1000 }, (_, index) => `once-${index}`);
  const directives = ids.map((id, index) => transfer(alice.account, id, recipient(1, index)));
  const sends = [
    ...chunks(shuffled([...directives, ...directives], 1), 100).map(
      (batch) => () => lockstep.stack.send(batch.map((directive) => ({ directive }))),
    ),
    ...chunks(shuffled(directives, 2), 50).map((batch) => () => lockstep.post(batch)),
  ];
  await Promise.all(shuffled(sends, 3).map((send) => send()));
  const lane = await lockstep.settled(alice.account, 1000);
  expect(lane.counts).toEqual({ admitted: 1000, settled: 1000, dead: 0, inFlight: 0 });
  expect(
    await lockstep.chain.getTransactionCount({ address: "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266" }),
  ).toBe(1000);
  expect(lane.nextSequence).toBe(1000);
  await expectOneEffectEach(1, alice, ids);
});

test("500 directives in flight when workerd is killed all take effect once, and nothing that was answered 202 is lost", async () => {
  const bob = ACCOUNTS[1];
  if (bob === undefined) throw new Error("no account");
  const ids = Array.from({ length: 500 }, (_, index) => `killed-${index}`);
  const directives = ids.map((id, index) => transfer(bob.account, id, recipient(2, index)));
  // Without blocks none can be confirmed: all 500 are in flight when the process dies.
  await lockstep.rpc("evm_setIntervalMining", 0);
  const answers = await Promise.all(chunks(directives, 100).map((batch) => lockstep.post(batch)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
  expect((await lockstep.lane(bob.account)).counts.inFlight).toBe(500);
  await lockstep.stack.killWorker();
  await lockstep.rpc("evm_setIntervalMining", 1);
  const lane = await lockstep.settled(bob.account, 500);
  expect(lane.counts.settled).toBe(500);
  expect(
    await lockstep.chain.getTransactionCount({ address: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8" }),
  ).toBe(lane.nextSequence);
  await expectOneEffectEach(2, bob, ids);
});

describe("poison", () => {
  const carol = ACCOUNTS[2]?.account ?? "";
  const reverts = "0x00000000000000000000000000000000000000b1";

  test("good, poison and unreadable messages each end in one place, and none holds up another", async () => {
    await lockstep.rpc("anvil_setCode", reverts, "0x60006000fd");
    const goods = Array.from({ length: 20 }, (_, index) => ({
      directive: transfer(carol, `good-${index}`, recipient(3, index)),
    }));
    await lockstep.stack.send([
      ...goods.slice(0, 10),
      { raw: "not a message" },
      { raw: { json: { v: 1, kind: "directive", id: "x" } } },
      { raw: { json: { v: 9, kind: "directive" } } },
      {
        directive: {
          ...transfer(carol, "reverts", reverts),
          action: { type: "evm.transaction", to: reverts, value: "0", data: "0x01" },
        },
      },
      {
        directive: transfer(
          "eip155:31337:0x000000000000000000000000000000000000dead",
          "nobody",
          recipient(3, 99),
        ),
      },
      {
        directive: transfer(
          "eip155:1:0x000000000000000000000000000000000000dead",
          "elsewhere",
          recipient(3, 99),
        ),
      },
      { directive: { ...transfer(carol, "late", recipient(3, 98)), expiresAt: "2001-01-01T00:00:00Z" } },
      ...goods.slice(10),
    ]);
    await lockstep.settled(carol, 22);
    await lockstep.stack.send([{ directive: transfer(carol, "good-0", recipient(3, 97)) }]);
    const letters = await waitUntil(
      async () => {
        const found = await lockstep.letters();
        return found.length >= 8 ? found : undefined;
      },
      { what: "eight letters", withinMs: 30_000 },
    );
    expect(
      letters
        .map(({ code, directiveId, kind }) => (kind === "raw" ? code : `${code} ${directiveId}`))
        .toSorted(),
    ).toEqual([
      "conflicting_payload good-0",
      "execution_reverted reverts",
      "expired late",
      "malformed_message",
      "malformed_message",
      "no_signer nobody",
      "unsupported_chain elsewhere",
      "unsupported_version",
    ]);
    expect(new Set(letters.map(({ sourceQueue }) => sourceQueue))).toEqual(new Set(["directives"]));
    const lane = await lockstep.lane(carol);
    expect(lane.counts).toEqual({ admitted: 22, settled: 20, dead: 2, inFlight: 0 });
    await expectOneEffectEach(
      3,
      { address: "", account: carol },
      goods.map((_, index) => `good-${index}`),
    );
  });

  test("a directive for an account without a key makes no lane", async () => {
    const { status } = await lockstep.call(
      `/v1/accounts/${encodeURIComponent("eip155:31337:0x000000000000000000000000000000000000dead")}`,
    );
    expect(status).toBe(404);
  });
});

test("no token, key, signature or raw transaction stands in any log line or answer", async () => {
  await lockstep.call("/v1/directives", { method: "POST", body: "{", token: "wrong-token-wrong-token" });
  const secrets = [lockstep.stack.operatorToken, lockstep.stack.producerToken, "wrong-token-wrong-token"];
  for (let index = 0; index < 10; index += 1) {
    const key = mnemonicToAccount("test test test test test test test test test test test junk", {
      addressIndex: index,
    }).getHdKey().privateKey;
    if (key === null) throw new Error("no key");
    secrets.push(bytesToHex(key), bytesToHex(key).slice(2));
  }
  const included = await lockstep.directive(ACCOUNTS[0]?.account ?? "", "once-0");
  const hash = included.transactions[0]?.hash ?? "";
  const raw = await lockstep.rpc("eth_getRawTransactionByHash", hash);
  secrets.push(String(raw));
  const said = lockstep.said.join("\n");
  expect(said.length).toBeGreaterThan(10_000);
  expect(secrets.filter((secret) => said.includes(secret))).toEqual([]);
  expect(readFileSync("worker-configuration.d.ts", "utf8")).not.toContain(lockstep.stack.operatorToken);
});
