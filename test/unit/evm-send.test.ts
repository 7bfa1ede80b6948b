import { afterEach, describe, expect, it } from "vitest";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import { parseAccount } from "../../domain/ids.ts";
import { ADDRESS, against, closeEndpoints, decide, hash, noSigner, rawIndex, signed } from "./evm-chain.ts";
import { answerEach } from "./evm-endpoint.ts";

afterEach(closeEndpoints);

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
          message: "the endpoint left a call of eth_sendRawTransaction without an answer",
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
    expect(kinds(await broadcaster.send(signed(2)))).toEqual(["accepted", "uncertain"]);
  });

  it.each(["invalid chain id for signer", "invalid sender", "nonce too low", "intrinsic gas too low"])(
    "that an endpoint of another chain refuses (%s) is uncertain, and says which chain that is",
    async (message) => {
      const { broadcaster } = await against({
        chainId: 1,
        send: () => ({ error: { code: -32000, message } }),
      });
      expect([...(await broadcaster.send(signed(1))).values()]).toEqual([
        {
          kind: "uncertain",
          failure: {
            code: "wrong_chain",
            message: "the endpoint serves chain 1, the account is on chain 31337",
          },
        },
      ]);
    },
  );

  it("whose refusal names another chain is uncertain on the right one too", async () => {
    const { broadcaster } = await against({
      send: () => ({ error: { code: -32000, message: "invalid chain id for signer" } }),
    });
    expect([...(await broadcaster.send(signed(1))).values()]).toMatchObject([
      { kind: "uncertain", failure: { code: "wrong_chain" } },
    ]);
  });

  it("that is refused asks for chain and transaction in one request more, and an accepted one asks nothing", async () => {
    const { broadcaster, endpoint } = await against({
      send: (raw) =>
        rawIndex(raw) === 0
          ? { result: hash(0) }
          : { error: { code: -32000, message: "intrinsic gas too low" } },
    });
    await broadcaster.send(signed(2));
    expect(endpoint.batches.map((batch) => batch.map(({ method }) => method))).toEqual([
      ["eth_sendRawTransaction", "eth_sendRawTransaction"],
      ["eth_chainId", "eth_getTransactionByHash"],
    ]);
  });

  it("that is refused a hundredfold asks for no more than 100 things in one request", async () => {
    const { broadcaster, endpoint } = await against({
      send: () => ({ error: { code: -32000, message: "intrinsic gas too low" } }),
    });
    expect(new Set(kinds(await broadcaster.send(signed(100))))).toEqual(new Set(["refused"]));
    expect(endpoint.batches.map((batch) => batch.length)).toEqual([100, 100, 2]);
  });

  it.each([
    "insufficient funds for gas * price + value",
    "txpool is full",
    "replacement transaction underpriced",
    "max fee per gas less than block base fee",
    "nonce too high",
    "exceeds block gas limit",
    "execution reverted",
    "sender account not authorized",
  ])(
    "that is refused for what another node may see otherwise (%s) is uncertain, though this one does not have it",
    async (message) => {
      const { broadcaster } = await against({ send: () => ({ error: { code: -32000, message } }) });
      expect(kinds(await broadcaster.send(signed(1)))).toEqual(["uncertain"]);
    },
  );

  it.each(["intrinsic gas too low", "invalid signature", "rlp: value size exceeds available input length"])(
    "that is refused for its bytes (%s) is refused when the node does not have it",
    async (message) => {
      const { broadcaster } = await against({ send: () => ({ error: { code: -32000, message } }) });
      expect(kinds(await broadcaster.send(signed(1)))).toEqual(["refused"]);
    },
  );

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
