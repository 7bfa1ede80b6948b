import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { getPublicKey, hashes, sign, utils } from "@noble/secp256k1";
import type { EnvName } from "../../domain/webhook-source.ts";
import type { Failure } from "../../domain/failure.ts";
import type { Account, AccountId } from "../../domain/ids.ts";
import { err, ok, type Result } from "../../domain/result.ts";
import { encodeFields, encodeTransaction, type EvmTransaction } from "./evm-transaction.ts";
import type { EvmSigner, SignedTransaction } from "./signer.ts";

// The library signs synchronously only with these set.
hashes.sha256 = sha256;
hashes.hmacSha256 = (key, message) => hmac(sha256, key, message);

interface ParsedKey {
  readonly text: string;
  readonly secret: Uint8Array;
}

/** Checking a key costs more than a signature. The text is kept, so that a rotated secret is checked anew. */
const parsedKeys = new Map<AccountId, ParsedKey>();

/**
 * Signs with the hex private key in the secret that `key` names. The secret is read when something is to be signed;
 * where it is missing, unreadable or another account's, `sign` answers `signer_unavailable`, never with a part of it.
 */
export function localKeySigner({
  account,
  key,
  env,
}: {
  readonly account: Account;
  readonly key: EnvName;
  readonly env: object;
}): EvmSigner {
  return {
    async sign(transactions) {
      const read = readKey(account, key, env);
      return read.ok ? ok(transactions.map((transaction) => signTransaction(transaction, read.value))) : read;
    },
  };
}

/** Deterministic (RFC 6979): the same transaction and key give the same bytes. */
export function signTransaction(transaction: EvmTransaction, secret: Uint8Array): SignedTransaction {
  const fields = encodeFields(transaction);
  const signature = sign(keccak_256(encodeTransaction(fields)), secret, {
    prehash: false,
    format: "recovered",
  });
  const raw = encodeTransaction(fields, {
    yParity: signature[0] === 1 ? 1 : 0,
    r: BigInt(`0x${bytesToHex(signature.subarray(1, 33))}`),
    s: BigInt(`0x${bytesToHex(signature.subarray(33, 65))}`),
  });
  return { hash: `0x${bytesToHex(keccak_256(raw))}`, raw: `0x${bytesToHex(raw)}` };
}

function readKey(account: Account, key: EnvName, env: object): Result<Uint8Array, Failure> {
  const text: unknown = Reflect.get(env, key.env);
  const unavailable = (why: string): Result<never, Failure> =>
    err({ code: "signer_unavailable", message: `the secret ${key.env} ${why}` });
  if (typeof text !== "string" || text === "") return unavailable("is not set");
  const cached = parsedKeys.get(account.id);
  if (cached?.text === text) return ok(cached.secret);
  const hex = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text.trim())?.[1];
  const secret = hex === undefined ? null : hexToBytes(hex);
  if (secret === null || !utils.isValidSecretKey(secret))
    return unavailable("is not a private key of 32 bytes in hex");
  if (addressOf(secret) !== account.address) return unavailable(`is not the key of ${account.id}`);
  parsedKeys.set(account.id, { text, secret });
  return ok(secret);
}

function addressOf(secret: Uint8Array): string {
  return `0x${bytesToHex(keccak_256(getPublicKey(secret, false).subarray(1)).subarray(12))}`;
}
