import type { EvmTransactionAction } from "../../domain/directive.ts";
import { isCredentialFailure, type Failure } from "../../domain/failure.ts";
import { err, ok, type Result } from "../../domain/result.ts";
import type { Candidate, Preflight, Verdict } from "./broadcaster.ts";
import { wrongChain, type EvmContext, type EvmTerms } from "./evm-context.ts";
import { block, count, quantity, read, toQuantity } from "./evm-reads.ts";
import { splitBatches, type RpcCall, type RpcReply } from "./json-rpc.ts";

const TRANSFER_GAS = 21_000n;
/** No transaction may ask for more since the Osaka fork, so a margin must not carry one over it. Source: EIP-7825. */
const TRANSACTION_GAS_CAP = 1n << 24n;
/** Where the node has no `eth_maxPriorityFeePerGas`. */
const DEFAULT_TIP = 1_000_000_000n;

interface Head {
  readonly sequence: number;
  readonly balance: bigint;
  readonly gasLimit: bigint;
  readonly terms: EvmTerms;
}

/** Reads chain id, sequence, balance and fees, and simulates every candidate on the latest block: one batch while it fits. */
export async function preflight(
  context: EvmContext,
  candidates: readonly Candidate[],
): Promise<Preflight<EvmTerms>> {
  const actions = candidates.flatMap(({ id, action }) =>
    action.type === "evm.transaction" ? [{ id, action }] : [],
  );
  const reads = headCalls(context);
  const calls = [...reads, ...actions.map(({ action }) => estimateCall(context, action))];
  const deadline = context.now() + context.timeoutMs;
  const replies: RpcReply[] = [];
  let head: Head | null = null;
  for (const batch of splitBatches(calls)) {
    const answered = await context.rpc.batch(batch, deadline - context.now());
    if (!answered.ok) return { kind: "outage", failure: answered.error.failure };
    replies.push(...answered.value);
    if (head !== null) continue;
    const readHeadings = readHead(context, reads, replies);
    if (!readHeadings.ok) return { kind: "outage", failure: readHeadings.error };
    head = readHeadings.value;
  }
  if (head === null)
    return { kind: "outage", failure: { code: "endpoint_error", message: "the endpoint answered nothing" } };

  const simulations = actions.map(({ id, action }, index) => {
    const call = calls[reads.length + index];
    if (call === undefined) throw new Error("every candidate must have its call");
    return { id, action, estimate: read(call, replies[reads.length + index], quantity) };
  });
  // A credential that may not simulate is no directive's fault; one that may not simulate this call alone says nothing
  // of the others.
  const barred = simulations.flatMap(({ estimate }) =>
    !estimate.ok && isCredentialFailure(estimate.error.code) ? [estimate.error] : [],
  );
  if (barred[0] !== undefined && barred.length === simulations.length)
    return { kind: "outage", failure: barred[0] };

  const verdicts = new Map<string, Verdict>();
  for (const { id, action } of candidates) {
    if (action.type !== "evm.transaction")
      verdicts.set(
        id,
        refused("unsupported_action", `an eip155 account takes evm.transaction, not ${action.type}`),
      );
  }
  let spent = 0n;
  for (const { id, action, estimate } of simulations) {
    const verdict = judge(head, spent, action, estimate);
    if (verdict.kind === "pass") spent += cost(head, action, verdict.gas);
    verdicts.set(id, verdict);
  }
  return { kind: "ready", reading: { sequence: head.sequence }, terms: head.terms, verdicts };
}

function headCalls({ address }: EvmContext): readonly RpcCall[] {
  return [
    { method: "eth_chainId", params: [] },
    { method: "eth_getBlockByNumber", params: ["latest", false] },
    { method: "eth_getTransactionCount", params: [address, "latest"] },
    { method: "eth_getBalance", params: [address, "latest"] },
    { method: "eth_maxPriorityFeePerGas", params: [] },
    { method: "eth_estimateGas", params: [{ from: address, to: address, value: "0x0" }, "latest"] },
  ];
}

