import { createHmac } from "node:crypto";

/** The sources of the local configuration: see lockstep.config.ts. */
export const PROVIDERS = ["polar", "stripe", "github", "plain"] as const;
export type Provider = (typeof PROVIDERS)[number];

export interface ProviderEvent {
  /** The provider's own; GitHub signs none, so its event is known by its bytes. */
  readonly id: string;
  /** The ordering key: a customer, or a repository. */
  readonly key: string;
  readonly type: string;
  /** Goes into the event where the provider has room for a user's own data. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A request as the provider would send it to `/webhooks/{provider}`. */
export interface SignedRequest {
  readonly provider: Provider;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The body of an event, with its id and its key where lockstep.config.ts looks for them. */
export function bodyOf(provider: Provider, { id, key, type, metadata = {} }: ProviderEvent): string {
  switch (provider) {
    case "polar":
      return JSON.stringify({ type, data: { id, customer_id: key, metadata } });
    case "stripe":
      return JSON.stringify({ id, object: "event", type, data: { object: { customer: key, metadata } } });
    case "github":
      return JSON.stringify({ action: type, delivery: id, repository: { full_name: key }, metadata });
    case "plain":
      return JSON.stringify({ id, customer: key, type, metadata });
  }
}

/**
 * Signs as the provider's documentation says, with node:crypto: nothing of it is shared with what verifies.
 * @param secret as `.dev.vars` has it: `whsec_` and base64
 * @param atSeconds the signed time. Default: now
 */
export function signed(
  provider: Provider,
  secret: string,
  { id, body }: { readonly id: string; readonly body: string },
  atSeconds: number = Math.floor(Date.now() / 1000),
): SignedRequest {
  const mac = (key: string | Buffer, content: string) => createHmac("sha256", key).update(content);
  const headersOf = (): Record<string, string> => {
    switch (provider) {
      case "polar": {
        const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
        return {
          "webhook-id": id,
          "webhook-timestamp": String(atSeconds),
          "webhook-signature": `v1,${mac(key, `${id}.${atSeconds}.${body}`).digest("base64")}`,
        };
      }
      case "stripe": {
        const signature = mac(secret, `${atSeconds}.${body}`).digest("hex");
        return { "stripe-signature": `t=${atSeconds},v1=${signature}` };
      }
      case "github":
        return {
          "x-github-delivery": id,
          "x-hub-signature-256": `sha256=${mac(secret, body).digest("hex")}`,
        };
      case "plain":
        return { "x-signature": mac(secret, body).digest("hex") };
    }
  };
  return { provider, body, headers: { "content-type": "application/json", ...headersOf() } };
}

/** @param url of the Worker */
export async function postSigned(
  url: string,
  { provider, headers, body }: SignedRequest,
): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(`${url}/webhooks/${provider}`, { method: "POST", headers, body });
  return { status: answer.status, text: await answer.text() };
}
