import { utf8ToBytes } from "@noble/hashes/utils.js";
import { err, ok, unreachable, type Result } from "../../domain/result.ts";
import { anyEqual, decodeBase64, decodeMac, hmacSha256, type MacEncoding } from "./mac.ts";

/** How a provider signs. All of them are HMAC-SHA256; they differ in headers, in what is signed, and in the key. */
export type SignatureScheme =
  /** https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> v1,…`. */
  | { readonly scheme: "standard-webhooks"; readonly secretForm?: SecretForm }
  /** `stripe-signature: t=<seconds>,v1=<hex>,v1=…`. The key is the text of the secret, `whsec_` included. */
  | { readonly scheme: "stripe" }
  /** `x-hub-signature-256: sha256=<hex>` over the body alone: nothing in it tells the time or the event. */
  | { readonly scheme: "github" }
  /**
   * One header, a valid field name, that holds `prefix` and one MAC: of the body, or, with a `timestampHeader` (Unix
   * seconds), of `<timestamp>.<body>`. The key is the text of the secret.
   */
  | {
      readonly scheme: "hmac-sha256";
      readonly header: string;
      readonly encoding: MacEncoding;
      readonly prefix?: string;
      readonly timestampHeader?: string;
    };

/**
 * What the key of Standard Webhooks is. `whsec`, the default: the base64 that follows an optional `whsec_`. `raw`: the
 * whole text of the secret, as Polar signs with secrets from before 2026-09-08. `either`: both keys are tried, as
 * Polar's own SDK does; the form for Polar, since the text does not tell which of the two its secret is.
 */
export type SecretForm = "whsec" | "raw" | "either";

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
  readonly headers: { get(name: string): string | null };
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
 * WebCrypto rather than the package `standardwebhooks`: that one decodes the body, and so takes other bytes than were
 * signed for the same; reads the clock itself and `1614265330abc` as a number; stops at the first signature that fits.
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
  const macs = await Promise.all(keys.value.map((key) => hmacSha256(key, prefix, body)));
  if (!anyEqual(macs, candidates))
    return problem("bad-signature", "no secret made a signature of the request");
  return ok({ idSigned, timestampMs });
}

/** What the headers say was signed. None of it is true before a candidate is found to be the MAC. */
interface Claim {
  readonly idSigned: string | null;
  /** Unix seconds, as the header spells them: the spelling is signed. */
  readonly timestamp: string | null;
  /** 1 to MAX_CANDIDATES. */
  readonly candidates: readonly Uint8Array[];
}

type Headers = SignedRequest["headers"];

const MAX_HEADER_LENGTH = 4096;
const MAX_CANDIDATES = 16;

