import { utf8ToBytes } from "@noble/hashes/utils.js";
import { SuperJSON } from "superjson";
import type { BodyFormat } from "../domain/dead-letter.ts";

export interface RawBody {
  readonly format: BodyFormat;
  readonly text: string;
}

/** A row of D1 holds 2 MB, of which the letter's other columns take a few KB. */
const MAX_BODY_BYTES = 1_900_000;

/**
 * In characters of text. Six times 128 KB, which JSON's escapes may make of a message, fits; what expands further is
 * a structured clone that shares its parts.
 */
const MAX_SIZE = 1_000_000;

const cloned = new SuperJSON();
cloned.registerCustom<ArrayBuffer, string>(
  {
    isApplicable: (value): value is ArrayBuffer => value instanceof ArrayBuffer,
    serialize: (buffer) => base64(new Uint8Array(buffer)),
    deserialize: (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer,
  },
  "ArrayBuffer",
);

/**
 * Any queue body in a form that the ledger can hold: whole, unless the format is `text`, which is only a description
 * and cannot be replayed. Never throws, and neither deep nesting nor cycles, shared parts or sparse arrays make it use
 * more memory than a message may.
 */
export function rawBody(body: unknown): RawBody {
  const whole = wholeBody(body);
  return whole !== null && fits(whole.text)
    ? whole
    : { format: "text", text: Object.prototype.toString.call(body) };
}

/** JSON's escapes make six bytes of one, and a structured clone may name a part of itself many times. */
function fits(text: string): boolean {
  return text.length * 3 <= MAX_BODY_BYTES || utf8ToBytes(text).length <= MAX_BODY_BYTES;
}

function wholeBody(body: unknown): RawBody | null {
  if (body instanceof ArrayBuffer) return { format: "base64", text: base64(new Uint8Array(body)) };
  if (ArrayBuffer.isView(body)) {
    return { format: "base64", text: base64(new Uint8Array(body.buffer, body.byteOffset, body.byteLength)) };
  }
  try {
    const carrier = carrierOf(body);
    if (carrier === "json") return { format: "json", text: jsonText(body) };
    if (carrier === "superjson") return { format: "superjson", text: JSON.stringify(cloned.serialize(body)) };
  } catch {
    // superjson refuses some keys, and recurses: a description is what remains.
  }
  return null;
}

/** What carries the whole of a value, every part counted as often as it is reached. */
function carrierOf(root: unknown): "json" | "superjson" | "none" {
  const pending: unknown[] = [root];
  let isJson = true;
  for (let size = 0; size <= MAX_SIZE; size += 2) {
    if (pending.length === 0) return isJson ? "json" : "superjson";
    const value = pending.pop();
    if (typeof value === "string") {
      size += value.length;
    } else if (typeof value === "number") {
      isJson &&= Number.isFinite(value) && !Object.is(value, -0);
    } else if (typeof value !== "object") {
      isJson &&= typeof value === "boolean";
    } else if (value !== null && (Array.isArray(value) || isPlain(value))) {
      const keys = Object.keys(value);
      if (Array.isArray(value) && value.length !== keys.length) return "none";
      for (const key of keys) {
        size += key.length;
        pending.push(Reflect.get(value, key));
      }
    } else if (value !== null) {
      isJson = false;
      if (value instanceof Map) pending.push(...value.keys(), ...value.values());
      else if (value instanceof Set) pending.push(...value);
      else if (value instanceof ArrayBuffer || value instanceof Uint8Array) size += value.byteLength * 4;
      else if (!(value instanceof Date)) return "none";
    }
  }
  return "none";
}

/** `JSON.stringify` for what `carrierOf` calls json, without recursion: a body may be nested 60,000 levels deep. */
function jsonText(root: unknown): string {
  const written: string[] = [];
  const pending: ({ readonly text: string } | { readonly value: unknown })[] = [{ value: root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if ("text" in next) {
      written.push(next.text);
      continue;
    }
    const { value } = next;
    if (typeof value !== "object" || value === null) {
      written.push(JSON.stringify(value));
      continue;
    }
    const isArray = Array.isArray(value);
    written.push(isArray ? "[" : "{");
    pending.push({ text: isArray ? "]" : "}" });
    for (const [index, key] of [...Object.keys(value).entries()].toReversed()) {
      const comma = index === 0 ? "" : ",";
      pending.push(
        { value: Reflect.get(value, key) },
        { text: isArray ? comma : `${comma}${JSON.stringify(key)}:` },
      );
    }
  }
  return written.join("");
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** A body as a queue takes it, so that its consumer sees what came first. */
export interface QueueBody {
  readonly body: unknown;
  readonly contentType: "json" | "bytes" | "v8";
}

/** The way back from `rawBody`; null where only a description was kept. */
export function queueBody(format: BodyFormat, text: string): QueueBody | null {
  switch (format) {
    case "json":
      return { body: JSON.parse(text), contentType: "json" };
    case "superjson":
      return { body: cloned.parse(text), contentType: "v8" };
    case "base64":
      return { body: Uint8Array.from(atob(text), (char) => char.charCodeAt(0)), contentType: "bytes" };
    case "text":
      return null;
  }
}
