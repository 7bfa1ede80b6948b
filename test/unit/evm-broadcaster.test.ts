import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Candidate } from "../../consumers/broadcasters/broadcaster.ts";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import type { EvmSigner } from "../../consumers/signers/signer.ts";
import type { EvmTransactionAction } from "../../domain/directive.ts";
import { parseAccount } from "../../domain/ids.ts";
import { answerEach, startEndpoint, type Call, type Endpoint, type Item } from "./evm-endpoint.ts";

const ADDRESS = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const TO = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const GWEI = 1_000_000_000n;
const HEAD_READS = 5;
const open: Endpoint[] = [];

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const hash = (index: number): string => `0x${index.toString(16).padStart(64, "0")}`;
const blockHash = (number: number, fork = 0): string => `0x${fork}${number.toString(16).padStart(63, "b")}`;
const signed = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    hash: hash(index),
    raw: `0x02${index.toString(16).padStart(6, "0")}`,
  }));
const noSigner: EvmSigner = {
  sign: () => Promise.resolve({ ok: false, error: { code: "signer_unavailable", message: "none" } }),
};

function candidate(id: string, action: Partial<EvmTransactionAction> = {}): Candidate {
  return { id, action: { type: "evm.transaction", to: TO, value: 1n, data: "0x", gas: null, ...action } };
}

interface Chain {
  readonly chainId?: number;
  readonly balance?: bigint;
  readonly gasLimit?: bigint;
  readonly baseFee?: bigint | null;
  readonly tip?: Item;
  readonly nonce?: (block: string) => Item;
  readonly latest?: number;
  readonly estimate?: (call: Call) => Item;
  readonly block?: (number: number) => Item;
  readonly receipt?: (hash: string) => Item;
  readonly send?: (raw: string) => Item;
  readonly transaction?: (hash: string) => Item;
}

function block(number: number, { gasLimit = 30_000_000n, baseFee = GWEI }: Chain, fork = 0): Item {
  return {
    result: {
      number: hex(number),
      hash: blockHash(number, fork),
      gasLimit: hex(gasLimit),
      ...(baseFee === null ? {} : { baseFeePerGas: hex(baseFee) }),
    },
  };
}

const text = z.string();
const rawIndex = (raw: string): number => Number.parseInt(raw.slice(4), 16);

function decide(chain: Chain): (call: Call) => Item {
  return (call) => {
    const first = call.params[0];
    switch (call.method) {
      case "eth_chainId":
        return { result: hex(chain.chainId ?? 31337) };
      case "eth_getBalance":
        return { result: hex(chain.balance ?? 10n ** 18n) };
      case "eth_maxPriorityFeePerGas":
        return chain.tip ?? { result: hex(GWEI) };
      case "eth_getTransactionCount":
        return (chain.nonce ?? (() => ({ result: "0x7" })))(text.parse(call.params[1]));
      case "eth_getBlockByNumber": {
        const number = first === "latest" ? (chain.latest ?? 20) : Number(text.parse(first));
        return chain.block?.(number) ?? block(number, chain);
      }
      case "eth_estimateGas":
        return (chain.estimate ?? (() => ({ result: "0x5208" })))(call);
      case "eth_getTransactionReceipt":
        return (chain.receipt ?? (() => ({ result: null })))(text.parse(first));
      case "eth_sendRawTransaction":
        return (chain.send ?? ((raw) => ({ result: hash(rawIndex(raw)) })))(text.parse(first));
      case "eth_getTransactionByHash":
        return (chain.transaction ?? (() => ({ result: null })))(text.parse(first));
      default:
        return { error: { code: -32601, message: "Method not found" } };
    }
  };
}

async function against(
  chain: Chain,
  options: { answer?: Parameters<typeof startEndpoint>[0]; timeoutSeconds?: number; now?: () => number } = {},
) {
  const endpoint = await startEndpoint(options.answer ?? answerEach(decide(chain)));
  open.push(endpoint);
  const account = parseAccount(`eip155:31337:${ADDRESS}`);
  if (!account.ok) throw new Error(account.error);
  const broadcaster = evmBroadcaster({
    account: account.value,
    chain: { rpcUrl: endpoint.url, policy: { rpcTimeoutSeconds: options.timeoutSeconds ?? 5 } },
    signer: noSigner,
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  return { broadcaster, endpoint };
}

async function verdictOf(action: Partial<EvmTransactionAction>, chain: Chain = {}) {
  const { broadcaster } = await against(chain);
  const answer = await broadcaster.preflight([candidate("a", action)]);
  return answer.kind === "ready" ? answer.verdicts.get("a") : answer;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((endpoint) => endpoint.close()));
});

