import type { Failure, FailureCode } from "../../domain/failure.ts";
import type { Outcome } from "../../domain/outcome.ts";
import { err, unreachable, type Result } from "../../domain/result.ts";
import type { Signed } from "./broadcaster.ts";
import { wrongChain, type EvmContext } from "./evm-context.ts";
import { classifyNodeError } from "./evm-failure.ts";
import { knownTransaction, quantity, read } from "./evm-reads.ts";
import { splitBatches, type RpcCall, type RpcReply } from "./json-rpc.ts";

const NO_TIME: Failure = { code: "endpoint_timeout", message: "no time was left to begin the send" };
const CHAIN_CALL: RpcCall = { method: "eth_chainId", params: [] };
/**
 * What every node of the chain says of these bytes. All else is of the moment, or of the one node: behind a gateway
 * that sends twice, the first node may have taken what the second, which lags or has limits of its own, refuses.
 * "Nonce too low" may even speak of this very transaction. Evidence decides.
 */
const REFUSED_BY_EVERY_NODE: ReadonlySet<FailureCode> = new Set([
  "intrinsic_gas_too_low",
  "invalid_transaction",
]);
/** In one request, beside the chain's id. */
const CONFIRMED_AT_ONCE = 99;

/** Sends in order, in as few requests as fit, all within the time of one. After a request without an answer no other begins. */
export async function send(
  context: EvmContext,
  transactions: readonly Signed[],
): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const refusals = new Map<string, Failure>();
  const deadline = context.now() + context.timeoutMs;
  let stopped: Failure | null = null;
  let next = 0;
  for (const batch of splitBatches(
    transactions.map(({ raw }) => ({ method: "eth_sendRawTransaction", params: [raw] })),
  )) {
    const flight = transactions.slice(next, next + batch.length);
    next += batch.length;
    const remaining = deadline - context.now();
    if (remaining <= 0) stopped ??= NO_TIME;
    if (stopped !== null) {
      for (const { hash } of flight) outcomes.set(hash, { kind: "unavailable", failure: stopped });
      continue;
    }
    const answered = await context.rpc.batch(batch, remaining);
    if (!answered.ok) {
      stopped = answered.error.failure;
      for (const { hash } of flight)
        outcomes.set(hash, { kind: answered.error.began ? "uncertain" : "unavailable", failure: stopped });
      continue;
    }
    for (const [index, { hash }] of flight.entries()) {
      const outcome = outcomeOf(hash, answered.value[index]);
      if (outcome.kind === "refused") refusals.set(hash, outcome.failure);
      outcomes.set(hash, outcome);
    }
  }
  for (const [hash, outcome] of await confirmRefusals(context, refusals, deadline))
    outcomes.set(hash, outcome);
  return outcomes;
}

function outcomeOf(hash: string, reply: RpcReply | undefined): Outcome {
  switch (reply?.kind) {
    case undefined:
      return {
        kind: "uncertain",
        failure: { code: "endpoint_error", message: "the endpoint left the send without an answer" },
      };
    case "missing":
      return { kind: "uncertain", failure: reply.failure };
    case "result":
      return typeof reply.value === "string" && reply.value.toLowerCase() === hash.toLowerCase()
        ? { kind: "accepted" }
        : {
            kind: "uncertain",
            failure: {
              code: "unknown_rpc_error",
              message: "the endpoint answered the send with another value than the transaction's hash",
            },
          };
    case "error": {
      const answer = classifyNodeError(reply.error);
      switch (answer.kind) {
        case "known":
          return { kind: "accepted" };
        case "refused":
          return { kind: "refused", failure: answer.failure };
        case "unclear":
          return { kind: "uncertain", failure: answer.failure };
        default:
          return unreachable(answer);
      }
    }
  }
}

/**
 * A refusal counts once the same endpoint says, in one request, that it serves the account's chain and does not have
 * the transaction. A development node reports the revert of what it has just mined, and a rebroadcast of what is mined
 * is refused as well.
 */
async function confirmRefusals(
  context: EvmContext,
  refusals: ReadonlyMap<string, Failure>,
  deadline: number,
): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const pending = [...refusals];
  for (let start = 0; start < pending.length; start += CONFIRMED_AT_ONCE) {
    const slice = pending.slice(start, start + CONFIRMED_AT_ONCE);
    const remaining = deadline - context.now();
    const answered =
      remaining <= 0
        ? err({ failure: NO_TIME })
        : await context.rpc.batch([CHAIN_CALL, ...slice.map(([hash]) => knownCall(hash))], remaining);
    const chain = answered.ok ? read(CHAIN_CALL, answered.value[0], quantity) : err(answered.error.failure);
    for (const [index, [hash, refusal]] of slice.entries()) {
      const reply = answered.ok ? answered.value[index + 1] : undefined;
      outcomes.set(hash, confirmed(context, refusal, chain, knownCall(hash), reply));
    }
  }
  return outcomes;
}

function confirmed(
  context: EvmContext,
  refusal: Failure,
  chain: Result<bigint, Failure>,
  call: RpcCall,
  reply: RpcReply | undefined,
): Outcome {
  if (chain.ok && chain.value !== context.chainId)
    return { kind: "uncertain", failure: wrongChain(context, chain.value) };
  const found = chain.ok ? read(call, reply, knownTransaction) : chain;
  if (!found.ok) {
    const message = `the node refused (${refusal.message}), but could not be asked whether it has the transaction: ${found.error.message}`;
    return { kind: "uncertain", failure: { ...found.error, message } };
  }
  if (found.value !== null) return { kind: "accepted" };
  return { kind: REFUSED_BY_EVERY_NODE.has(refusal.code) ? "refused" : "uncertain", failure: refusal };
}

function knownCall(hash: string): RpcCall {
  return { method: "eth_getTransactionByHash", params: [hash] };
}
