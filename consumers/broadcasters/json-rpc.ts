import { z } from "zod";
import { failureOfHttpStatus, type Failure } from "../../domain/failure.ts";
import { err, ok, type Result } from "../../domain/result.ts";
import { parseRetryAfterSeconds } from "../../domain/retry.ts";

export interface RpcCall {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** What one call of a batch got. */
export type RpcReply =
  | { readonly kind: "result"; readonly value: unknown }
  | { readonly kind: "error"; readonly error: RpcError }
  /** The batch was answered, this call was not, or not in a readable way. */
  | { readonly kind: "missing"; readonly failure: Failure };

export interface RpcError {
  readonly code: number;
  /** Fit for people: see `plainText`. */
  readonly message: string;
  readonly data: unknown;
}

/** The whole batch failed. `began: false` only where no byte can have left. */
export interface RpcFailure {
  readonly failure: Failure;
  readonly began: boolean;
}

export interface JsonRpc {
  /** One HTTP request, tried once, redirects not followed. One reply for each call, in the order of the calls. */
  batch(calls: readonly RpcCall[], timeoutMs: number): Promise<Result<readonly RpcReply[], RpcFailure>>;
}

const MAX_BATCH_CALLS = 100;
const MAX_BATCH_CHARACTERS = 1_000_000;
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;
const MAX_MESSAGE_CHARACTERS = 300;
/** Parts of a URL that are shorter hold no credential, and occur in ordinary words. */
const SHORTEST_SECRET = 6;

/** Splits calls, in order, into batches that endpoints take: at most 100 calls or about 1 MB. */
export function splitBatches(calls: readonly RpcCall[]): readonly (readonly RpcCall[])[] {
  const batches: RpcCall[][] = [];
  let current: RpcCall[] = [];
  let characters = 0;
  for (const call of calls) {
    const size = JSON.stringify(call.params).length + 100;
    if (
      current.length >= MAX_BATCH_CALLS ||
      (current.length > 0 && characters + size > MAX_BATCH_CHARACTERS)
    ) {
      batches.push(current);
      current = [];
      characters = 0;
    }
    current.push(call);
    characters += size;
  }
  return current.length === 0 ? batches : [...batches, current];
}

const errorObject = z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() });
const item = z.object({ id: z.number(), result: z.unknown().optional(), error: errorObject.nullish() });

/** A JSON-RPC 2.0 client of one endpoint. The URL may hold a credential, so no message ever holds a part of it. */
export function jsonRpc(url: string, now: () => number): JsonRpc {
  const endpoint = readEndpoint(url);
  return {
    async batch(calls, timeoutMs) {
      if (endpoint === null)
        return err({
          failure: { code: "network_error", message: "the RPC URL is not an http or https URL" },
          began: false,
        });
      if (calls.length === 0) return ok([]);
      const signal = AbortSignal.timeout(Math.max(1, Math.floor(timeoutMs)));
      const failed = (code: Failure["code"], message: string) =>
        err({ failure: { code, message }, began: true });
      let text: string | null;
      try {
        const response = await fetch(endpoint.url, {
          method: "POST",
          redirect: "manual",
          headers: { "content-type": "application/json", ...endpoint.headers },
          body: JSON.stringify(
            calls.map(({ method, params }, id) => ({ jsonrpc: "2.0", id, method, params })),
          ),
          signal,
        });
        if (!response.ok) {
          const retryAfterSeconds = parseRetryAfterSeconds(response.headers.get("retry-after"), now());
          await response.body?.cancel().catch(() => undefined);
          const failure = {
            code: failureOfHttpStatus(response.status),
            message: `the endpoint answered HTTP ${response.status}`,
          };
          return err({
            failure: retryAfterSeconds === undefined ? failure : { ...failure, retryAfterSeconds },
            began: true,
          });
        }
        text = await readCapped(response);
      } catch {
        return signal.aborted
          ? failed("endpoint_timeout", `the endpoint did not answer within ${Math.round(timeoutMs)} ms`)
          : failed("network_error", "the endpoint could not be reached, or the connection broke");
      }
      if (text === null)
        return failed("endpoint_error", `the endpoint answered more than ${MAX_RESPONSE_BYTES} bytes`);
      const body = parseJson(text);
      if (Array.isArray(body)) return ok(matched(body, calls, endpoint.secrets));
      const single = z.object({ error: errorObject }).safeParse(body);
      if (!single.success) return failed("endpoint_error", "the endpoint answered what is not JSON-RPC");
      const { code, message } = single.data.error;
      return failed(
        "endpoint_error",
        `the endpoint refused the batch: ${plainText(message, endpoint.secrets)} (${code})`,
      );
    },
  };
}

/** Two answers with one id contradict each other, so neither counts. */
function matched(
  body: readonly unknown[],
  calls: readonly RpcCall[],
  secrets: readonly string[],
): readonly RpcReply[] {
  const replies = new Map<number, RpcReply>();
  for (const entry of body) {
    const read = item.safeParse(entry);
    if (!read.success) continue;
    const { id, error, result } = read.data;
    const missing = (message: string): RpcReply => ({
      kind: "missing",
      failure: { code: "endpoint_error", message },
    });
    if (replies.has(id)) replies.set(id, missing("the endpoint answered this call more than once"));
    else if (error !== undefined && error !== null)
      replies.set(id, {
        kind: "error",
        error: { code: error.code, message: plainText(error.message, secrets), data: error.data },
      });
    else if (result === undefined)
      replies.set(id, missing("the endpoint answered this call with neither a result nor an error"));
    else replies.set(id, { kind: "result", value: result });
  }
  return calls.map(
    ({ method }, id) =>
      replies.get(id) ?? {
        kind: "missing",
        failure: {
          code: "endpoint_error",
          message: `the endpoint left a call of ${method} without an answer`,
        },
      },
  );
}

/** Text of the other side, fit for a message: without URLs, secrets and control characters, at most 300 characters. */
export function plainText(text: string, secrets: readonly string[] = []): string {
  let clean = text;
  for (const secret of secrets) clean = clean.replaceAll(secret, "[redacted]");
  clean = clean.replace(/\b(?:https?|wss?):\/\/\S+/gi, "[url]");
  clean = clean.replace(/[\s\p{C}]+/gu, " ").trim();
  return clean.length <= MAX_MESSAGE_CHARACTERS
    ? clean
    : `${clean.slice(0, MAX_MESSAGE_CHARACTERS - 1).replace(/\p{Cs}/gu, "")}…`;
}

interface Endpoint {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Every part of the URL, longest first, as written and decoded. */
  readonly secrets: readonly string[];
}

/** `fetch` refuses a URL with a user name or password in it: they become a header. */
function readEndpoint(text: string): Endpoint | null {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  const { username, password } = url;
  const parts = url.href.split(/[/?#&=@:]+/).flatMap((part) => [part, decoded(part)]);
  const secrets = parts
    .filter((part) => part.length >= SHORTEST_SECRET)
    .toSorted((left, right) => right.length - left.length);
  url.username = "";
  url.password = "";
  const headers: Record<string, string> =
    username === "" && password === ""
      ? {}
      : { authorization: `Basic ${btoa(`${decoded(username)}:${decoded(password)}`)}` };
  return { url: url.href, headers, secrets };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Null when the body is larger than the cap. */
async function readCapped(response: Response): Promise<string | null> {
  const stream: ReadableStream<Uint8Array> | null = response.body;
  if (stream === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the stream.
    if (bytes > MAX_RESPONSE_BYTES) return null;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