function readHead(
  context: EvmContext,
  calls: readonly RpcCall[],
  replies: readonly RpcReply[],
): Result<Head, Failure> {
  const [chainCall, blockCall, countCall, balanceCall, tipCall, noOpCall] = calls;
  if (
    chainCall === undefined ||
    blockCall === undefined ||
    countCall === undefined ||
    balanceCall === undefined ||
    tipCall === undefined ||
    noOpCall === undefined
  ) {
    throw new Error("headCalls and readHead must name the same six reads");
  }
  const chain = read(chainCall, replies[0], quantity);
  if (!chain.ok) return chain;
  if (chain.value !== context.chainId) return err(wrongChain(context, chain.value));
  const latest = read(blockCall, replies[1], block);
  if (!latest.ok) return latest;
  const { gasLimit, baseFeePerGas } = latest.value;
  if (baseFeePerGas === undefined)
    return err({
      code: "endpoint_error",
      message: "the chain's blocks have no base fee: it does not take EIP-1559 transactions",
    });
  const sequence = read(countCall, replies[2], count);
  if (!sequence.ok) return sequence;
  const balance = read(balanceCall, replies[3], quantity);
  if (!balance.ok) return balance;
  const tip = tipOf(tipCall, replies[4]);
  if (!tip.ok) return tip;
  // More than a transfer's where the chain charges for its data layer, or where the account has code that runs.
  const noOp = read(noOpCall, replies[5], quantity);
  const noOpGas = noOp.ok ? withMargin(noOp.value, gasLimit) : TRANSFER_GAS;
  // Twice the base fee stays enough for five full blocks.
  const terms = {
    noOpGas,
    maxPriorityFeePerGas: tip.value,
    maxFeePerGas: 2n * baseFeePerGas + tip.value,
  };
  return ok({ sequence: sequence.value, balance: balance.value, gasLimit, terms });
}

function tipOf(call: RpcCall, reply: RpcReply | undefined): Result<bigint, Failure> {
  return reply?.kind === "error" && reply.error.code === -32601
    ? ok(DEFAULT_TIP)
    : read(call, reply, quantity);
}

/** No fee is given: with one, nodes report missing funds as missing gas, which would be permanent. */
function estimateCall({ address }: EvmContext, { to, value, data, gas }: EvmTransactionAction): RpcCall {
  const request = {
    from: address,
    to,
    value: toQuantity(value),
    ...(data === "0x" ? {} : { data }),
    ...(gas === null ? {} : { gas: toQuantity(gas) }),
  };
  return { method: "eth_estimateGas", params: [request, "latest"] };
}

/** Checks what some nodes leave out of a simulation: a plain transfer is passed unseen by anvil, whatever its gas, cap and value. */
function judge(
  head: Head,
  spent: bigint,
  action: EvmTransactionAction,
  estimate: Result<bigint, Failure>,
): Verdict {
  const given = action.gas;
  if (given !== null && given > head.gasLimit)
    return refused("gas_limit_exceeded", `the gas limit ${given} exceeds the block's ${head.gasLimit}`);
  if (!estimate.ok) {
    const tooLow =
      given !== null && estimate.error.code === "out_of_gas" && given < intrinsicGas(action.data);
    return {
      kind: "refused",
      failure: tooLow ? { ...estimate.error, code: "intrinsic_gas_too_low" } : estimate.error,
    };
  }
  if (given !== null && estimate.value > given) {
    return refused(
      given < intrinsicGas(action.data) ? "intrinsic_gas_too_low" : "out_of_gas",
      `the gas limit is ${given}, the call needs ${estimate.value}`,
    );
  }
  const gas = given ?? withMargin(estimate.value, head.gasLimit);
  const needed = spent + cost(head, action, gas);
  if (needed > head.balance)
    return refused(
      "insufficient_funds",
      `value and gas need up to ${needed} wei with the directives before it, the account has ${head.balance} wei`,
    );
  return { kind: "pass", gas };
}

function withMargin(estimate: bigint, blockGasLimit: bigint): bigint {
  if (estimate === TRANSFER_GAS) return estimate;
  const wished = (estimate * 6n + 4n) / 5n;
  const cap =
    estimate <= TRANSACTION_GAS_CAP && TRANSACTION_GAS_CAP < blockGasLimit
      ? TRANSACTION_GAS_CAP
      : blockGasLimit;
  return wished > cap ? (estimate > cap ? estimate : cap) : wished;
}

function cost({ terms }: Head, { value }: EvmTransactionAction, gas: bigint): bigint {
  return value + gas * terms.maxFeePerGas;
}

/** What a call costs before it runs. Source: EIP-2028. */
function intrinsicGas(data: string): bigint {
  let gas = TRANSFER_GAS;
  for (let index = 2; index < data.length; index += 2)
    gas += data.slice(index, index + 2) === "00" ? 4n : 16n;
  return gas;
}

function refused(code: Failure["code"], message: string): Verdict {
  return { kind: "refused", failure: { code, message } };
}
