import type { Failure } from "../../domain/failure.ts";
import type { Evidence } from "../../domain/lane.ts";
import { err, ok, type Result } from "../../domain/result.ts";
import type { Anchor, BlockReceipt } from "./evm-blocks.ts";
import { wrongChain, type EvmContext } from "./evm-context.ts";
import { block, blockReceipts, count, quantity, read, receipt, toQuantity } from "./evm-reads.ts";
import type { RpcCall, RpcReply } from "./json-rpc.ts";

/** Receipts in one request, beside its two anchors. */
const RECEIPTS_PER_BATCH = 98;
/** Blocks in one request, beside its anchor: a block names all its transactions. */
const BLOCKS_PER_BATCH = 32;
/** So many hashes, of all the lanes that share the blocks, are cheaper to find in at most so many blocks. */
const WORTH_BLOCKS = 50;
const MAX_BLOCKS = 8;

/**
 * Evidence at block B, `confirmations` deep (B = 0 while the chain is shorter). B's hash is read first, in every
 * request and last, there with the hash of every block that has a receipt, and the account's sequence at B in every
 * request: a reorganization in between, or a second node behind the endpoint that is on another side of a split, however
 * deep, gives an error, never mixed evidence. `looked` has only the hashes that were answered.
 */
export async function lookUp(
  context: EvmContext,
  hashes: readonly string[],
  confirmations: number,
  sinceBlock: number | null,
): Promise<Result<Evidence, Failure>> {
  const anchored = await findAnchor(context, confirmations);
  if (!anchored.ok) return anchored;
  const anchor = anchored.value;
  const byBlock = await findByBlock(context, hashes, sinceBlock, anchor);
  const looked: string[] = [...byBlock.keys()];
  const receipts: BlockReceipt[] = [...byBlock.values()];
  const rest = hashes.filter((hash) => !byBlock.has(hash));
  /** The hashes of the receipts' blocks, as their receipts say. */
  const blocks = new Map([[anchor.number, anchor.hash]]);
  let sequence: number | null = null;
  for (let start = 0; start === 0 || start < rest.length; start += RECEIPTS_PER_BATCH) {
    const slice = rest.slice(start, start + RECEIPTS_PER_BATCH);
    const calls: readonly RpcCall[] = [
      blockCall(anchor.number),
      { method: "eth_getTransactionCount", params: [context.address, toQuantity(anchor.number)] },
      ...slice.map(receiptCall),
    ];
    const answered = await ask(context, calls);
    if (!answered.ok) return answered;
    const [blockReply, countReply, ...receiptReplies] = answered.value;
    const same = checkBlock(anchor, blockReply);
    if (!same.ok) return same;
    const counted = read({ method: "eth_getTransactionCount", params: [] }, countReply, count);
    if (!counted.ok) return counted;
    if (sequence !== null && sequence !== counted.value) return err(disagreement(anchor));
    sequence = counted.value;
    for (const [index, hash] of slice.entries()) {
      const found = read(receiptCall(hash), receiptReplies[index], receipt);
      if (!found.ok) continue;
      if (found.value !== null && found.value.transactionHash !== hash.toLowerCase()) continue;
      const { blockNumber, blockHash, status } = found.value ?? {};
      // In no block.
      if (blockNumber === undefined || blockNumber === null) {
        looked.push(hash);
        continue;
      }
      // Included above the anchor: true, and no evidence at the anchor of anything.
      if (blockNumber > anchor.number) continue;
      // Mined without a status cannot be told from reverted, without a block's hash not from mined on another side of a
      // split: not looked at, so that nothing is concluded.
      if (status === undefined || status === null || blockHash === undefined || blockHash === null) continue;
      if ((blocks.get(blockNumber) ?? blockHash) !== blockHash)
        return err(disagreement({ number: blockNumber }));
      blocks.set(blockNumber, blockHash);
      looked.push(hash);
      receipts.push({ hash, block: blockNumber, success: status === "0x1" });
    }
  }
  blocks.delete(anchor.number);
  const same = await checkBlocks(context, anchor, [...blocks]);
  if (!same.ok) return same;
  return ok({ block: anchor.number, sequence: sequence ?? 0, looked, receipts, foreign: [] });
}

/**
 * Receipts of the blocks after `since` up to the anchor, for those of the hashes that are in them. Empty where that
 * would not be cheaper, or the node does not do it: then each is asked for by its hash.
 */