function readClaim(scheme: SignatureScheme, headers: Headers): Result<Claim, SignatureProblem> {
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

function readStandardWebhooks(headers: Headers): Result<Claim, SignatureProblem> {
  const id = readHeader(headers, "webhook-id");
  if (!id.ok) return id;
  // With a full stop in it, the same signed bytes could be read as another id, time and body.
  if (!/^[!-\-/-~]{1,256}$/.test(id.value))
    return malformed("webhook-id", "must be 1 to 256 visible ASCII characters without a full stop");
  const timestamp = readTimestamp(headers, "webhook-timestamp");
  if (!timestamp.ok) return timestamp;
  const header = readHeader(headers, "webhook-signature");
  if (!header.ok) return header;
  const texts: string[] = [];
  for (const part of header.value.split(" ")) {
    const [, version, text] = /^([a-z0-9]+),([^, ]+)$/i.exec(part) ?? [];
    if (version === undefined || text === undefined)
      return malformed("webhook-signature", "must be <version>,<signature>, several with one space between");
    if (version === "v1") texts.push(text);
  }
  const candidates = readCandidates("webhook-signature", texts, "base64");
  if (!candidates.ok) return candidates;
  return ok({ idSigned: id.value, timestamp: timestamp.value, candidates: candidates.value });
}

function readStripe(headers: Headers): Result<Claim, SignatureProblem> {
  const header = readHeader(headers, "stripe-signature");
  if (!header.ok) return header;
  const times: string[] = [];
  const texts: string[] = [];
  for (const part of header.value.split(",")) {
    const [, name, text] = /^([a-z0-9]+)=([^ ]*)$/i.exec(part) ?? [];
    if (name === undefined || text === undefined)
      return malformed("stripe-signature", "must be <name>=<value>, several with one comma between");
    if (name === "t") times.push(text);
    if (name === "v1") texts.push(text);
  }
  const [timestamp] = times;
  if (timestamp === undefined || times.length > 1 || !isTimestamp(timestamp))
    return malformed("stripe-signature", "must hold one t, in Unix seconds");
  const candidates = readCandidates("stripe-signature", texts, "hex");
  return candidates.ok ? ok({ idSigned: null, timestamp, candidates: candidates.value }) : candidates;
}

interface SingleHeader {
  readonly header: string;
  readonly encoding: MacEncoding;
  readonly prefix?: string;
  readonly timestampHeader?: string;
}

function readSingle(headers: Headers, scheme: SingleHeader): Result<Claim, SignatureProblem> {
  const { header: name, encoding, prefix = "", timestampHeader } = scheme;
  const timestamp = timestampHeader === undefined ? ok(null) : readTimestamp(headers, timestampHeader);
  if (!timestamp.ok) return timestamp;
  const header = readHeader(headers, name);
  if (!header.ok) return header;
  if (!header.value.startsWith(prefix))
    return malformed(name, "does not begin with the prefix of the scheme");
  const candidates = readCandidates(name, [header.value.slice(prefix.length)], encoding);
  if (!candidates.ok) return candidates;
  return ok({ idSigned: null, timestamp: timestamp.value, candidates: candidates.value });
}

/** Texts that cannot be a MAC are left out, unless none is left: a sender may rotate to a shape unknown here. */
function readCandidates(
  header: string,
  texts: readonly string[],
  encoding: MacEncoding,
): Result<readonly Uint8Array[], SignatureProblem> {
  if (texts.length > MAX_CANDIDATES) return malformed(header, `holds more than ${MAX_CANDIDATES} signatures`);
  const candidates = texts.map((text) => decodeMac(text, encoding)).filter((mac) => mac !== null);
  if (candidates.length === 0) return malformed(header, `holds no HMAC-SHA256 in ${encoding}`);
  return ok(candidates);
}

/** A field sent twice comes as one text with ", " between: no shape read here has both, so it is malformed. */
function readHeader(headers: Headers, name: string): Result<string, SignatureProblem> {
  const value = headers.get(name);
  if (value === null || value === "") return problem("missing-header", `${name} is not there`);
  if (value.length > MAX_HEADER_LENGTH)
    return malformed(name, `is longer than ${MAX_HEADER_LENGTH} characters`);
  return ok(value);
}

function readTimestamp(headers: Headers, name: string): Result<string, SignatureProblem> {
  const value = readHeader(headers, name);
  if (!value.ok || isTimestamp(value.value)) return value;
  return malformed(name, "must be Unix seconds, in digits only");
}

/** At most 11 digits, which is far past any date and less than a time in milliseconds. */
function isTimestamp(text: string): boolean {
  return /^(?:0|[1-9][0-9]{0,10})$/.test(text);
}

function readKeys(
  scheme: SignatureScheme,
  secrets: readonly string[],
): Result<readonly Uint8Array[], SignatureProblem> {
  const form = scheme.scheme === "standard-webhooks" ? (scheme.secretForm ?? "whsec") : "raw";
  const keys: Uint8Array[] = [];
  for (const [index, secret] of secrets.entries()) {
    const which = `secret ${index + 1} of ${secrets.length}`;
    // A secret that the Worker was not given is undefined, whatever its type says.
    if (typeof secret !== "string" || secret === "") return problem("no-secret", `${which} is not set`);
    const found = keysOf(secret, form);
    if (found.length === 0) return problem("no-secret", `${which} is not base64, with or without whsec_`);
    keys.push(...found);
  }
  return keys.length > 0 ? ok(keys) : problem("no-secret", "there is no secret to verify with");
}

function keysOf(secret: string, form: SecretForm): Uint8Array[] {
  const raw = utf8ToBytes(secret);
  const decoded = decodeBase64(secret.replace(/^whsec_/, "")) ?? new Uint8Array();
  switch (form) {
    case "raw":
      return [raw];
    case "whsec":
      return decoded.length > 0 ? [decoded] : [];
    case "either":
      return secret.startsWith("whsec_") && decoded.length > 0 ? [raw, decoded] : [raw];
    default:
      return unreachable(form);
  }
}

function timeMessage(ageSeconds: number, toleranceSeconds: number): string {
  const [age, side] = [Math.abs(Math.round(ageSeconds)), ageSeconds < 0 ? "in the future" : "in the past"];
  return `the signed time is ${age} s ${side}: it may be ${toleranceSeconds} s away from now`;
}

function malformed(header: string, message: string) {
  return problem("malformed-header", `${header} ${message}`);
}

function problem(kind: SignatureProblem["kind"], message: string) {
  return err<SignatureProblem>({ kind, message });
}
