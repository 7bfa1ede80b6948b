import { describe, expect, it } from "vitest";
import { classifyNodeError, NODE_ERRORS } from "../../consumers/broadcasters/evm-failure.ts";
import { isFailureCode, isPermanent } from "../../domain/failure.ts";

type Expected = "known" | `refused ${string}` | `unclear ${string}`;

/** What nodes say, word for word; those of anvil were read from anvil 1.7.1. */
const WORDINGS: readonly (readonly [node: string, code: number, message: string, expected: Expected])[] = [
  ["anvil", 3, "execution reverted", "refused execution_reverted"],
  ["anvil", 3, "execution reverted: nope!", "refused execution_reverted"],
  ["anvil", 3, "execution reverted: custom error 0xdeadbeef", "refused execution_reverted"],
  ["anvil", -32603, "EVM error InvalidFEOpcode", "refused execution_reverted"],
  ["anvil", -32603, "EVM error OpcodeNotFound", "refused execution_reverted"],
  ["anvil", -32603, "EVM error StackUnderflow", "refused execution_reverted"],
  ["anvil", -32603, "EVM error InvalidJump", "refused execution_reverted"],
  ["geth", -32000, "invalid opcode: INVALID", "refused execution_reverted"],
  ["geth", -32000, "invalid jump destination", "refused execution_reverted"],
  ["geth", -32000, "stack underflow (0 <=> 1)", "refused execution_reverted"],
  ["geth", -32000, "invalid opcode: opcode 0xc not defined", "refused execution_reverted"],
  ["reth", -32003, "EVM error: InvalidFEOpcode", "refused execution_reverted"],
  ["besu", -32000, "Execution reverted", "refused execution_reverted"],
  [
    "besu",
    -32000,
    "Transaction processing could not be completed due to an exception",
    "refused execution_reverted",
  ],
  ["OpenEthereum", -32015, "VM execution error.", "refused execution_reverted"],
  [
    "hardhat",
    -32603,
    "VM Exception while processing transaction: reverted with reason string 'nope'",
    "refused execution_reverted",
  ],
  ["a contract", 3, "execution reverted: already known", "refused execution_reverted"],
  ["a contract", 3, "execution reverted: nonce too low", "refused execution_reverted"],

  ["anvil", -32003, "Out of gas: gas required exceeds allowance: 100000", "refused out_of_gas"],
  ["geth", -32000, "gas required exceeds allowance (30000000)", "refused out_of_gas"],
  ["reth", -32003, "out of gas: gas exhausted during memory expansion: 21000", "refused out_of_gas"],
  [
    "nethermind",
    -32015,
    "Cannot estimate gas, gas spent exceeded transaction and block gas limit",
    "refused out_of_gas",
  ],
  ["reth", -32003, "EVM error: OutOfGas", "refused out_of_gas"],

  ["anvil", -32003, "transaction already imported", "known"],
  ["geth", -32000, "already known", "known"],
  ["older geth", -32000, "known transaction: 0x5d3a", "known"],
  ["erigon", -32000, "ALREADY_EXISTS: already known", "known"],
  ["erigon", -32000, "existing txn with same hash", "known"],
  ["besu", -32000, "Known transaction", "known"],
  ["OpenEthereum", -32010, "Transaction with the same hash was already imported.", "known"],
  ["a Cosmos chain", -32000, "tx already in mempool", "known"],

  ["anvil", -32003, "replacement transaction underpriced", "refused nonce_occupied"],
  [
    "geth",
    -32000,
    "replacement transaction underpriced: new tx gas fee cap 1 <= 2 queued",
    "refused nonce_occupied",
  ],
  ["geth", -32000, "address already reserved", "refused nonce_occupied"],
  ["erigon", -32000, "INTERNAL_ERROR: could not replace existing tx", "refused nonce_occupied"],
  ["besu", -32000, "Replacement transaction underpriced", "refused nonce_occupied"],
  [
    "OpenEthereum",
    -32010,
    "Transaction gas price is too low. There is another transaction with same nonce in the queue. Try increasing the gas price or incrementing the nonce.",
    "refused nonce_occupied",
  ],
  [
    "hardhat",
    -32000,
    "Replacement transaction underpriced. A gasPrice/maxFeePerGas of at least 2 is necessary to replace the existing transaction with nonce 0.",
    "refused nonce_occupied",
  ],

  ["anvil", -32003, "nonce too low", "refused nonce_too_low"],
  ["geth", -32000, "nonce too low: next nonce 1, tx nonce 0", "refused nonce_too_low"],
  ["besu", -32001, "Nonce too low", "refused nonce_too_low"],
  [
    "OpenEthereum",
    -32010,
    "Transaction nonce is too low. Try incrementing the nonce.",
    "refused nonce_too_low",
  ],
  ["nethermind", -32010, "OldNonce, Current nonce: 3, nonce of rejected tx: 1.", "refused nonce_too_low"],

  ["geth", -32000, "nonce too high: tx nonce 9, gapped nonce 2", "refused nonce_too_high"],
  ["geth", -32000, "gapped-nonce tx from delegated accounts", "refused nonce_too_high"],
  ["besu", -32000, "Transaction nonce is too distant from current sender nonce", "refused nonce_too_high"],
  ["nethermind", -32010, "nonce too far in future", "refused nonce_too_high"],
  ["nethermind", -32010, "NonceGap, Future nonce. Expected nonce: 1", "refused nonce_too_high"],
  [
    "hardhat",
    -32000,
    "Nonce too high. Expected nonce to be 1 but got 5. Note that transactions can't be queued when automining.",
    "refused nonce_too_high",
  ],

  ["geth", -32000, "txpool is full", "refused pool_full"],
  ["geth", -32000, "account limit exceeded: pooled 16 txs", "refused pool_full"],
  ["geth", -32000, "future transaction tries to replace pending", "refused pool_full"],
  ["geth", -32000, "in-flight transaction limit reached for delegated accounts", "refused pool_full"],
  ["erigon", -32000, "pending sub-pool is full", "refused pool_full"],
  [
    "OpenEthereum",
    -32010,
    "There are too many transactions in the queue. Your transaction was dropped due to limit. Try increasing the fee.",
    "refused pool_full",
  ],

  ["anvil", -32003, "max fee per gas less than block base fee", "refused fee_too_low"],
  [
    "geth",
    -32000,
    "max fee per gas less than block base fee: address 0xf39f, maxFeePerGas: 1, baseFee: 1000000000",
    "refused fee_too_low",
  ],
  ["geth", -32000, "transaction underpriced: gas tip cap 0, minimum needed 1", "refused fee_too_low"],
  [
    "geth",
    -32000,
    "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
    "refused fee_too_low",
  ],
  ["erigon", -32000, "fee too low", "refused fee_too_low"],
  [
    "nethermind",
    -32010,
    "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 2",
    "refused fee_too_low",
  ],
  ["reth", -32003, "transaction priority fee below minimum required priority fee 5", "refused fee_too_low"],
  ["besu", -32009, "Gas price below configured minimum gas price", "refused fee_too_low"],
  ["besu", -32009, "Gas price below current base fee", "refused fee_too_low"],
  [
    "hardhat",
    -32000,
    "Transaction maxFeePerGas (1) is too low for the next block, which has a baseFeePerGas of 875000000",
    "refused fee_too_low",
  ],

  ["anvil", -32003, "Insufficient funds for gas * price + value", "refused insufficient_funds"],
  [
    "geth",
    -32000,
    "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1",
    "refused insufficient_funds",
  ],
  ["geth", -32000, "insufficient funds for transfer", "refused insufficient_funds"],
  ["nethermind", -32010, "InsufficientFunds, Account balance: 0", "refused insufficient_funds"],
  ["besu", -32004, "Upfront cost exceeds account balance", "refused insufficient_funds"],
  [
    "hardhat",
    -32000,
    "Sender doesn't have enough funds to send tx. The max upfront cost is: 2 and the sender's balance is: 1.",
    "refused insufficient_funds",
  ],
  [
    "OpenEthereum",
    -32010,
    "Insufficient funds. The account you tried to send transaction from does not have enough funds. Required 2 and got: 1.",
    "refused insufficient_funds",
  ],

  ["anvil", -32000, "intrinsic gas too low", "refused intrinsic_gas_too_low"],
  ["geth", -32000, "intrinsic gas too low: gas 20000, minimum needed 21000", "refused intrinsic_gas_too_low"],
  [
    "geth",
    -32000,
    "insufficient gas for floor data gas cost: gas 21000, minimum needed 21400",
    "refused intrinsic_gas_too_low",
  ],
  ["erigon", -32000, "IntrinsicGas", "refused intrinsic_gas_too_low"],
  ["besu", -32003, "Intrinsic gas exceeds gas limit", "refused intrinsic_gas_too_low"],
  [
    "hardhat",
    -32000,
    "Transaction requires at least 21000 gas but got 20000",
    "refused intrinsic_gas_too_low",
  ],
  [
    "OpenEthereum",
    -32010,
    "Transaction gas is too low. There is not enough gas to cover minimal cost of the transaction (minimal: 21000, got: 20000). Try increasing supplied gas.",
    "refused intrinsic_gas_too_low",
  ],

  [
    "anvil",
    -32000,
    "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit",
    "refused gas_limit_exceeded",
  ],
  ["geth", -32000, "exceeds block gas limit", "refused gas_limit_exceeded"],
  [
    "geth",
    -32000,
    "transaction gas limit too high (cap: 16777216, tx: 21000000)",
    "refused gas_limit_exceeded",
  ],
  ["erigon", -32000, "gas limit is too high", "refused gas_limit_exceeded"],
  ["nethermind", -32010, "gas limit reached", "refused gas_limit_exceeded"],
  [
    "nethermind",
    -32010,
    "TxGasLimitCapExceeded: Gas limit 20000000 exceeded cap of 16777216.",
    "refused gas_limit_exceeded",
  ],
  ["reth", -32000, "exceeds max transaction gas limit", "refused gas_limit_exceeded"],
  ["besu", -32005, "Transaction gas limit exceeds block gas limit", "refused gas_limit_exceeded"],
  [
    "OpenEthereum",
    -32010,
    "Transaction cost exceeds current gas limit. Limit: 1, got: 2. Try decreasing supplied gas.",
    "refused gas_limit_exceeded",
  ],

  ["anvil", -32003, "invalid chain id for signer", "refused wrong_chain"],
  ["anvil", -32003, "max priority fee per gas higher than max fee per gas", "refused invalid_transaction"],
  ["anvil", -32003, "max initcode size exceeded", "refused invalid_transaction"],
  ["anvil", -32602, "Failed to decode transaction", "refused invalid_transaction"],
  ["anvil", -32602, "Empty transaction data", "refused invalid_transaction"],
  ["anvil", -32000, "Unknown transaction type not supported", "refused invalid_transaction"],
  ["geth", -32000, "invalid sender", "refused invalid_transaction"],
  ["geth", -32000, "invalid chain id for signer: have 1 want 31337", "refused wrong_chain"],
  ["geth", -32000, "invalid sender: invalid chain id for signer: have 1 want 31337", "refused wrong_chain"],
  [
    "geth",
    -32000,
    "transaction type not supported: type 4 rejected, pool not yet in Prague",
    "refused invalid_transaction",
  ],
  ["geth", -32000, "oversized data: transaction size 140110, limit 131072", "refused invalid_transaction"],
  ["geth", -32000, "rlp: value size exceeds available input length", "refused invalid_transaction"],
  ["geth", -32000, "nonce has max value", "refused invalid_transaction"],
  ["geth", -32000, "sender not an eoa: address 0xf39f, len(code): 1", "refused invalid_transaction"],
  ["geth", -32000, "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", "refused fee_too_high"],
  ["besu", -32000, "Transaction fee cap exceeded", "refused fee_too_high"],
  ["erigon", -32000, "RLPTooLong", "refused invalid_transaction"],
  ["nethermind", -32010, "Invalid, InvalidTxChainId: Expected 1, got 31337.", "refused wrong_chain"],
  ["besu", -32000, "Wrong chainId", "refused wrong_chain"],
  ["besu", -32002, "Invalid signature", "refused invalid_transaction"],
  ["besu", -32000, "Max priority fee per gas exceeds max fee per gas", "refused invalid_transaction"],

  ["besu", -32007, "Sender account not authorized to send transactions", "refused forbidden"],

  ["a gateway", -32000, "Unauthorized", "unclear unauthorized"],
  ["a gateway", -32600, "Must be authenticated!", "unclear unauthorized"],
  ["a gateway", -32005, "daily request count exceeded, request rate limited", "unclear rate_limited"],
  ["a gateway", 429, "Your app has exceeded its compute units per second capacity.", "unclear rate_limited"],
  ["besu", -32005, "Number of requests exceeds max batch size", "unclear rate_limited"],
  ["geth", -32002, "request timed out", "unclear endpoint_timeout"],
  ["besu", -32603, "Timeout expired", "unclear endpoint_timeout"],

  ["a node", -32603, "Internal error", "unclear unknown_rpc_error"],
  [
    "a node",
    -32601,
    "the method eth_sendRawTransaction does not exist/is not available",
    "unclear unknown_rpc_error",
  ],
  ["geth", -32000, "missing trie node", "unclear unknown_rpc_error"],
  ["nethermind", -32010, "Syncing", "unclear unknown_rpc_error"],
  [
    "ganache",
    -32000,
    "the tx doesn't have the correct nonce. account has nonce of: 1 tx has nonce of: 0",
    "unclear unknown_rpc_error",
  ],
  ["a node", -32000, "unknown transaction", "unclear unknown_rpc_error"],
  ["a node", -32000, "", "unclear unknown_rpc_error"],
];

