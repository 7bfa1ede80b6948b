import type { StatusClass } from "../../domain/destination.ts";
import { isPermanent, type Failure, type FailureCode } from "../../domain/failure.ts";
import { err, ok, unreachable, type Result } from "../../domain/result.ts";
import { parseRetryAfterSeconds } from "../../domain/retry.ts";
import { confidentialParts, failureOfDelivery, readExcerpt } from "./http-failure.ts";
import { readTarget } from "./http-target.ts";

/** A destination of webhook events. */
export interface HttpTarget {
  /** Its path and query may hold credentials: no message repeats them. */
  readonly url: string;
  /**
   * `whsec_` and base64, or else the bytes of the text as they are. Each signs, so that a receiver may know the old one
   * or the new one during a rotation. Without any, nothing is sent.
   */
  readonly secrets: readonly string[];
  /** For the whole exchange, from the connection to the end of what is read of the answer. */
  readonly timeoutSeconds: number;
  /** Allows http and hosts that are not public. */
  readonly allowPrivate: boolean;
  /** What single statuses mean at this destination, where it is not the usual. */
  readonly statuses?: Readonly<Record<number, StatusClass>>;
}

/** One attempt to hand an event to a destination. */
export interface Delivery {
  /** The same for every attempt and replay: by it the receiver knows an event that it has already. */
  readonly webhookId: string;
  readonly sequence: number;
  readonly source: string;
  /** The ordering key; null where the event is unordered. */
  readonly key: string | null;
  /** From 1. */
  readonly attempt: number;
  readonly replayed: boolean;
  readonly body: Uint8Array | string;
  readonly contentType: string;
  readonly admittedAtMs: number;
}

/** `latencyMs` is until the status, or until there was certain to be none. `status` is null where none came. */
export type DeliveryOutcome = Delivered | Undelivered;

export interface Delivered {
  readonly kind: "delivered";
  readonly status: number;
  readonly latencyMs: number;
}

export interface Undelivered {
  /** Always what the row of the failure's code says. */
  readonly kind: "permanent" | "transient";
  readonly failure: Failure;
  readonly status: number | null;
  readonly latencyMs: number;
}

/** Each delivery is in one of the three, in the order in which they were given. */
export interface DeliveredBatch {
  readonly succeeded: readonly string[];
  /** May work later. */
  readonly failed: readonly FailedDelivery[];
  readonly permanentlyFailed: readonly FailedDelivery[];
}

export interface FailedDelivery {
  readonly webhookId: string;
  readonly failure: Failure;
  readonly status: number | null;
}

export interface HttpBroadcaster {
  /** One POST, tried once, redirects not followed. Never throws. */
  deliver(delivery: Delivery): Promise<DeliveryOutcome>;
  /**
   * One after another, in order, going on after a failure: for events that need not wait for each other. Whoever owes
   * a key its order calls `deliver` and stops at the first that is not delivered.
   */
  deliverAll(deliveries: readonly Delivery[]): Promise<DeliveredBatch>;
}

export interface HttpContext {
  readonly now: () => number;
  readonly fetch?: typeof fetch;
}

