import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";

/** In wei per gas. */
export interface EvmFees {
  readonly maxPriorityFeePerGas: bigint;
  readonly maxFeePerGas: bigint;
}

/** An EIP-1559 transaction. Amounts in wei, `to` and `data` in hex. */
export interface EvmTransaction extends EvmFees {
  readonly chainId: bigint;
  readonly nonce: bigint;
  readonly gas: bigint;
  readonly to: `0x${string}`;
  readonly value: bigint;
  readonly data: `0x${string}`;
}

export interface EvmSignature {
  readonly r: bigint;
  readonly s: bigint;
  readonly yParity: 0 | 1;
}

const TYPE_2 = Uint8Array.of(0x02);
/** RLP of the empty access list. */
const EMPTY_LIST = Uint8Array.of(0xc0);

/** The fields in RLP, as both the signed and the unsigned form hold them. Source: EIP-1559. */
export function encodeFields(transaction: EvmTransaction): Uint8Array {
  const { chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gas, to, value, data } = transaction;
  return concatBytes(
    rlpNumber(chainId),
    rlpNumber(nonce),
    rlpNumber(maxPriorityFeePerGas),
    rlpNumber(maxFeePerGas),
    rlpNumber(gas),
    rlpBytes(hexToBytes(to.slice(2))),
    rlpNumber(value),
    rlpBytes(hexToBytes(data.slice(2))),
    EMPTY_LIST,
  );
}

/** The bytes that are hashed for signing (without a signature) or sent (with one). */
export function encodeTransaction(fields: Uint8Array, signature?: EvmSignature): Uint8Array {
  const signed =
    signature === undefined
      ? []
      : [rlpNumber(BigInt(signature.yParity)), rlpNumber(signature.r), rlpNumber(signature.s)];
  const length = signed.reduce((total, part) => total + part.length, fields.length);
  return concatBytes(TYPE_2, rlpHeader(length, 0xc0), fields, ...signed);
}

function rlpNumber(value: bigint): Uint8Array {
  if (value === 0n) return Uint8Array.of(0x80);
  const digits = value.toString(16);
  return rlpBytes(hexToBytes(digits.length % 2 === 0 ? digits : `0${digits}`));
}

function rlpBytes(bytes: Uint8Array): Uint8Array {
  const [first] = bytes;
  if (bytes.length === 1 && first !== undefined && first < 0x80) return bytes;
  return concatBytes(rlpHeader(bytes.length, 0x80), bytes);
}

/** `offset` is 0x80 for bytes, 0xc0 for a list. Source: the Ethereum Yellow Paper, appendix B. */
function rlpHeader(length: number, offset: number): Uint8Array {
  if (length < 56) return Uint8Array.of(offset + length);
  const digits = length.toString(16);
  const bytes = hexToBytes(digits.length % 2 === 0 ? digits : `0${digits}`);
  return concatBytes(Uint8Array.of(offset + 55 + bytes.length), bytes);
}

/** The fees of a signed EIP-1559 transaction in hex. Null when it is none: other bytes were never ours. */
export function feesOf(raw: string): EvmFees | null {
  if (!/^0x02(?:[0-9a-f]{2})+$/.test(raw)) return null;
  const list = readItem(hexToBytes(raw.slice(4)), 0);
  if (list === null || !list.isList) return null;
  const fields: Uint8Array[] = [];
  for (let at = list.start; fields.length < 4;) {
    const item = readItem(list.source, at);
    if (item === null || item.isList || item.end > list.end) return null;
    fields.push(list.source.subarray(item.start, item.end));
    at = item.end;
  }
  const [, , maxPriorityFeePerGas, maxFeePerGas] = fields.map((bytes) => BigInt(`0x0${bytesToHex(bytes)}`));
  if (maxPriorityFeePerGas === undefined || maxFeePerGas === undefined) return null;
  return { maxPriorityFeePerGas, maxFeePerGas };
}

/** One RLP item: where its content starts and ends. Null when the bytes end before it does. */
function readItem(source: Uint8Array, at: number) {
  const first = source[at];
  if (first === undefined) return null;
  if (first < 0x80) return { source, isList: false, start: at, end: at + 1 };
  const isList = first >= 0xc0;
  const short = first - (isList ? 0xc0 : 0x80);
  const lengthBytes = short < 56 ? 0 : short - 55;
  const start = at + 1 + lengthBytes;
  const length = short < 56 ? short : Number(BigInt(`0x0${bytesToHex(source.subarray(at + 1, start))}`));
  return start + length > source.length ? null : { source, isList, start, end: start + length };
}