function described(code: number, message: string): string {
  const answer = classifyNodeError({ code, message, data: undefined });
  return answer.kind === "known" ? "known" : `${answer.kind} ${answer.failure.code}`;
}

describe("the table of node errors", () => {
  it.each(WORDINGS)("%s, %i %j: %s", (_, code, message, expected) => {
    expect(described(code, message)).toBe(expected);
  });

  it.each(
    NODE_ERRORS.map(
      (row, index) => [`${"code" in row ? row.code : row.kind} (row ${index})`, index] as const,
    ),
  )("%s decides the case of a node's own words", (_, index) => {
    const deciders = WORDINGS.map(([, code, message]) =>
      NODE_ERRORS.findIndex(
        (row) => row.pattern.test(message) || ("codes" in row && row.codes.some((known) => known === code)),
      ),
    );
    expect(deciders).toContain(index);
  });

  it("G5: calls no fee of the moment, and no state of a node, a fault of the directive for good", () => {
    const transient = [
      "fee_too_low",
      "fee_too_high",
      "insufficient_funds",
      "pool_full",
      "wrong_chain",
    ] as const;
    expect(transient.filter(isPermanent)).toEqual([]);
    expect(NODE_ERRORS.flatMap((row) => ("code" in row ? [row.code] : []))).toEqual(
      expect.arrayContaining([...transient]),
    );
  });

  it("names only failure codes of the domain", () => {
    expect(NODE_ERRORS.filter((row) => "code" in row && !isFailureCode(row.code))).toEqual([]);
  });

  it("has patterns that keep no state between two uses", () => {
    expect(NODE_ERRORS.filter(({ pattern }) => pattern.global || pattern.sticky)).toEqual([]);
  });
});