/** Posts events to one destination, signed. Source of the signature and its headers: Standard Webhooks, v1. */
export function httpBroadcaster(
  target: HttpTarget,
  { now, fetch: send = fetch }: HttpContext,
): HttpBroadcaster {
  async function deliver(delivery: Delivery): Promise<DeliveryOutcome> {
    const startMs = now();
    const failed = (code: FailureCode, message: string) =>
      undelivered({ code, message }, null, now() - startMs);
    const url = readTarget(target.url, target.allowPrivate);
    if (!url.ok) return failed("forbidden_target", url.error);
    const signed = await sign(delivery, Math.floor(startMs / 1000), target.secrets);
    if (!signed.ok) return failed("signer_unavailable", signed.error);
    const { headers, body, signatures } = signed.value;

    const signal = AbortSignal.timeout(Math.max(1, Math.floor(target.timeoutSeconds * 1000)));
    let response: Response;
    try {
      response = await send(url.value.href, { method: "POST", redirect: "manual", headers, body, signal });
    } catch {
      // Never the error's own text, which may name the URL.
      return signal.aborted
        ? failed("endpoint_timeout", `the destination did not answer within ${target.timeoutSeconds} s`)
        : failed("network_error", "the destination could not be reached, or the connection broke");
    }
    const latencyMs = now() - startMs;
    const { status } = response;
    // Read even where it is not needed, so that the connection can serve the next delivery.
    const excerpt = await readExcerpt(
      response,
      confidentialParts(url.value, [...target.secrets, ...signatures]),
    );
    const code = failureOfDelivery(status, target.statuses);
    if (code === null) return { kind: "delivered", status, latencyMs };
    const answer = `the destination answered HTTP ${status}`;
    // The body of a redirect repeats its location.
    const message = excerpt === "" || code === "redirected" ? answer : `${answer}: ${excerpt}`;
    const retryAfterSeconds = parseRetryAfterSeconds(response.headers.get("retry-after"), now());
    const failure = { code, message };
    return undelivered(
      retryAfterSeconds === undefined || isPermanent(code) ? failure : { ...failure, retryAfterSeconds },
      status,
      latencyMs,
    );
  }

  return {
    deliver,
    async deliverAll(deliveries) {
      const succeeded: string[] = [];
      const failed: FailedDelivery[] = [];
      const permanentlyFailed: FailedDelivery[] = [];
      for (const delivery of deliveries) {
        const { webhookId } = delivery;
        const outcome = await deliver(delivery);
        switch (outcome.kind) {
          case "delivered":
            succeeded.push(webhookId);
            break;
          case "transient":
            failed.push({ webhookId, failure: outcome.failure, status: outcome.status });
            break;
          case "permanent":
            permanentlyFailed.push({ webhookId, failure: outcome.failure, status: outcome.status });
            break;
          default:
            unreachable(outcome);
        }
      }
      return { succeeded, failed, permanentlyFailed };
    },
  };
}

function undelivered(failure: Failure, status: number | null, latencyMs: number): Undelivered {
  return { kind: isPermanent(failure.code) ? "permanent" : "transient", failure, status, latencyMs };
}

interface Signed {
  readonly headers: Record<string, string>;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly signatures: readonly string[];
}

/** The error says what is wrong with the secrets, and repeats none. */
async function sign(
  delivery: Delivery,
  timestamp: number,
  secrets: readonly string[],
): Promise<Result<Signed, string>> {
  if (secrets.length === 0) return err("the destination has no signing secret");
  const utf8 = new TextEncoder();
  const id = headerText(delivery.webhookId);
  const prefix = utf8.encode(`${id}.${timestamp}.`);
  const payload = typeof delivery.body === "string" ? utf8.encode(delivery.body) : delivery.body;
  const content = new Uint8Array(prefix.byteLength + payload.byteLength);
  content.set(prefix);
  content.set(payload, prefix.byteLength);

  const signatures: string[] = [];
  for (const secret of secrets) {
    const bytes = secretBytes(secret);
    if (bytes === null)
      return err("a signing secret of the destination is empty, or not base64 after whsec_");
    const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [
      "sign",
    ]);
    const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, content));
    signatures.push(btoa(String.fromCharCode(...mac)));
  }
  const headers: Record<string, string> = {
    "content-type": delivery.contentType,
    "user-agent": "Lockstep-Webhooks/1",
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signatures.map((signature) => `v1,${signature}`).join(" "),
    "lockstep-source": headerText(delivery.source),
    "lockstep-sequence": String(delivery.sequence),
    "lockstep-attempt": String(delivery.attempt),
    "lockstep-admitted-at": String(Math.floor(delivery.admittedAtMs / 1000)),
  };
  if (delivery.key !== null) headers["lockstep-key"] = headerText(delivery.key);
  if (delivery.replayed) headers["lockstep-replayed"] = "true";
  return ok({ headers, body: content.subarray(prefix.byteLength), signatures });
}

/** Null when it is no secret. */
function secretBytes(secret: string): Uint8Array<ArrayBuffer> | null {
  const encoded = /^whsec_(.*)$/s.exec(secret)?.[1];
  if (encoded === undefined) return secret === "" ? null : new Uint8Array(new TextEncoder().encode(secret));
  try {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
    return bytes.byteLength === 0 ? null : bytes;
  } catch {
    return null;
  }
}

/** Percent-encodes all but visible ASCII, and the percent sign, so that `decodeURIComponent` gives the text back. */
function headerText(text: string): string {
  return text.toWellFormed().replace(/[^!-$&-~]+/gu, encodeURIComponent);
}
