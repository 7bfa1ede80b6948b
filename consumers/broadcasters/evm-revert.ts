import { hexToBytes } from "@noble/hashes/utils.js";
import { plainText } from "./json-rpc.ts";

/** Source: the Solidity documentation, "Panic via assert and Error via require". */
const PANICS: ReadonlyMap<number, string> = new Map([
  [0x01, "assertion failed"],
  [0x11, "arithmetic overflow or underflow"],
  [0x12, "division by zero"],
  [0x21, "conversion to an enum out of range"],
  [0x22, "wrongly encoded storage byte array"],
  [0x31, "pop of an empty array"],
  [0x32, "array index out of bounds"],
  [0x41, "too much memory allocated"],
  [0x51, "call of an uninitialized function"],
]);

const ERROR_STRING = "08c379a0";
const PANIC_UINT256 = "4e487b71";

/**
 * What revert data says, fit for a message: the text of `Error(string)`, the name of a `Panic(uint256)`, the
 * selector of a custom error. Null where there is none. Takes the data itself or the objects and texts that some
 * nodes wrap it in.
 */
export function revertReason(data: unknown): string | null {
  const hex = revertHex(data);
  if (hex === null || hex.length < 8) return null;
  const selector = hex.slice(0, 8);
  const body = hex.slice(8);
  switch (selector) {
    case ERROR_STRING:
      return errorString(body);
    case PANIC_UINT256: {
      const code = Number.parseInt(body.slice(0, 64), 16);
      return body.length < 64 ? null : `panic 0x${code.toString(16)} (${PANICS.get(code) ?? "unknown"})`;
    }
    default:
      return `custom error 0x${selector}`;
  }
}

function revertHex(data: unknown): string | null {
  if (typeof data === "object" && data !== null && "data" in data) return revertHex(data.data);
  if (typeof data !== "string") return null;
  const found = /^(?:Reverted )?0x((?:[0-9a-f]{2})+)$/i.exec(data);
  return found?.[1]?.toLowerCase() ?? null;
}

/** ABI: offset, length, bytes. Only the canonical offset is read: the data is the contract's, not to be trusted. */
function errorString(body: string): string | null {
  const length = Number.parseInt(body.slice(64, 128), 16);
  if (
    Number.parseInt(body.slice(0, 64), 16) !== 32 ||
    !Number.isSafeInteger(length) ||
    body.length < 128 + 2 * length
  )
    return null;
  const text = new TextDecoder().decode(hexToBytes(body.slice(128, 128 + 2 * Math.min(length, 1200))));
  return plainText(text);
}
