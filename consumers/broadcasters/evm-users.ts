import { z } from "zod";
import type { Failure } from "../../domain/failure.ts";
import { err, ok, type Result } from "../../domain/result.ts";
import type { EvmContext } from "./evm-context.ts";
import { count, hash, quantity, read, toQuantity } from "./evm-reads.ts";
import type { RpcCall } from "./json-rpc.ts";

/** So many sequences are traced in one look-up: others wait for a later one. */
const MAX_TRACED = 20;
/** A block of a large chain is half a megabyte. */
const SEARCHED_AT_ONCE = 8;
/** More than two days of a chain with a block each twelve seconds. */
const MAX_SEARCHED = 20_000;

interface User {
  readonly sequence: number;
  readonly hash: string;
}

const blockWithTransactions = z
  .object({
    transactions: z.array(
      z.object({ hash, from: z.string().transform((address) => address.toLowerCase()), nonce: quantity }),
    ),
  })
  .nullable();

/**
 * The transactions of the account that used these sequences up, found in the blocks that hold them, no younger than
 * `block`. A sequence whose transaction is not found is left out. Where the node has lost the state of the blocks in
 * question, their transactions are looked through, a few blocks in each look-up.
 * Source: a bisection over `eth_getTransactionCount`, then the blocks themselves.
 */
export async function usersOf(
  context: EvmContext,
  sequences: readonly number[],
  block: number,
): Promise<Result<readonly User[], Failure>> {
  const users: User[] = [];
  let lost: { readonly below: number; readonly sequence: number } | null = null;
  for (const sequence of inTurn(sequences, block)) {
    const { at, isExact } = await blockOf(context, sequence, block);
    const [found] = await usersIn(context, [at], sequence);
    if (found?.ok === false) return found;
    if (found !== undefined && found.value !== null) users.push(found.value);
    else if (!isExact) lost ??= { below: at, sequence };
  }
  if (lost === null) return ok(users);
  // A node that has lost old blocks too answers errors, which say nothing.
  const older = await usersIn(context, searched(lost.below, block), lost.sequence);
  return ok([...users, ...older.flatMap((found) => (found.ok && found.value !== null ? [found.value] : []))]);
}

/**
 * Of many sequences those whose turn it is at this block: numbers that cannot be traced hold up no others for long. The
 * start is scattered, since blocks between two look-ups may come in equal steps.
 */
function inTurn(sequences: readonly number[], block: number): readonly number[] {
  if (sequences.length <= MAX_TRACED) return sequences;
  const start = scattered(block) % sequences.length;
  return [...sequences.slice(start), ...sequences.slice(0, start)].slice(0, MAX_TRACED);
}

/** Of the blocks below one those whose turn it is at this block. */
function searched(below: number, block: number): readonly number[] {
  const blocks = Math.min(below, MAX_SEARCHED);
  const turns = Math.ceil(blocks / SEARCHED_AT_ONCE);
  const first = below - 1 - (turns === 0 ? 0 : scattered(block) % turns) * SEARCHED_AT_ONCE;
  const length = Math.max(0, Math.min(SEARCHED_AT_ONCE, first + 1));
  return Array.from({ length }, (_, index) => first - index);
}

/** A multiplicative hash. */
function scattered(block: number): number {
  return Math.imul(block, 0x9e3779b1) >>> 0;
}

/**
 * The block in which the account's count first passed the sequence. Not exact where the node does not have the state of
 * the block before it: then it is this one, or an older one.
 */
async function blockOf(
  context: EvmContext,
  sequence: number,
  block: number,
): Promise<{ readonly at: number; readonly isExact: boolean }> {
  // The count is known to be above it at `above`, not to be at `below`, and not known at all at `unknown`.
  const bounds = { above: block, below: -1, unknown: -1 };
  const look = async (at: number): Promise<void> => {
    const counted = await countAt(context, at);
    if (counted === null) bounds.unknown = Math.max(bounds.unknown, at);
    else if (counted > sequence) bounds.above = at;
    else bounds.below = at;
  };
  const floor = () => Math.max(bounds.below, bounds.unknown);
  // Backwards in growing steps: what is looked for is recent, as a rule, and old state may be gone.
  for (let step = 1; floor() < 0 && bounds.above > 0; step *= 4) await look(Math.max(0, bounds.above - step));
  while (bounds.above - floor() > 1) await look(Math.floor((bounds.above + floor()) / 2));
  const { above, below } = bounds;
  return { at: above, isExact: above === 0 || below === above - 1 };
}

/** Of each of these blocks the transaction that used the sequence, if it has it. One request. */
async function usersIn(
  context: EvmContext,
  blocks: readonly number[],
  sequence: number,
): Promise<readonly Result<User | null, Failure>[]> {
  if (blocks.length === 0) return [];
  const calls = blocks.map((at): RpcCall => ({
    method: "eth_getBlockByNumber",
    params: [toQuantity(at), true],
  }));
  const answered = await context.rpc.batch(calls, context.timeoutMs);
  if (!answered.ok) return [err(answered.error.failure)];
  return calls.map((call, index) => {
    const found = read(call, answered.value[index], blockWithTransactions);
    if (!found.ok) return found;
    const user = found.value?.transactions.find(
      ({ from, nonce }) => from === context.address && nonce === BigInt(sequence),
    );
    return ok(user === undefined ? null : { sequence, hash: user.hash });
  });
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
