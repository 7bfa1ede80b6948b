import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { FailureCode } from "./failure.ts";

/** `open → replaying → resolved | open`, `open → discarded`. */
export const LETTER_STATES = ["open", "replaying", "resolved", "discarded"] as const;
export type LetterState = (typeof LETTER_STATES)[number];

/** `directive`: a lane has, or had, the directive. `event`: an inbox has, or had, the webhook event. `introduction`: no lane took it. `raw`: the body could not be read, or the queue gave it up. */
export const LETTER_KINDS = ["directive", "event", "introduction", "raw"] as const;
export type LetterKind = (typeof LETTER_KINDS)[number];

/**
 * How `body` holds what came. `json`: as JSON text, whole. `superjson`: `superjson.serialize` of it, as JSON text,
 * whole. `base64`: bytes, whole. `text`: only a description, where nothing can carry it (cyclic or sparse structured
 * clones) or no row of the ledger can hold it. That cannot be replayed.
 */
export const BODY_FORMATS = ["json", "superjson", "base64", "text"] as const;
export type BodyFormat = (typeof BODY_FORMATS)[number];

/**
 * How a letter was closed. `landed`: the one effect of its directive is on the chain. `not-landed`: it provably is not,
 * and nobody wants it any more. `settled`: the event is handled. `failed-again`: it was replayed and died again, under
 * the letter `next`. `replaced`: another directive took its place. `returned`: the message is back on its queue.
 */
export const LETTER_RESOLUTIONS = [
  "landed",
  "not-landed",
  "settled",
  "failed-again",
  "replaced",
  "returned",
  "discarded",
] as const;
export type LetterResolution = (typeof LETTER_RESOLUTIONS)[number];

/** What makes two letters one: recording twice under one key changes nothing. */
export interface LedgerKey {
  readonly kind: LetterKind;
  /** The lane: an account, or an inbox. For a raw letter, null. */
  readonly lane: string | null;
  /** The id of the directive or the event; for a raw letter, the queue message's id. */
  readonly directiveId: string;
  readonly digest: string;
  readonly generation: number;
}

/** A letter as it is first written: `open`. Times in epoch milliseconds. */
export interface NewLetter extends LedgerKey {
  /** The queue that the message was on before it died. */
  readonly sourceQueue: string;
  readonly code: FailureCode;
  readonly message: string;
  readonly firstFailureCode: FailureCode;
  readonly firstFailureAtMs: number;
  readonly lastFailureAtMs: number;
  /** How often it was tried to carry the directive out; 0 for one that no lane ever took. */
  readonly attempts: number;
  /** What the lane said of the directive when the letter was written: dead, review or reverted. Null where no lane has it. */
  readonly directiveStatus: "dead" | "review" | "reverted" | null;
  readonly sequence: number | null;
  readonly transactions: readonly LetterTransaction[];
  /** `manual`: the directive's metadata says that somebody must refund by hand what it was to pay out. */
  readonly refund: "manual" | null;
  /** The stored payload of the directive, the body of the event, or the whole message body as it came, as `bodyFormat` says. */
  readonly body: string;
  readonly bodyFormat: BodyFormat;
  readonly openedAtMs: number;
}

export interface LetterTransaction {
  readonly hash: string;
  readonly sequence: number;
  readonly status: string;
}

/** A letter as a list shows it: all but the body, which may be 128 KB. */
export interface LetterSummary extends Omit<NewLetter, "body" | "bodyFormat" | "code" | "firstFailureCode"> {
  /** Opaque, URL-safe: `letterId` of the key. */
  readonly id: string;
  readonly state: LetterState;
  /** A `FailureCode`, or one that a newer Worker wrote. */
  readonly code: string;
  readonly firstFailureCode: string;
  /** Null while it is open or replaying. */
  readonly resolution: LetterResolution | null;
  /** The letters of the same work before its last replay, and after this one's. */
  readonly previous: string | null;
  readonly next: string | null;
  /** The id of the directive that took this one's place by an edit, or whose place this one took. */
  readonly replacedBy: string | null;
  readonly replaces: string | null;
  /** The replay that it is, or was last, in. */
  readonly replayId: string | null;
  readonly updatedAtMs: number;
}

/** A message that will not be retried by itself, with its reason, as the ledger keeps it. */
export interface Letter extends LetterSummary, Pick<NewLetter, "body" | "bodyFormat"> {}

export interface LetterHistoryEntry {
  readonly atMs: number;
  /** `lockstep`, or the name of the operator's token. */
  readonly actor: string;
  readonly action: string;
  readonly reason: string;
}

/** Which letters: all that are given must hold; null asks nothing. */
export interface LetterFilter {
  readonly state: LetterState | null;
  readonly code: FailureCode | null;
  readonly kind: LetterKind | null;
  readonly lane: string | null;
  readonly sourceQueue: string | null;
  /** Opened at this time or later. */
  readonly fromMs: number | null;
  /** Opened before this time. */
  readonly toMs: number | null;
}

/** 128 bits of SHA-256 over the key, in hex: short enough to type, and never a flag on a command line. */
export function letterId({ kind, lane, directiveId, digest, generation }: LedgerKey): string {
  const key = JSON.stringify(["lockstep.letter.v1", kind, lane, directiveId, digest, generation]);
  return bytesToHex(sha256(utf8ToBytes(key))).slice(0, 32);
}
