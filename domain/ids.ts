import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { err, ok, type Result } from "./result.ts";

/**
 * A CAIP-10 account in its one spelling. The spelling names the Durable Object of the lane, so two spellings of
 * one account would be two sequences for one nonce: `parseAccount` is the only constructor.
 */
export type AccountId = string & { readonly spelling: "caip-10" };

/** A CAIP-2 chain id such as `eip155:31337`. */
export type ChainId = string & { readonly spelling: "caip-2" };

/** The idempotency key of a directive within its account. */
export type DirectiveId = string & { readonly spelling: "directive-id" };

export interface Account {
  readonly id: AccountId;
  readonly chain: ChainId;
  readonly namespace: "eip155" | "cosmos";
  readonly address: string;
}

/** Not `.` or `..`: in the path of a URL they are steps, so nobody could ask for that directive. */
const DIRECTIVE_ID = /^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,128}$/;
const EVM_REFERENCE = /^[1-9][0-9]{0,19}$/;
const EVM_ADDRESS = /^0x[0-9a-fA-F]{40}$/;
const COSMOS_REFERENCE = /^[A-Za-z0-9_-]{1,32}$/;
const BECH32_ADDRESS = /^[a-z0-9]{1,20}1[02-9ac-hj-np-z]{38,70}$/i;

export function isDirectiveId(text: string): text is DirectiveId {
  return DIRECTIVE_ID.test(text);
}

/**
 * Reads a CAIP-10 account (`namespace:reference:address`) and gives it its one spelling: EVM addresses in lower
 * case (a mixed-case one must carry a correct EIP-55 checksum), bech32 addresses in lower case.
 * Source: CAIP-10, EIP-55. Error: a sentence that says what is wrong and how to write it.
 */
export function parseAccount(text: string): Result<Account, string> {
  const [namespace, reference, address, ...rest] = text.split(":");
  if (namespace === undefined || reference === undefined || address === undefined || rest.length > 0) {
    return err(
      "must be a CAIP-10 account `namespace:reference:address`, for example eip155:1:0x52908400098527886e0f7030069857d2e4169ee7",
    );
  }
  switch (namespace) {
    case "eip155": {
      if (!EVM_REFERENCE.test(reference))
        return err(
          "the chain reference of an eip155 account must be a decimal chain id without leading zeros",
        );
      const parsed = parseEvmAddress(address);
      return parsed.ok ? ok(account(namespace, reference, parsed.value)) : parsed;
    }
    case "cosmos": {
      if (!COSMOS_REFERENCE.test(reference))
        return err("the chain reference of a cosmos account must be 1 to 32 of A-Z a-z 0-9 _ -");
      const lower = address.toLowerCase();
      if (address !== lower && address !== address.toUpperCase())
        return err("a bech32 address must not mix upper and lower case");
      if (!BECH32_ADDRESS.test(address))
        return err("the address of a cosmos account must be bech32, for example cosmos1…");
      return ok(account(namespace, reference, lower));
    }
    default:
      return err("the namespace must be eip155 or cosmos");
  }
}

/** Reads a 20-byte hex address and gives it in lower case; mixed case must be a correct EIP-55 checksum. */
export function parseEvmAddress(text: string): Result<`0x${string}`, string> {
  if (!EVM_ADDRESS.test(text)) return err("must be an EVM address: 0x and 40 hex digits");
  const digits = text.slice(2);
  const lower = digits.toLowerCase();
  const mixed = digits !== lower && digits !== digits.toUpperCase();
  if (mixed && digits !== checksummed(lower)) {
    return err("has a wrong EIP-55 checksum: correct the address, or write it in lower case");
  }
  const address: `0x${string}` = `0x${lower}`;
  return ok(address);
}

function checksummed(lower: string): string {
  const hash = bytesToHex(keccak_256(utf8ToBytes(lower)));
  return Array.from(lower, (digit, index) =>
    Number.parseInt(hash.charAt(index), 16) >= 8 ? digit.toUpperCase() : digit,
  ).join("");
}

function account(namespace: Account["namespace"], reference: string, address: string): Account {
  const id = `${namespace}:${reference}:${address}`;
  const chain = `${namespace}:${reference}`;
  if (!isSpelled(id) || !isChain(chain)) throw new Error("an account must have three parts");
  return { id, chain, namespace, address };
}

function isSpelled(text: string): text is AccountId {
  return text.split(":").length === 3;
}

function isChain(text: string): text is ChainId {
  return text.split(":").length === 2;
}
