import type { StatusClass } from "../../domain/destination.ts";
import { failureOfHttpStatus, isPermanent, type FailureCode } from "../../domain/failure.ts";
import { unreachable } from "../../domain/result.ts";
import { plainText } from "./json-rpc.ts";

const MAX_EXCERPT_BYTES = 4096;
/** Shorter texts are flags and numbers. */
const SHORTEST_SECRET = 3;
/** Shorter parts of a path occur in ordinary words. */
const SHORTEST_PATH_SECRET = 6;

/**
 * What a destination's status says of a delivery; null is success. A destination's own `statuses` win.
 * The row of the code always agrees with the class: a status of another class than its usual one gets `declared_…`.
 */
export function failureOfDelivery(
  status: number,
  statuses: Readonly<Record<number, StatusClass>> = {},
): FailureCode | null {
  const usual = usualFailure(status);
  const declared = statuses[status];
  switch (declared) {
    case undefined:
      return usual;
    case "success":
      return null;
    case "permanent":
      return usual !== null && isPermanent(usual) ? usual : "declared_permanent";
    case "transient":
      return usual !== null && !isPermanent(usual) ? usual : "declared_transient";
    default:
      return unreachable(declared);
  }
}

function usualFailure(status: number): FailureCode | null {
  switch (status) {
    // The destination has the event already.
    case 409:
      return null;
    case 404:
      return "not_found";
    case 410:
      return "gone";
    case 413:
    case 422:
      return "payload_rejected";
    case 400:
    case 401:
    case 403:
    case 408:
    case 425:
    case 429:
      return failureOfHttpStatus(status);
    default:
  }
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) return "redirected";
  // RFC 9110 §15: a status that is not understood is the x00 of its class, and one outside of 100–599 is a 5xx. So an
  // unlisted 4xx is a 400, the same answer next time; where a destination means "later" by it, its `statuses` say so.
  return status >= 400 && status < 500 ? "delivery_refused" : "endpoint_error";
}

/** The parts of a destination's URL and the secrets that no message may repeat, longest first, as written and decoded. */
export function confidentialParts(url: URL, secrets: readonly string[]): readonly string[] {
  const path = url.pathname.split("/").filter((part) => part.length >= SHORTEST_PATH_SECRET);
  const query = [url.search.slice(1), url.hash.slice(1)].flatMap((text) => [
    text,
    ...text.split("&").flatMap((pair) => [pair, pair.replace(/^[^=]*=/, "")]),
  ]);
  return [...path, ...query, ...secrets, ...secrets.map((secret) => secret.replace(/^whsec_/, ""))]
    .flatMap((part) => [part, decoded(part)])
    .filter((part) => part.trim().length >= SHORTEST_SECRET)
    .toSorted((left, right) => right.length - left.length);
}

/**
 * What the destination says of its status, fit for a message, or "": of at most 4 KB of the body, the rest of which is
 * cancelled. A body that breaks off or comes too late is what came of it: the status is the answer.
 * @param confidential longest first
 */
export async function readExcerpt(response: Response, confidential: readonly string[]): Promise<string> {
  const stream: ReadableStream<Uint8Array> | null = response.body;
  if (stream === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let left = MAX_EXCERPT_BYTES;
  let whole = false;
  try {
    for await (const chunk of stream) {
      text += decoder.decode(chunk.subarray(0, left), { stream: true });
      left -= chunk.byteLength;
      // Leaving the loop cancels the stream.
      if (left <= 0) break;
    }
    whole = left > 0;
  } catch {
    whole = false;
  }
  // The cut may have gone through a secret, and half of one is not recognized.
  if (!whole) text = text.slice(0, Math.max(0, text.length - (confidential[0]?.length ?? 0)));
  // JSON may write a slash as \/, which would hide URLs and secrets.
  return plainText(text.replaceAll("\\/", "/"), confidential);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part.replaceAll("+", " "));
  } catch {
    return part;
  }
}