async function findByBlock(
  context: EvmContext,
  hashes: readonly string[],
  since: number | null,
  anchor: Anchor,
): Promise<ReadonlyMap<string, BlockReceipt>> {
  const found = new Map<string, BlockReceipt>();
  if (
    since === null ||
    hashes.length < WORTH_BLOCKS / context.blocks.lanes ||
    hashes.length === 0 ||
    anchor.number <= since ||
    anchor.number - since > MAX_BLOCKS
  )
    return found;
  const wanted = new Set(hashes);
  for (let number = since + 1; number <= anchor.number; number += 1) {
    const receipts = await context.blocks.receipts(anchor, number, () => receiptsOf(context, number, anchor));
    if (receipts === null) return new Map();
    for (const included of receipts) if (wanted.has(included.hash)) found.set(included.hash, included);
  }
  return found;
}

/** Null where the node does not give them, or gives what cannot be of this block on the anchor's chain. */
async function receiptsOf(
  context: EvmContext,
  number: number,
  anchor: Anchor,
): Promise<readonly BlockReceipt[] | null> {
  const call: RpcCall = { method: "eth_getBlockReceipts", params: [toQuantity(number)] };
  const answered = await ask(context, [call, blockCall(number), blockCall(anchor.number)]);
  if (!answered.ok) return null;
  const [receiptsReply, blockReply, anchorReply] = answered.value;
  const answer = read(call, receiptsReply, blockReceipts);
  const own = read(blockCall(number), blockReply, block);
  if (!answer.ok || !own.ok || !checkBlock(anchor, anchorReply).ok) return null;
  const receipts: BlockReceipt[] = [];
  for (const { transactionHash, blockNumber, blockHash, status } of answer.value) {
    const elsewhere = blockNumber !== number || blockHash !== own.value.hash;
    if (elsewhere || (status !== "0x0" && status !== "0x1")) return null;
    receipts.push({ hash: transactionHash, block: number, success: status === "0x1" });
  }
  return receipts;
}

async function findAnchor(context: EvmContext, confirmations: number): Promise<Result<Anchor, Failure>> {
  const chainCall: RpcCall = { method: "eth_chainId", params: [] };
  const latestCall: RpcCall = { method: "eth_getBlockByNumber", params: ["latest", false] };
  const answered = await ask(context, [chainCall, latestCall]);
  if (!answered.ok) return answered;
  const chain = read(chainCall, answered.value[0], quantity);
  if (!chain.ok) return chain;
  // Another chain's sequence would be false evidence for every slot.
  if (chain.value !== context.chainId) return err(wrongChain(context, chain.value));
  const latest = read(latestCall, answered.value[1], block);
  if (!latest.ok) return latest;
  const number = Math.max(0, latest.value.number - (confirmations - 1));
  if (number === latest.value.number) return ok(latest.value);
  const deep = await ask(context, [blockCall(number)]);
  if (!deep.ok) return deep;
  const found = read(blockCall(number), deep.value[0], block);
  return found.ok && found.value.number !== number ? err(disagreement({ number })) : found;
}

/** Whether the blocks are still on the anchor's chain: one node says so of each of them together with the anchor. */
async function checkBlocks(
  context: EvmContext,
  anchor: Anchor,
  blocks: readonly (readonly [number: number, hash: string])[],
): Promise<Result<null, Failure>> {
  for (let start = 0; start === 0 || start < blocks.length; start += BLOCKS_PER_BATCH) {
    const slice = [
      anchor,
      ...blocks.slice(start, start + BLOCKS_PER_BATCH).map(([number, hash]) => ({ number, hash })),
    ];
    const answered = await ask(
      context,
      slice.map(({ number }) => blockCall(number)),
    );
    if (!answered.ok) return answered;
    for (const [index, expected] of slice.entries()) {
      const same = checkBlock(expected, answered.value[index]);
      if (!same.ok) return same;
    }
  }
  return ok(null);
}

function checkBlock(expected: Anchor, reply: RpcReply | undefined): Result<null, Failure> {
  const found = read(blockCall(expected.number), reply, block.nullable());
  if (!found.ok) return found;
  return found.value?.hash === expected.hash ? ok(null) : err(disagreement(expected));
}

function disagreement({ number }: Pick<Anchor, "number">): Failure {
  return {
    code: "endpoint_error",
    message: `block ${number} changed during the look-up, or the endpoint's nodes do not agree on it`,
  };
}

function blockCall(number: number): RpcCall {
  return { method: "eth_getBlockByNumber", params: [toQuantity(number), false] };
}

function receiptCall(hash: string): RpcCall {
  return { method: "eth_getTransactionReceipt", params: [hash] };
}

async function ask(
  context: EvmContext,
  calls: readonly RpcCall[],
): Promise<Result<readonly RpcReply[], Failure>> {
  const answered = await context.rpc.batch(calls, context.timeoutMs);
  return answered.ok ? answered : err(answered.error.failure);
}
