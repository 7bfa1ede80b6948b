import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { EvmTransactionAction } from "../../domain/directive.ts";
import {
  ADDRESS,
  against,
  candidate,
  closeEndpoints,
  decide,
  GWEI,
  hex,
  TO,
  type Chain,
} from "./evm-chain.ts";
import { answerEach } from "./evm-endpoint.ts";

const HEAD_READS = 6;

afterEach(closeEndpoints);

async function verdictOf(action: Partial<EvmTransactionAction>, chain: Chain = {}) {
  const { broadcaster } = await against(chain);
  const answer = await broadcaster.preflight([candidate("a", action)]);
  return answer.kind === "ready" ? answer.verdicts.get("a") : answer;
}

describe("a preflight", () => {
  it("reads sequence and fees and simulates every candidate in one request", async () => {
    const { broadcaster, endpoint } = await against({});
    expect(
      await broadcaster.preflight([candidate("a"), candidate("b", { data: "0x01", gas: 50_000n })]),
    ).toEqual({
      kind: "ready",
      reading: { sequence: 7 },
      terms: { maxFeePerGas: 3n * GWEI, maxPriorityFeePerGas: GWEI, noOpGas: 21_000n },
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
    expect(endpoint.batches.map((batch) => batch.length)).toEqual([100, 56]);
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
      failure: { code: "rate_limited", message: "the endpoint answered HTTP 429", retryAfterSeconds: 9 },
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

  it("is an outage when the credential may not simulate anything, not a refusal of the directives", async () => {
    const { broadcaster } = await against({
      estimate: () => ({ error: { code: -32000, message: "Unauthorized" } }),
    });
    const outage = { kind: "outage", failure: { code: "unauthorized", message: "Unauthorized" } };
    expect(await broadcaster.preflight([candidate("a")])).toEqual(outage);
    expect(await broadcaster.preflight([candidate("a"), candidate("b")])).toEqual(outage);
  });

  it("refuses the one call that the credential may not simulate, and passes the others", async () => {
    const barred = "0x000000000000000000000000000000000000dead";
    const { broadcaster } = await against({
      estimate: ({ params: [call] }) =>
        JSON.stringify(call).includes(barred)
          ? { error: { code: -32000, message: "unauthorized: the address is on a sanctions list" } }
          : { result: "0x5208" },
    });
    const answer = await broadcaster.preflight([
      candidate("good"),
      candidate("bad", { to: barred }),
      candidate("better"),
    ]);
    if (answer.kind !== "ready") throw new Error(answer.failure.message);
    expect(answer.verdicts.get("bad")).toMatchObject({
      kind: "refused",
      failure: { code: "unauthorized" },
    });
    expect(["good", "better"].map((id) => answer.verdicts.get(id)?.kind)).toEqual(["pass", "pass"]);
  });

  it("is an outage on a chain without a base fee", async () => {
    expect(await verdictOf({}, { baseFee: null })).toMatchObject({
      kind: "outage",
      failure: { code: "endpoint_error" },
    });
  });

  it.each([
    ["and a fifth more where that is no plain transfer", { result: hex(60_000n) }, 72_000n],
    ["or a transfer's where it does not say", { error: { code: 3, message: "execution reverted" } }, 21_000n],
  ])("asks what a no-op of the account costs, %s", async (_, reply, noOpGas) => {
    const { broadcaster, endpoint } = await against({ estimate: () => reply });
    expect(await broadcaster.preflight([])).toMatchObject({ kind: "ready", terms: { noOpGas } });
    expect(endpoint.batches[0]?.[HEAD_READS - 1]?.params).toEqual([
      { from: ADDRESS, to: ADDRESS, value: "0x0" },
      "latest",
    ]);
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
      "the endpoint left a call of eth_estimateGas without an answer",
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
              message: "an eip155 account takes evm.transaction, not cosmos.messages",
            },
          },
        ],
      ]),
    });
    expect(endpoint.batches[0]).toHaveLength(HEAD_READS);
  });
});
