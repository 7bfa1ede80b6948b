import { createHmac } from "node:crypto";
import { expect } from "vitest";
import type { SignatureScheme } from "../../domain/signature-scheme.ts";
import { verifySignature } from "../../producers/signatures/signature.ts";

export const AT = 1_614_265_330;
export const ID = "msg_p5jXN8AQM9LWM0D4loKWxJek";
export const BODY = '{"test": 2432232314}';
export const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
export const TEXT_SECRET = "It's a Secret to Everybody";

type Fields = Readonly<Record<string, string>>;
interface Message {
  readonly body: Uint8Array;
  readonly at: number | string;
  readonly secret: string;
}

export function hmac(key: string | Uint8Array, prefix: string, body: Uint8Array): Buffer {
  return createHmac("sha256", key).update(prefix).update(body).digest();
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function standardFields({ body, at }: Message, key: string | Uint8Array, id = ID): Fields {
  const mac = hmac(key, `${id}.${at}.`, body).toString("base64");
  return { "webhook-id": id, "webhook-timestamp": `${at}`, "webhook-signature": `v1,${mac}` };
}

export function whsecKey(secret: string): Uint8Array {
  return Buffer.from(secret.replace("whsec_", ""), "base64");
}

/** Each scheme with a signer that shares no code with the verifier. `at`: the header that holds the time. */
export const SCHEMES: readonly {
  readonly name: string;
  readonly scheme: SignatureScheme;
  readonly secrets: readonly [string, string];
  readonly header: string;
  readonly at: string | null;
  readonly idSigned: string | null;
  readonly sign: (message: Message) => Fields;
}[] = [
  {
    name: "Standard Webhooks",
    scheme: { scheme: "standard-webhooks" },
    secrets: [WHSEC, `whsec_${Buffer.alloc(24, 7).toString("base64")}`],
    header: "webhook-signature",
    at: "webhook-timestamp",
    idSigned: ID,
    sign: (message) => standardFields(message, whsecKey(message.secret)),
  },
  {
    name: "Standard Webhooks with the raw text of the secret",
    scheme: { scheme: "standard-webhooks", secretForm: "raw" },
    secrets: ["polar_whs_Grüße", "whsec_another"],
    header: "webhook-signature",
    at: "webhook-timestamp",
    idSigned: ID,
    sign: (message) => standardFields(message, message.secret),
  },
  {
    name: "Stripe",
    scheme: { scheme: "stripe" },
    secrets: ["whsec_stripe", "whsec_another"],
    header: "stripe-signature",
    at: "stripe-signature",
    idSigned: null,
    sign: ({ body, at, secret }) => ({
      "stripe-signature": `t=${at},v1=${hmac(secret, `${at}.`, body).toString("hex")}`,
    }),
  },
  {
    name: "GitHub",
    scheme: { scheme: "github" },
    secrets: [TEXT_SECRET, "another"],
    header: "x-hub-signature-256",
    at: null,
    idSigned: null,
    sign: ({ body, secret }) => ({
      "x-hub-signature-256": `sha256=${hmac(secret, "", body).toString("hex")}`,
    }),
  },
  {
    name: "plain HMAC in base64",
    scheme: { scheme: "hmac-sha256", header: "x-signature", encoding: "base64" },
    secrets: ["plain", "another"],
    header: "x-signature",
    at: null,
    idSigned: null,
    sign: ({ body, secret }) => ({ "x-signature": hmac(secret, "", body).toString("base64") }),
  },
  {
    name: "HMAC in hex of the time and the body",
    scheme: {
      scheme: "hmac-sha256",
      header: "x-signature",
      encoding: "hex",
      prefix: "v1=",
      timestampHeader: "x-time",
    },
    secrets: ["timed", "another"],
    header: "x-signature",
    at: "x-time",
    idSigned: null,
    sign: ({ body, at, secret }) => ({
      "x-signature": `v1=${hmac(secret, `${at}.`, body).toString("hex")}`,
      "x-time": `${at}`,
    }),
  },
];

interface Options {
  readonly body?: Uint8Array;
  readonly nowMs?: number;
  readonly toleranceSeconds?: number;
}

/** "accepted", or the kind of the problem. Fails when the answer shows a secret or what a header held. */
export async function verdict(
  scheme: SignatureScheme,
  fields: Fields | Headers,
  secrets: readonly string[],
  options: Options = {},
) {
  const headers = fields instanceof Headers ? fields : new Headers({ ...fields });
  const request = { headers, body: bytes(BODY), nowMs: AT * 1000, ...options, secrets };
  const result = await verifySignature(scheme, request);
  if (result.ok) return "accepted";
  const hidden = [...secrets, ...headers.values()].filter((text) => text.length >= 5 && text.length < 4096);
  for (const text of hidden) expect(result.error.message).not.toContain(text);
  return result.error.kind;
}
