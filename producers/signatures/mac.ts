import { hexToBytes } from "@noble/hashes/utils.js";
import { unreachable } from "../../domain/result.ts";
import type { MacEncoding } from "../../domain/signature-scheme.ts";

/**
 * The bytes of one HMAC-SHA256. Null for everything else: other lengths, alphabets or padding. A base64 text whose
 * spare bits are not zero is none either, so that one MAC has one spelling; hex may be of either case.
 */
export function decodeMac(text: string, encoding: MacEncoding): Uint8Array | null {
  switch (encoding) {
    case "hex":
      return /^[0-9a-fA-F]{64}$/.test(text) ? hexToBytes(text) : null;
    case "base64":
      return /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text) ? decodeBase64(text) : null;
    default:
      return unreachable(encoding);
  }
}

/** Standard alphabet, padding optional. Null for what is not base64. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  const digits = /^([A-Za-z0-9+/]*)(?:={0,2})$/.exec(text)?.[1];
  if (digits === undefined || digits.length % 4 === 1) return null;
  if (text.length !== digits.length && text.length % 4 !== 0) return null;
  return Uint8Array.from(atob(digits), (character) => character.charCodeAt(0));
}

/** `key` must not be empty: WebCrypto throws on such a key. */
export async function hmacSha256(
  key: Uint8Array<ArrayBuffer>,
  content: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, content));
}

/** Whether one of the MACs is one of the candidates. Compares all pairs to the last byte, whatever it finds. */
export function anyEqual(macs: readonly Uint8Array[], candidates: readonly Uint8Array[]): boolean {
  let equal = 0;
  for (const mac of macs) {
    for (const candidate of candidates) {
      let difference = mac.length ^ candidate.length;
      for (const [index, byte] of mac.entries()) difference |= byte ^ (candidate[index] ?? 0);
      equal |= Number(difference === 0);
    }
  }
  return equal === 1;
}