describe("a preflight", () => {
  it("reads sequence and fees and simulates every candidate in one request", async () => {
    const { broadcaster, endpoint } = await against({});
    expect(
      await broadcaster.preflight([candidate("a"), candidate("b", { data: "0x01", gas: 50_000n })]),
    ).toEqual({
      kind: "ready",
      reading: { sequence: 7 },
      terms: { maxFeePerGas: 3n * GWEI, maxPriorityFeePerGas: GWEI },
      verdicts: new Map([
        ["a", { kind: "pass", gas: 21_000n }],
        ["b", { kind: "pass", gas: 50_000n }],
      ]),
    });
    expect(endpoint.batches).toHaveLength(1);
    expect(endpoint.batches[0]?.slice(HEAD_READS).map(({ params }) => params)).toEqual([
      [{ from: ADDRESS, to: TO, value: "0x1" }, "latest"],
      [{ from: ADDRESS, to: TO, value: "0x1", data: "0x01", gas: "0xc350" }, "latest"],
    ]);
  });

  it("splits what is too much for one request, the reads first, and keeps every verdict with its candidate", async () => {
    const { broadcaster, endpoint } = await against({
      estimate: ({ params }) => ({
        result: hex(21_001n + BigInt(z.object({ value: z.string() }).parse(params[0]).value)),
      }),
    });
    const candidates = Array.from({ length: 150 }, (_, index) =>
      candidate(`d${index}`, { value: BigInt(index * 10) }),
    );
    const answer = await broadcaster.preflight(candidates);
    expect(endpoint.batches.map((batch) => batch.length)).toEqual([100, 55]);
    expect(endpoint.batches[0]?.[0]?.method).toBe("eth_chainId");
    const gas = candidates.map(({ id }) => (answer.kind === "ready" ? answer.verdicts.get(id) : undefined));
    expect(gas).toEqual(
      candidates.map((_, index) => ({ kind: "pass", gas: ((21_001n + BigInt(index * 10)) * 6n + 4n) / 5n })),
    );
  });

  it("is ready without candidates", async () => {
    const { broadcaster } = await against({});
    expect(await broadcaster.preflight([])).toMatchObject({ kind: "ready", reading: { sequence: 7 } });
  });

  it("is an outage when the endpoint serves another chain", async () => {
    expect(await verdictOf({}, { chainId: 1 })).toMatchObject({
      kind: "outage",
      failure: { code: "wrong_chain" },
    });
  });

  it.each([
    ["an unknown error", { error: { code: -32000, message: "header not found" } }, "unknown_rpc_error"],
    ["a rate limit", { error: { code: -32005, message: "limit exceeded" } }, "rate_limited"],
    ["no answer", "missing", "endpoint_error"],
    ["a text", { result: "seven" }, "endpoint_error"],
    ["a number beyond 2^53", { result: "0x20000000000000" }, "endpoint_error"],
  ] as const)("is an outage when the sequence is %s", async (_, item, code) => {
    expect(await verdictOf({}, { nonce: () => item })).toMatchObject({ kind: "outage", failure: { code } });
  });

  it("is an outage with the seconds to wait when the endpoint answers 429", async () => {
    const { broadcaster } = await against(
      {},
      { answer: (_, response) => response.writeHead(429, { "retry-after": "9" }).end() },
    );
    expect(await broadcaster.preflight([candidate("a")])).toEqual({
      kind: "outage",
      failure: { code: "rate_limited", message: "The endpoint answered HTTP 429.", retryAfterSeconds: 9 },
    });
  });

  it("is an outage when a later request of it fails", async () => {
    let requests = 0;
    const { broadcaster } = await against(
      {},
      {
        answer: (calls, response) =>
          (requests += 1) === 1 ? answerEach(decide({}))(calls, response) : response.writeHead(403).end(),
      },
    );
    expect(
      await broadcaster.preflight(Array.from({ length: 120 }, (_, index) => candidate(`d${index}`))),
    ).toMatchObject({ kind: "outage", failure: { code: "forbidden" } });
  });

  it("is an outage on a chain without a base fee", async () => {
    expect(await verdictOf({}, { baseFee: null })).toMatchObject({
      kind: "outage",
      failure: { code: "endpoint_error" },
    });
  });

  it("takes a tip of 1 gwei where the node has no opinion", async () => {
    const { broadcaster } = await against({
      tip: { error: { code: -32601, message: "Method not found" } },
      baseFee: 10n,
    });
    expect(await broadcaster.preflight([])).toMatchObject({
      terms: { maxPriorityFeePerGas: GWEI, maxFeePerGas: GWEI + 20n },
    });
  });
});

