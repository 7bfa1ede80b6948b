import { z } from "zod";
import { fields, matching, oneOf } from "./config-fields.ts";

/** How a provider signs. All of them are HMAC-SHA256; they differ in headers, in what is signed, and in the key. */
export type SignatureScheme =
  /** https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> v1,…`. */
  | { readonly scheme: "standard-webhooks"; readonly secretForm?: SecretForm }
  /** `stripe-signature: t=<seconds>,v1=<hex>,v1=…`. The key is the text of the secret, `whsec_` included. */
  | { readonly scheme: "stripe" }
  /** `x-hub-signature-256: sha256=<hex>` over the body alone: nothing in it tells the time or the event. */
  | { readonly scheme: "github" }
  /**
   * One header that holds `prefix` and one MAC: of the body, or, with a `timestampHeader` (Unix seconds), of
   * `<timestamp>.<body>`. The key is the text of the secret.
   */
  | ({ readonly scheme: "hmac-sha256" } & SingleHeader);

/**
 * What the key of Standard Webhooks is. `whsec`, the default: the base64 that follows an optional `whsec_`. `raw`: the
 * whole text of the secret, as Polar signs with secrets from before 2026-09-08. `either`: both keys are tried, as
 * Polar's own SDK does; the form for Polar, since the text does not tell which of the two its secret is.
 */
export type SecretForm = "whsec" | "raw" | "either";

/** The names are valid field names. `encoding` tells how the header holds the one MAC that follows `prefix`. */
export interface SingleHeader {
  readonly header: string;
  readonly encoding: MacEncoding;
  readonly prefix?: string;
  readonly timestampHeader?: string;
}

export type MacEncoding = "hex" | "base64";

const fieldName = matching(/^[a-z0-9!#$%&'*+.^_`|~-]+$/i, "the name of an HTTP header");

export const signatureSchema = z.discriminatedUnion(
  "scheme",
  [
    fields({
      scheme: z.literal("standard-webhooks"),
      secretForm: oneOf<SecretForm>(["whsec", "raw", "either"]).optional(),
    }),
    fields({ scheme: z.literal("stripe") }),
    fields({ scheme: z.literal("github") }),
    fields({
      scheme: z.literal("hmac-sha256"),
      header: fieldName,
      encoding: oneOf<MacEncoding>(["hex", "base64"]),
      prefix: z.string({ error: "must be a text" }).optional(),
      timestampHeader: fieldName.optional(),
    }),
  ],
  { error: 'must be { scheme: … } with "standard-webhooks", "stripe", "github" or "hmac-sha256"' },
);
