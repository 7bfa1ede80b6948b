import { z } from "zod";
import type { Candidate } from "../../consumers/broadcasters/broadcaster.ts";
import type { SharedBlocks } from "../../consumers/broadcasters/evm-blocks.ts";
import { evmBroadcaster } from "../../consumers/broadcasters/evm.ts";
import type { EvmSigner } from "../../consumers/signers/signer.ts";
import type { EvmTransactionAction } from "../../domain/directive.ts";
import { parseAccount } from "../../domain/ids.ts";
import { answerEach, startEndpoint, type Call, type Endpoint, type Item } from "./evm-endpoint.ts";

export const ADDRESS = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
export const TO = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
export const GWEI = 1_000_000_000n;
const open: Endpoint[] = [];

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
export const hash = (index: number): string => `0x${index.toString(16).padStart(64, "0")}`;
export const blockHash = (number: number, fork = 0): string =>
  `0x${fork}${number.toString(16).padStart(63, "b")}`;
export const signed = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    hash: hash(index),
    raw: `0x02${index.toString(16).padStart(6, "0")}`,
  }));
export const noSigner: EvmSigner = {
  sign: () => Promise.resolve({ ok: false, error: { code: "signer_unavailable", message: "none" } }),
};

export function candidate(id: string, action: Partial<EvmTransactionAction> = {}): Candidate {
  return { id, action: { type: "evm.transaction", to: TO, value: 1n, data: "0x", gas: null, ...action } };
}

export interface Chain {
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
  /** Without it, the node does not know the method. */
  readonly blockReceipts?: (number: number) => Item;
  readonly send?: (raw: string) => Item;
  readonly transaction?: (hash: string) => Item;
}

export function block(number: number, { gasLimit = 30_000_000n, baseFee = GWEI }: Chain, fork = 0): Item {
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
export const rawIndex = (raw: string): number => Number.parseInt(raw.slice(4), 16);

export function decide(chain: Chain): (call: Call) => Item {
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
      case "eth_getBlockReceipts":
        if (chain.blockReceipts !== undefined) return chain.blockReceipts(Number(text.parse(first)));
        return { error: { code: -32601, message: "Method not found" } };
      case "eth_sendRawTransaction":
        return (chain.send ?? ((raw) => ({ result: hash(rawIndex(raw)) })))(text.parse(first));
      case "eth_getTransactionByHash":
        return (chain.transaction ?? (() => ({ result: null })))(text.parse(first));
      default:
        return { error: { code: -32601, message: "Method not found" } };
    }
  };
}

export async function against(
  chain: Chain,
  options: {
    answer?: Parameters<typeof startEndpoint>[0];
    timeoutSeconds?: number;
    blocks?: SharedBlocks;
    now?: () => number;
  } = {},
) {
  const endpoint = await startEndpoint(options.answer ?? answerEach(decide(chain)));
  open.push(endpoint);
  const account = parseAccount(`eip155:31337:${ADDRESS}`);
  if (!account.ok) throw new Error(account.error);
  const broadcaster = evmBroadcaster({
    account: account.value,
    chain: { rpcUrl: endpoint.url, policy: { rpcTimeoutSeconds: options.timeoutSeconds ?? 5 } },
    signer: noSigner,
    ...(options.blocks === undefined ? {} : { blocks: options.blocks }),
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  return { broadcaster, endpoint };
}

/** Ends every endpoint that `against` started. */
export async function closeEndpoints(): Promise<void> {
  await Promise.all(open.splice(0).map((endpoint) => endpoint.close()));
}
