import { z } from "zod";
import type { Failure } from "../../domain/failure.ts";
import { err, ok, type Result } from "../../domain/result.ts";
import type { EvmContext } from "./evm-context.ts";
import { count, hash, quantity, read, toQuantity } from "./evm-reads.ts";
import type { RpcCall } from "./json-rpc.ts";

/** So many sequences are traced in one look-up: others wait for a later one. */
const MAX_TRACED = 20;

const blockWithTransactions = z.object({
  transactions: z.array(
    z.object({ hash, from: z.string().transform((address) => address.toLowerCase()), nonce: quantity }),
  ),
});

/**
 * The transactions of the account that used these sequences up, found in the blocks that hold them, no younger than
 * `block`. A sequence whose transaction is not found, or whose block's state the node no longer has, is left out.
 * Source: a bisection over `eth_getTransactionCount`, then the block itself.
 */
export async function usersOf(
  context: EvmContext,
  sequences: readonly number[],
  block: number,
): Promise<Result<readonly { readonly sequence: number; readonly hash: string }[], Failure>> {
  const users: { sequence: number; hash: string }[] = [];
  for (const sequence of inTurn(sequences, block)) {
    const at = await blockOf(context, sequence, block);
    if (at === null) continue;
    const call: RpcCall = { method: "eth_getBlockByNumber", params: [toQuantity(at), true] };
    const found = await ask(context, call, blockWithTransactions);
    if (!found.ok) return found;
    const user = found.value.transactions.find(
      ({ from, nonce }) => from === context.address && nonce === BigInt(sequence),
    );
    if (user !== undefined) users.push({ sequence, hash: user.hash });
  }
  return ok(users);
}

/**
 * Of many sequences those whose turn it is at this block: numbers that cannot be traced hold up no others for long. The
 * start is scattered (a multiplicative hash), since blocks between two look-ups may come in equal steps.
 */
function inTurn(sequences: readonly number[], block: number): readonly number[] {
  if (sequences.length <= MAX_TRACED) return sequences;
  const start = (Math.imul(block, 0x9e3779b1) >>> 0) % sequences.length;
  return [...sequences.slice(start), ...sequences.slice(0, start)].slice(0, MAX_TRACED);
}

/** The block in which the account's count first passed the sequence; null when the node cannot tell. */
async function blockOf(context: EvmContext, sequence: number, block: number): Promise<number | null> {
  let above = block;
  let below = -1;
  // Backwards in growing steps: what is looked for is recent, as a rule, and old state may be gone.
  for (let step = 1; below < 0 && above > 0; step *= 4) {
    const at = Math.max(0, above - step);
    const counted = await countAt(context, at);
    if (counted === null) return null;
    if (counted > sequence) above = at;
    else below = at;
  }
  if (below < 0) return above === 0 ? null : above;
  while (above - below > 1) {
    const middle = Math.floor((above + below) / 2);
    const counted = await countAt(context, middle);
    if (counted === null) return null;
    if (counted > sequence) above = middle;
    else below = middle;
  }
  return above;
}

async function countAt(context: EvmContext, block: number): Promise<number | null> {
  const call: RpcCall = { method: "eth_getTransactionCount", params: [context.address, toQuantity(block)] };
  const counted = await ask(context, call, count);
  return counted.ok ? counted.value : null;
}

async function ask<Schema extends z.ZodType>(
  context: EvmContext,
  call: RpcCall,
  schema: Schema,
): Promise<Result<z.output<Schema>, Failure>> {
  const answered = await context.rpc.batch([call], context.timeoutMs);
  return answered.ok ? read(call, answered.value[0], schema) : err(answered.error.failure);
}
