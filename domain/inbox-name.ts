import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/**
 * The one spelling of an inbox: `webhook:<source>:<key>` for an ordering key, `webhook:<source>#<shard>` for a shard
 * of events that have none. It names the Durable Object, and is the lane of its dead letters. `inboxOfKey` and
 * `inboxOfShard` are its only constructors; `parseInbox` reads it.
 */
export type InboxName = string & { readonly spelling: "inbox" };

export interface InboxAddress {
  readonly source: string;
  /** Null for a shard: its events are unordered. */
  readonly key: string | null;
  readonly name: InboxName;
}

const SOURCE = /^[a-z][a-z0-9-]{0,31}$/;
const INBOX = /^webhook:([a-z][a-z0-9-]{0,31})(?::([^]+)|#(0|[1-9][0-9]{0,2}))$/;
const MAX_KEY_LENGTH = 256;

/** 1 to 32 of a-z 0-9 -, beginning with a letter. */
export function isSourceName(text: string): boolean {
  return SOURCE.test(text);
}

/** A key of more than 256 characters is named by its digest: a Durable Object's name has an end. */
export function inboxOfKey(source: string, key: string): InboxAddress {
  const wellFormed = key.toWellFormed();
  const named =
    wellFormed.length <= MAX_KEY_LENGTH
      ? wellFormed
      : `sha256-${bytesToHex(sha256(utf8ToBytes(wellFormed)))}`;
  return { source, key: named, name: spelled(`webhook:${source}:${named}`) };
}

/** The shard of an event is a matter of its id alone, so that a redelivery finds the same inbox. */
export function inboxOfShard(source: string, eventId: string, shards: number): InboxAddress {
  const [high = 0, low = 0] = sha256(utf8ToBytes(eventId.toWellFormed()));
  return { source, key: null, name: spelled(`webhook:${source}#${(high * 256 + low) % shards}`) };
}

/** Undefined for what is no inbox's name. */
export function parseInbox(text: string): InboxAddress | undefined {
  const [, source, key, shard] = INBOX.exec(text) ?? [];
  if (source === undefined || (key ?? shard) === undefined || !text.isWellFormed()) return undefined;
  if (key !== undefined && key.length > MAX_KEY_LENGTH) return undefined;
  return { source, key: key ?? null, name: spelled(text) };
}

function spelled(text: string): InboxName {
  if (!isSpelled(text)) throw new Error("an inbox's name has a source, and a key or a shard");
  return text;
}

function isSpelled(text: string): text is InboxName {
  return INBOX.test(text);
}
