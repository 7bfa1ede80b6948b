import type { Failure } from "../../domain/failure.ts";
import type { Outcome } from "../../domain/outcome.ts";
import { unreachable } from "../../domain/result.ts";
import type { Signed } from "./broadcaster.ts";
import type { EvmContext } from "./evm-context.ts";
import { classifyNodeError } from "./evm-failure.ts";
import { knownTransaction, read } from "./evm-reads.ts";
import { splitBatches, type RpcCall, type RpcReply } from "./json-rpc.ts";

const NO_TIME: Failure = { code: "endpoint_timeout", message: "no time was left to begin the send" };

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
 * "Nonce too low" says that something used the number: behind a gateway that sends twice, perhaps this very
 * transaction, which a replica that lags does not have yet. Evidence decides.
 */
function provesAbsence({ code }: Failure): boolean {
  return code !== "nonce_too_low";
}

/**
 * A refusal counts once the same endpoint says that it does not have the transaction. A gateway that sends twice
 * gets "nonce too low" for what its first send brought into a block, a development node reports the revert of what
 * it has just mined, and a rebroadcast of what is mined is refused as well.
 */
async function confirmRefusals(
  context: EvmContext,
  refusals: ReadonlyMap<string, Failure>,
  deadline: number,
): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const pending = [...refusals];
  const calls = pending.map(([hash]): RpcCall => ({ method: "eth_getTransactionByHash", params: [hash] }));
  let next = 0;
  for (const batch of splitBatches(calls)) {
    const remaining = deadline - context.now();
    const answered = remaining <= 0 ? null : await context.rpc.batch(batch, remaining);
    for (const [index, call] of batch.entries()) {
      const entry = pending[next + index];
      if (entry === undefined) break;
      const [hash, refusal] = entry;
      const unasked = (failure: Failure): Outcome => ({
        kind: "uncertain",
        failure: {
          ...failure,
          message: `the node refused (${refusal.message}), but could not be asked whether it has the transaction: ${failure.message}`,
        },
      });
      if (answered === null) outcomes.set(hash, unasked(NO_TIME));
      else if (!answered.ok) outcomes.set(hash, unasked(answered.error.failure));
      else {
        const found = read(call, answered.value[index], knownTransaction);
        outcomes.set(
          hash,
          !found.ok
            ? unasked(found.error)
            : found.value === null
              ? { kind: provesAbsence(refusal) ? "refused" : "uncertain", failure: refusal }
              : { kind: "accepted" },
        );
      }
    }
    next += batch.length;
  }
  return outcomes;
}