describe("a verdict", () => {
  it("gives what is no plain transfer a fifth more gas than it needs, rounded up", async () => {
    expect(await verdictOf({}, { estimate: () => ({ result: hex(21_001) }) })).toEqual({
      kind: "pass",
      gas: 25_202n,
    });
  });

  it("lets no margin carry the gas over the block's limit", async () => {
    expect(await verdictOf({}, { estimate: () => ({ result: hex(95_000) }), gasLimit: 100_000n })).toEqual({
      kind: "pass",
      gas: 100_000n,
    });
  });

  it("lets no margin carry the gas over the cap of a transaction", async () => {
    expect(await verdictOf({}, { estimate: () => ({ result: hex(16_000_000) }) })).toEqual({
      kind: "pass",
      gas: 16_777_216n,
    });
    expect(await verdictOf({}, { estimate: () => ({ result: hex(20_000_000) }) })).toEqual({
      kind: "pass",
      gas: 24_000_000n,
    });
  });

  it.each([
    [
      "reverts",
      {
        error: {
          code: 3,
          message: "execution reverted",
          data: `0x08c379a0${hex(32).slice(2).padStart(64, "0")}${hex(2).slice(2).padStart(64, "0")}6e6f`,
        },
      },
      "execution_reverted",
      "execution reverted: no",
    ],
    [
      "cannot be paid",
      { error: { code: -32000, message: "insufficient funds for transfer" } },
      "insufficient_funds",
      "insufficient funds for transfer",
    ],
    [
      "gets an error that no row knows",
      { error: { code: -32099, message: "strange" } },
      "unknown_rpc_error",
      "strange (-32099)",
    ],
    [
      "gets no answer",
      "missing",
      "endpoint_error",
      "The endpoint left a call of eth_estimateGas without an answer.",
    ],
  ] as const)("refuses a call that %s", async (_, item, code, message) => {
    expect(await verdictOf({}, { estimate: () => item })).toEqual({
      kind: "refused",
      failure: { code, message },
    });
  });

  it("refuses gas above the block's limit, whatever the simulation says", async () => {
    expect(await verdictOf({ gas: 30_000_001n })).toMatchObject({
      kind: "refused",
      failure: { code: "gas_limit_exceeded" },
    });
  });

  it("refuses gas below what the simulation needs", async () => {
    expect(await verdictOf({ gas: 30_000n }, { estimate: () => ({ result: hex(40_000) }) })).toMatchObject({
      kind: "refused",
      failure: { code: "out_of_gas" },
    });
  });

  it.each([
    ["that a simulation passed unseen", {}],
    [
      "that a simulation calls out of gas",
      {
        estimate: () => ({
          error: { code: -32003, message: "Out of gas: gas required exceeds allowance: 20999" },
        }),
      },
    ],
  ])("says intrinsic of gas below 21000 %s", async (_, chain) => {
    expect(await verdictOf({ gas: 20_999n }, chain)).toMatchObject({
      kind: "refused",
      failure: { code: "intrinsic_gas_too_low" },
    });
  });

  it("counts calldata into the intrinsic gas", async () => {
    const estimate = () => ({ error: { code: -32000, message: "gas required exceeds allowance (21019)" } });
    expect(await verdictOf({ data: "0x0001", gas: 21_019n }, { estimate })).toMatchObject({
      failure: { code: "intrinsic_gas_too_low" },
    });
    expect(await verdictOf({ data: "0x0001", gas: 21_020n }, { estimate })).toMatchObject({
      failure: { code: "out_of_gas" },
    });
  });

  it("refuses for want of funds what the account cannot pay beside the candidates before it, and passes what it can", async () => {
    const each = 21_000n * 3n * GWEI;
    const { broadcaster } = await against({ balance: 2n * each + 5n });
    const answer = await broadcaster.preflight([
      candidate("a"),
      candidate("b", { value: each }),
      candidate("c", { value: 4n }),
      candidate("d", { value: 0n }),
    ]);
    const kinds =
      answer.kind === "ready"
        ? [...answer.verdicts].map(([id, verdict]) =>
            verdict.kind === "pass" ? `${id} pass` : `${id} ${verdict.failure.code}`,
          )
        : [];
    expect(kinds).toEqual(["a pass", "b insufficient_funds", "c pass", "d insufficient_funds"]);
  });

  it("refuses a cosmos action, without asking the node", async () => {
    const { broadcaster, endpoint } = await against({});
    const answer = await broadcaster.preflight([
      { id: "c", action: { type: "cosmos.messages", messages: [], memo: "", gas: null } },
    ]);
    expect(answer).toMatchObject({
      verdicts: new Map([
        [
          "c",
          {
            kind: "refused",
            failure: {
              code: "unsupported_action",
              message: "An eip155 account takes evm.transaction, not cosmos.messages.",
            },
          },
        ],
      ]),
    });
    expect(endpoint.batches[0]).toHaveLength(HEAD_READS);
  });
});

