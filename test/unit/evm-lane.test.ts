import { keccak256, parseTransaction } from "viem";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Broadcaster } from "../../consumers/broadcasters/broadcaster.ts";
import type { EvmTerms } from "../../consumers/broadcasters/evm-context.ts";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import { consumeConfirmations } from "../../consumers/confirmations.ts";
import { localKeySigner } from "../../consumers/signers/local-key.ts";
import { consumeDirectives } from "../../consumers/directives.ts";
import { defineConfig } from "../../domain/config.ts";
import { parseAccount } from "../../domain/ids.ts";
import type { Settlement, TakeAnswer, Work } from "../../domain/lane.ts";
import { encodeMessage } from "../../domain/message.ts";
import { ACCOUNT } from "../model/lane-script.ts";
import { MemorySequencer } from "../model/memory-sequencer.ts";
import { against, blockHash, closeEndpoints, decide, hash, hex } from "./evm-chain.ts";
import { answerEach, startEndpoint, type Call, type Endpoint, type Item } from "./evm-endpoint.ts";

const open: Endpoint[] = [];
beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => undefined));
afterEach(closeEndpoints);
afterEach(async () => void (await Promise.all(open.splice(0).map((endpoint) => endpoint.close()))));

const parsed = parseAccount(ACCOUNT);
if (!parsed.ok) throw new Error(parsed.error);
const account = parsed.value;
const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

const config = defineConfig({
  chains: {
    "eip155:31337": {
      rpcUrl: { env: "CHAIN_URL" },
      signers: [{ account: ACCOUNT, key: { env: "KEY" } }],
      policy: { confirmations: 1 },
    },
  },
});
const NOTHING: Omit<Settlement, "token"> = {
  outcomes: [],
  refusals: [],
  outage: null,
  reading: null,
  renew: false,
};

function work(answer: TakeAnswer): Work {
  if (answer.kind !== "work") throw new Error(answer.kind);
  return answer;
}

const bell = (kind: "doorbell" | "confirmation") => ({
  id: "bell",
  attempts: 1,
  body: encodeMessage({ kind, account: ACCOUNT }),
  ack: () => undefined,
  retry: () => undefined,
});

async function workLane(lane: MemorySequencer, broadcaster: Broadcaster<EvmTerms>, now: () => number) {
  await consumeDirectives(
    { queue: "directives", messages: [bell("doorbell")] },
    {
      SEQUENCER: { getByName: () => lane },
      DIRECTIVES: { send: async () => undefined },
      DIRECTIVES_DLQ: { send: async () => undefined },
    },
    {
      config,
      broadcasterOf: () => broadcaster,
      registerLane: async () => undefined,
      now,
      random: () => 0.5,
    },
  );
}

async function admit(lane: MemorySequencer, id: string): Promise<void> {
  const to = `0x${"1".repeat(40)}`;
  const payload = JSON.stringify({ action: { type: "evm.transaction", to, value: "1", data: "0x" } });
  await lane.admit(ACCOUNT, [{ id, digest: id, payload, expiresAtMs: null }]);
}

describe("an RPC URL that points to another chain for a while", () => {
  let nowMs = 1_000_000;
  const lane = async () => {
    nowMs = 1_000_000;
    const sequencer = new MemorySequencer(() => nowMs);
    await admit(sequencer, "a");
    const asked = work(await sequencer.take(ACCOUNT, "test"));
    await sequencer.settle({ ...NOTHING, token: asked.token, reading: { sequence: 7 } });
    const flight = work(await sequencer.take(ACCOUNT, "test"));
    await sequencer.recordSigned(flight.token, [
      { sequence: 7, id: "a", hash: hash(1), raw: "0x02000001", validUntil: null },
    ]);
    await sequencer.settle({
      ...NOTHING,
      token: flight.token,
      outcomes: [{ hash: hash(1), outcome: { kind: "accepted" } }],
    });
    expect(sequencer.statusOf("a")).toBe("broadcast");
    // The stored bytes are due to be sent again.
    nowMs += 61_000;
    return sequencer;
  };

  test.each([
    ["says so", "invalid chain id for signer: have 31337 want 1"],
    ["does not say so", "invalid sender"],
    ["has limits of its own", "exceeds block gas limit"],
  ])("neither reviews nor burns what is out, where its node %s", async (_, message) => {
    const sequencer = await lane();
    const { broadcaster, endpoint } = await against({
      chainId: 1,
      send: () => ({ error: { code: -32000, message } }),
    });
    await workLane(sequencer, broadcaster, () => nowMs);
    expect([sequencer.statusOf("a"), sequencer.lane.slots.get(7)?.burning]).toEqual(["broadcast", false]);
    // The lane waits, and does not ask that endpoint at each turn.
    expect(sequencer.lane.header.outage?.failure.code).toBe("wrong_chain");
    const asked = endpoint.batches.length;
    await workLane(sequencer, broadcaster, () => nowMs);
    expect(endpoint.batches).toHaveLength(asked);
  });
});