describe("the message of a failure", () => {
  const said = (message: string, data: unknown, code = 3): string => {
    const answer = classifyNodeError({ code, message, data });
    return answer.kind === "known" ? "" : answer.failure.message;
  };
  const word = (value: number): string => value.toString(16).padStart(64, "0");
  const errorData = (text: string): string =>
    `0x08c379a0${word(32)}${word(Buffer.byteLength(text))}${Buffer.from(text).toString("hex")}`;

  it("is the node's own", () => {
    expect(said("nonce too low: next nonce 1, tx nonce 0", undefined, -32000)).toBe(
      "nonce too low: next nonce 1, tx nonce 0",
    );
  });

  it("of an unlisted error carries its code", () => {
    expect(said("strange", undefined, -32099)).toBe("strange (-32099)");
  });

  it("gets the text of Error(string) from the data, once", () => {
    expect(said("execution reverted", errorData("nope!"))).toBe("execution reverted: nope!");
    expect(said("execution reverted: nope!", errorData("nope!"))).toBe("execution reverted: nope!");
  });

  it("gets the name of a Panic(uint256)", () => {
    expect(said("execution reverted", `0x4e487b71${word(0x11)}`)).toBe(
      "execution reverted: panic 0x11 (arithmetic overflow or underflow)",
    );
    expect(said("execution reverted", `0x4e487b71${word(0x99)}`)).toBe(
      "execution reverted: panic 0x99 (unknown)",
    );
  });

  it("gets the selector of a custom error", () => {
    expect(said("execution reverted", "0xdeadbeef00")).toBe("execution reverted: custom error 0xdeadbeef");
  });

  it("finds the data where OpenEthereum and hardhat put it", () => {
    expect(said("VM execution error.", `Reverted ${errorData("nope!")}`, -32015)).toBe(
      "VM execution error.: nope!",
    );
    expect(
      said(
        "VM Exception while processing transaction: revert",
        { message: "m", data: errorData("nope!") },
        -32603,
      ),
    ).toBe("VM Exception while processing transaction: revert: nope!");
  });

  it.each([
    ["missing", undefined],
    ["empty", "0x"],
    ["cut short", "0x08c3"],
    ["lying about its length", `0x08c379a0${word(32)}${word(2 ** 40)}aa`],
    ["lying about its offset", `0x08c379a0${word(64)}${word(1)}aa`],
    ["without a code", "0x4e487b71"],
    ["not hex", "nope"],
  ])("leaves out data that is %s", (_, data) => {
    expect(said("execution reverted", data)).toBe("execution reverted");
  });

  it("takes no control characters and no length from a contract", () => {
    const message = said("execution reverted", errorData(`a\u0000\u001b[31mb${"x".repeat(5000)}`));
    expect(message).toContain("a [31mb");
    expect(message.length).toBeLessThan(330);
  });
});