describe("a send", () => {
  const kinds = (outcomes: ReadonlyMap<string, { kind: string }>): string[] =>
    [...outcomes.values()].map(({ kind }) => kind);

  it("goes out in order, 100 to a request, and has an outcome for every hash", async () => {
    const { broadcaster, endpoint } = await against({});
    const outcomes = await broadcaster.send(signed(250));
    expect(endpoint.batches.map((batch) => batch.length)).toEqual([100, 100, 50]);
    expect(endpoint.batches.flat().map(({ params }) => params[0])).toEqual(signed(250).map(({ raw }) => raw));
    expect([...outcomes.keys()]).toEqual(signed(250).map((transaction) => transaction.hash));
    expect(new Set(kinds(outcomes))).toEqual(new Set(["accepted"]));
  });

  it.each([
    ["is known already", { error: { code: -32000, message: "already known" } }, { kind: "accepted" }],
    [
      "is in the table of refusals",
      { error: { code: -32000, message: "intrinsic gas too low" } },
      { kind: "refused", failure: { code: "intrinsic_gas_too_low", message: "intrinsic gas too low" } },
    ],
    [
      "is not in the table",
      { error: { code: -32000, message: "strange" } },
      { kind: "uncertain", failure: { code: "unknown_rpc_error", message: "strange (-32000)" } },
    ],
    [
      "is an internal error",
      { error: { code: -32603, message: "Internal error" } },
      { kind: "uncertain", failure: { code: "unknown_rpc_error", message: "Internal error (-32603)" } },
    ],
    [
      "is a rate limit",
      { error: { code: -32005, message: "limit exceeded" } },
      { kind: "uncertain", failure: { code: "rate_limited", message: "limit exceeded" } },
    ],
    [
      "is missing",
      "missing",
      {
        kind: "uncertain",
        failure: {
          code: "endpoint_error",
          message: "The endpoint left a call of eth_sendRawTransaction without an answer.",
        },
      },
    ],
  ] as const)("whose answer %s has its own outcome, and the others theirs", async (_, item, expected) => {
    const { broadcaster } = await against({
      send: (raw) => (rawIndex(raw) === 1 ? item : { result: hash(rawIndex(raw)) }),
    });
    const outcomes = await broadcaster.send(signed(3));
    expect([...outcomes.values()]).toEqual([{ kind: "accepted" }, expected, { kind: "accepted" }]);
  });

  it("is uncertain when the node answers with another hash", async () => {
    const { broadcaster } = await against({ send: () => ({ result: hash(99) }) });
    expect(kinds(await broadcaster.send(signed(1)))).toEqual(["uncertain"]);
  });

  it.each([400, 401, 403, 429, 500])(
    "is uncertain for every transaction of a request that was answered with HTTP %i, and did not begin for the next",
    async (status) => {
      const { broadcaster, endpoint } = await against(
        {},
        { answer: (_, response) => response.writeHead(status).end() },
      );
      const outcomes = kinds(await broadcaster.send(signed(150)));
      expect(outcomes).toEqual([
        ...Array.from({ length: 100 }, () => "uncertain"),
        ...Array.from({ length: 50 }, () => "unavailable"),
      ]);
      expect(endpoint.batches).toHaveLength(1);
    },
  );

  it("is uncertain when the answer never comes", async () => {
    const { broadcaster } = await against({}, { answer: () => undefined, timeoutSeconds: 0.05 });
    expect([...(await broadcaster.send(signed(1))).values()]).toMatchObject([
      { kind: "uncertain", failure: { code: "endpoint_timeout" } },
    ]);
  });

  it("begins no request after the time of one is over", async () => {
    let nowMs = 0;
    const answer = answerEach(decide({}));
    const { broadcaster } = await against(
      {},
      { now: () => nowMs, answer: (calls, response) => ((nowMs += 5001), answer(calls, response)) },
    );
    const outcomes = kinds(await broadcaster.send(signed(150)));
    expect(outcomes.filter((kind) => kind === "accepted")).toHaveLength(100);
    expect(outcomes.filter((kind) => kind === "unavailable")).toHaveLength(50);
  });

  it("did not begin when the RPC URL is none", async () => {
    const account = parseAccount(`eip155:31337:${ADDRESS}`);
    if (!account.ok) throw new Error(account.error);
    const broadcaster = evmBroadcaster({
      account: account.value,
      chain: { rpcUrl: "", policy: { rpcTimeoutSeconds: 1 } },
      signer: noSigner,
    });
    expect(kinds(await broadcaster.send(signed(1)))).toEqual(["unavailable"]);
  });

  it("that is refused as too late counts as accepted when the node has the transaction after all", async () => {
    const { broadcaster } = await against({
      send: () => ({ error: { code: -32000, message: "nonce too low" } }),
      transaction: (asked) => ({ result: asked === hash(0) ? { hash: asked, blockNumber: "0x5" } : null }),
    });
    expect(kinds(await broadcaster.send(signed(2)))).toEqual(["accepted", "refused"]);
  });

  it.each([
    ["an error", { error: { code: -32603, message: "Internal error" } }],
    ["no answer", "missing"],
    ["nonsense", { result: "yes" }],
  ] as const)(
    "that is refused is uncertain when the question whether the node has it gets %s",
    async (_, transaction) => {
      const { broadcaster } = await against({
        send: () => ({ error: { code: -32000, message: "nonce too low" } }),
        transaction: () => transaction,
      });
      expect(kinds(await broadcaster.send(signed(1)))).toEqual(["uncertain"]);
    },
  );
});

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
        looked: [0, 1, 2, 3].map(hash),
        receipts: [
          { hash: hash(0), block: 17, success: true },
          { hash: hash(1), block: 18, success: false },
        ],
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
      value: { block: 0, sequence: 0, looked: [hash(0)], receipts: [] },
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
      value: { block: 20, sequence: 7, looked: [], receipts: [] },
    });
  });

  it.each([
    ["an error", { error: { code: -32000, message: "transaction indexing is in progress" } }],
    ["no answer", "missing"],
    ["another hash", mined(hash(77), 3)],
    ["no status", mined(hash(0), 3, { status: undefined })],
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

  it("is an error when a receipt is of another block at the same height", async () => {
    const { broadcaster } = await against({
      receipt: (of) => mined(of, 20, { blockHash: blockHash(20, 1) }),
    });
    expect(await broadcaster.lookUp([hash(0)], 1)).toMatchObject({
      ok: false,
      error: { code: "endpoint_error" },
    });
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
});