describe("one URL over two nodes", () => {
  /**
   * `refusal` is what the node that answers says of a send; null once it takes it. `reached` says whether another node,
   * whose answer is lost, has taken it before.
   */
  function gateway({ reached }: { readonly reached: boolean }) {
    const mined: string[] = [];
    const pool: `0x${string}`[] = [];
    const nodes = {
      refusal: null as string | null,
      mined,
      /** A block: what is in a pool lands, in the order of its numbers. */
      mine: (): void => {
        for (const raw of pool.splice(0))
          if (parseTransaction(raw).nonce === mined.length) mined.push(keccak256(raw));
      },
      answer: (call: Call): Item => {
        const first = String(call.params[0]);
        switch (call.method) {
          case "eth_sendRawTransaction": {
            const raw = `0x${first.slice(2)}` as const;
            if (reached || nodes.refusal === null) pool.push(raw);
            return nodes.refusal === null
              ? { result: keccak256(raw) }
              : { error: { code: -32000, message: nodes.refusal } };
          }
          case "eth_getTransactionReceipt": {
            const at = mined.indexOf(first) + 1;
            const included = { blockNumber: hex(at), blockHash: blockHash(at), status: "0x1" };
            return { result: at === 0 ? null : { transactionHash: first, ...included } };
          }
          default:
            return decide({ latest: mined.length + 1, nonce: () => ({ result: hex(mined.length) }) })(call);
        }
      },
    };
    return nodes;
  }

  async function begun(nodes: ReturnType<typeof gateway>) {
    let nowMs = 1_000_000;
    const endpoint = await startEndpoint(answerEach(nodes.answer));
    open.push(endpoint);
    const broadcaster = evmBroadcaster({
      account,
      chain: { rpcUrl: endpoint.url, policy: { rpcTimeoutSeconds: 5 } },
      signer: localKeySigner({ account, key: { env: "KEY" }, env: { KEY } }),
    });
    const lane = new MemorySequencer(() => nowMs);
    await admit(lane, "a");
    return {
      lane,
      /** A minute: the lane is worked, a block comes, and the lane looks it up. */
      minute: async (): Promise<void> => {
        await workLane(lane, broadcaster, () => nowMs);
        nodes.mine();
        await consumeConfirmations(
          { messages: [bell("confirmation")] },
          { SEQUENCER: { getByName: () => lane } },
          { config, broadcastersOf: () => () => broadcaster },
        );
        nowMs += 60_000;
      },
    };
  }

  test.each([
    "insufficient funds for gas * price + value: balance 0",
    "txpool is full",
    "replacement transaction underpriced",
    "execution reverted",
    "tx fee (1.05 ether) exceeds the configured cap (1.00 ether)",
  ])("G1: has one effect when one takes the send and the other's answer is %j", async (refusal) => {
    const nodes = gateway({ reached: true });
    const { lane, minute } = await begun(nodes);
    nodes.refusal = refusal;
    await minute();
    nodes.refusal = null;
    for (let more = 0; more < 4; more += 1) await minute();
    expect([nodes.mined.length, lane.statusOf("a")]).toEqual([1, "confirmed"]);
  });

  test("an account without funds keeps the place of what was sent, which lands once it is funded", async () => {
    const nodes = gateway({ reached: false });
    const { lane, minute } = await begun(nodes);
    nodes.refusal = "insufficient funds for gas * price + value: balance 0";
    for (let poor = 0; poor < 3; poor += 1) await minute();
    expect([lane.statusOf("a"), lane.lane.slots.get(0)?.burning]).toEqual(["broadcast", false]);
    nodes.refusal = null;
    await minute();
    expect([nodes.mined.length, lane.statusOf("a")]).toEqual([1, "confirmed"]);
  });
});
