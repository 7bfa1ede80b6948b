import { utf8ToBytes } from "@noble/hashes/utils.js";
import { err, ok, unreachable, type Result } from "../../domain/result.ts";
import type { SecretForm, SignatureScheme } from "../../domain/signature-scheme.ts";
import {
  readSingle,
  readStandardWebhooks,
  readStripe,
  type Claim,
  type ClaimProblem,
  type HeaderFields,
} from "./claim.ts";
import { anyEqual, decodeBase64, hmacSha256 } from "./mac.ts";

/** What a signature vouches for beside the body. Null where the scheme signs no such thing. */
export interface Signed {
  readonly idSigned: string | null;
  readonly timestampMs: number | null;
}

/**
 * `no-secret` is a fault of the configuration, whatever the request; every other kind is one of the request. The
 * message holds no part of a secret or of a signature. The time is checked before the signature: `too-old` and
 * `too-new` say nothing of who sent the request.
 */
export interface SignatureProblem {
  readonly kind:
    | "missing-header"
    | "malformed-header"
    | "bad-signature"
    | "too-old"
    | "too-new"
    | "no-secret";
  readonly message: string;
}

export interface SignedRequest {
  readonly headers: HeaderFields;
  /** As they came: any bytes at all, UTF-8 or not. */
  readonly body: Uint8Array;
  /** Several while one takes the place of another: each is good. One that cannot be a key fails them all, at once. */
  readonly secrets: readonly string[];
  readonly nowMs: number;
  /** The timestamp may be so far from now, either way, inclusive. Default 300. */
  readonly toleranceSeconds?: number;
}

/**
 * Whether one of the secrets signed these bytes. Never throws for anything that a request can hold.
 *
 * WebCrypto rather than the package `standardwebhooks`: that one decodes the body, so that other bytes than the signed
 * ones can pass; reads the clock itself, and `1614265330abc` as a number; stops at the first signature that fits.
 */
export async function verifySignature(
  scheme: SignatureScheme,
  { headers, body, secrets, nowMs, toleranceSeconds = 300 }: SignedRequest,
): Promise<Result<Signed, SignatureProblem>> {
  const keys = readKeys(scheme, secrets);
  if (!keys.ok) return keys;
  const claim = readClaim(scheme, headers);
  if (!claim.ok) return claim;
  const { idSigned, timestamp, candidates } = claim.value;
  const timestampMs = timestamp === null ? null : Number(timestamp) * 1000;
  if (timestampMs !== null) {
    const ageSeconds = (nowMs - timestampMs) / 1000;
    // Negated, so that a clock that says NaN lets nothing through.
    if (!(ageSeconds <= toleranceSeconds))
      return problem("too-old", timeMessage(ageSeconds, toleranceSeconds));
    if (!(ageSeconds >= -toleranceSeconds))
      return problem("too-new", timeMessage(ageSeconds, toleranceSeconds));
  }
  const prefix = [idSigned, timestamp].map((part) => (part === null ? "" : `${part}.`)).join("");
  const content = concat(utf8ToBytes(prefix), body);
  const macs = await Promise.all(keys.value.map((key) => hmacSha256(key, content)));
  if (!anyEqual(macs, candidates))
    return problem("bad-signature", "no secret made a signature of the request");
  return ok({ idSigned, timestampMs });
}

function readClaim(scheme: SignatureScheme, headers: HeaderFields): Result<Claim, ClaimProblem> {
  switch (scheme.scheme) {
    case "standard-webhooks":
      return readStandardWebhooks(headers);
    case "stripe":
      return readStripe(headers);
    case "github":
      return readSingle(headers, { header: "x-hub-signature-256", encoding: "hex", prefix: "sha256=" });
    case "hmac-sha256":
      return readSingle(headers, scheme);
    default:
      return unreachable(scheme);
  }
}

type Key = Uint8Array<ArrayBuffer>;

function readKeys(
  scheme: SignatureScheme,
  secrets: readonly string[],
): Result<readonly Key[], SignatureProblem> {
  const form = scheme.scheme === "standard-webhooks" ? (scheme.secretForm ?? "whsec") : "raw";
  const keys: Key[] = [];
  for (const [index, secret] of secrets.entries()) {
    const which = `secret ${index + 1} of ${secrets.length}`;
    // A secret that the Worker was not given is undefined, whatever its type says.
    if (typeof secret !== "string" || stripPrefix(secret) === "")
      return problem("no-secret", `${which} is not set`);
    const found = keysOf(secret, form);
    if (found === null) return problem("no-secret", `${which} is not base64, with or without whsec_`);
    // To HMAC, zeros are the empty key: anybody could sign with it.
    if (!found.every((key) => key.some((byte) => byte !== 0)))
      return problem("no-secret", `${which} is a key of zeros`);
    keys.push(...found);
  }
  return keys.length > 0 ? ok(keys) : problem("no-secret", "there is no secret to verify with");
}

/** Null where the secret does not have the form. */
function keysOf(secret: string, form: SecretForm): readonly Key[] | null {
  const raw = utf8ToBytes(secret);
  const decoded = decodeBase64(stripPrefix(secret));
  switch (form) {
    case "raw":
      return [raw];
    case "whsec":
      return decoded === null ? null : [decoded];
    case "either":
      return decoded === null || stripPrefix(secret) === secret ? [raw] : [raw, decoded];
    default:
      return unreachable(form);
  }
}

function stripPrefix(secret: string): string {
  return secret.replace(/^whsec_/, "");
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(head.length + tail.length);
  bytes.set(head);
  bytes.set(tail, head.length);
  return bytes;
}

function timeMessage(ageSeconds: number, toleranceSeconds: number): string {
  const [age, side] = [Math.abs(Math.round(ageSeconds)), ageSeconds < 0 ? "in the future" : "in the past"];
  return `the signed time is ${age} s ${side}: it may be ${toleranceSeconds} s away from now`;
}

function problem(kind: SignatureProblem["kind"], message: string) {
  return err<SignatureProblem>({ kind, message });
}
