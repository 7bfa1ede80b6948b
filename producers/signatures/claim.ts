import { err, ok, type Result } from "../../domain/result.ts";
import type { MacEncoding, SingleHeader } from "../../domain/signature-scheme.ts";
import { decodeMac } from "./mac.ts";

/** What the headers say was signed. None of it is true before one of the candidates is found to be the MAC. */
export interface Claim {
  readonly idSigned: string | null;
  /** Unix seconds, as the header spells them: the spelling is signed. */
  readonly timestamp: string | null;
  /** 1 to MAX_CANDIDATES. */
  readonly candidates: readonly Uint8Array[];
}

export interface ClaimProblem {
  readonly kind: "missing-header" | "malformed-header";
  readonly message: string;
}

export interface HeaderFields {
  get(name: string): string | null;
}

const MAX_HEADER_LENGTH = 4096;
const MAX_CANDIDATES = 16;

export function readStandardWebhooks(headers: HeaderFields): Result<Claim, ClaimProblem> {
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

export function readStripe(headers: HeaderFields): Result<Claim, ClaimProblem> {
  const header = readHeader(headers, "stripe-signature");
  if (!header.ok) return header;
  const times: string[] = [];
  const texts: string[] = [];
  for (const part of header.value.split(",")) {
    const [, name, text] = /^([a-z0-9]+)=(.*)$/i.exec(part) ?? [];
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

export function readSingle(headers: HeaderFields, scheme: SingleHeader): Result<Claim, ClaimProblem> {
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
): Result<readonly Uint8Array[], ClaimProblem> {
  if (texts.length > MAX_CANDIDATES) return malformed(header, `holds more than ${MAX_CANDIDATES} signatures`);
  const candidates = texts.map((text) => decodeMac(text, encoding)).filter((mac) => mac !== null);
  if (candidates.length === 0) return malformed(header, `holds no HMAC-SHA256 in ${encoding}`);
  return ok(candidates);
}

/** A field sent twice comes as one text with ", " between: no shape read here has both, so it is malformed. */
function readHeader(headers: HeaderFields, name: string): Result<string, ClaimProblem> {
  const value = headers.get(name);
  if (value === null || value === "") return err({ kind: "missing-header", message: `${name} is not there` });
  if (value.length > MAX_HEADER_LENGTH)
    return malformed(name, `is longer than ${MAX_HEADER_LENGTH} characters`);
  return ok(value);
}

function readTimestamp(headers: HeaderFields, name: string): Result<string, ClaimProblem> {
  const value = readHeader(headers, name);
  if (!value.ok || isTimestamp(value.value)) return value;
  return malformed(name, "must be Unix seconds, in digits only");
}

/** At most 11 digits, which is far past any date and less than a time in milliseconds. */
function isTimestamp(text: string): boolean {
  return /^(?:0|[1-9][0-9]{0,10})$/.test(text);
}

function malformed(header: string, message: string) {
  return err<ClaimProblem>({ kind: "malformed-header", message: `${header} ${message}` });
}
