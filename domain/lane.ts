import type { Failure, TimedFailure } from "./failure.ts";
import type { AccountId } from "./ids.ts";
import type { Outcome } from "./outcome.ts";

/**
 * What a lane and those who call it say to one another: the wire protocol of the Sequencer. All of it survives
 * structured clone. Delays are relative (`…Ms` from now), so that no two clocks need to agree.
 */
export interface SequencerProtocol {
  /** Takes directives into the outbox, durably and idempotently. One answer for each, in order. */
  admit(account: AccountId, admissions: readonly Admission[]): Promise<readonly AdmissionAnswer[]>;
  /** Asks for the right to work the lane. */
  take(account: AccountId, holder: string): Promise<TakeAnswer>;
  /** Writes signed transactions down, before the first send. This binds sequences to directives. */
  recordSigned(token: number, entries: readonly SignedEntry[]): Promise<RecordAnswer>;
  /** Says what became of the flight, and asks for the next work under a renewed lease. */
  settle(settlement: Settlement): Promise<SettleAnswer>;
  /** What is to be looked up. */
  unconfirmed(limit: number): Promise<Unconfirmed>;
  /** Takes evidence, read from one node at one block. */
  confirm(evidence: Evidence): Promise<ConfirmAnswer>;
  /** A look-up failed: nothing is known of any slot. */
  lookUpFailed(failure: Failure): Promise<void>;
  /** An operator's dead directive back to work; or, with `edit`, another one in its place (R9). */
  readmit(key: LetterKey, edit: Admission | null): Promise<ReadmissionAnswer>;
  /** `readmit` without an edit for many, in one transaction. One answer for each, in order. */
  readmitAll(keys: readonly LetterKey[]): Promise<readonly ReadmissionAnswer[]>;
  /** What a letter tells of a directive: undefined when the lane owes none under this key. */
  letter(key: LetterKey): Promise<LaneLetter | undefined>;
  /** The ledger has these letters: the lane owes them no longer. */
  letterRecorded(keys: readonly LetterKey[]): Promise<void>;
  directive(id: string): Promise<DirectiveView | undefined>;
  /** What the lane knows of each, in order: null for one that it never admitted. At most `MAX_ASKED` ids. */
  directives(ids: readonly string[]): Promise<readonly (DirectiveFacts | null)[]>;
  /** An operator says that a directive in review did not land: a no-op is to use its number up (R5). */
  burn(account: AccountId, id: string, reason: string, actor: string): Promise<BurnAnswer>;
  status(): Promise<LaneStatusView>;
  pause(account: AccountId, reason: string, actor: string): Promise<LaneStatusView>;
  resume(account: AccountId, reason: string, actor: string): Promise<LaneStatusView>;
  repair(account: AccountId, reason: string, actor: string): Promise<LaneStatusView>;
}

export type ReadmissionAnswer =
  /** Back in the backlog under the next generation, or replaced by the edit. */
  | { readonly kind: "readmitted"; readonly generation: number }
  /** Its one effect is on the chain: nothing is to be sent. */
  | { readonly kind: "already-landed" }
  /** Its end is not known: evidence first. */
  | { readonly kind: "undetermined" }
  /** Mined and reverted: only an edit goes on from it. */
  | { readonly kind: "reverted" }
  /** The lane has it under another generation, or it is at work, or it was replaced: nothing changed. */
  | { readonly kind: "moved-on"; readonly status: DirectiveStatus; readonly generation: number }
  /** The edit's id is taken by another directive. */
  | { readonly kind: "conflict" }
  | { readonly kind: "unknown" };

/** So many directives in one question. */
export const MAX_ASKED = 500;

export type BurnAnswer =
  /** A no-op competes for the number, or is about to: evidence decides. */
  | { readonly kind: "burning" }
  /** It is not in review: nothing is to be burnt. */
  | { readonly kind: "settled"; readonly status: DirectiveStatus }
  | { readonly kind: "impossible"; readonly reason: string }
  | { readonly kind: "unknown" };

export interface Admission {
  readonly id: string;
  readonly digest: string;
  /** As `encodePayload` writes it. */
  readonly payload: string;
  readonly expiresAtMs: number | null;
}

export type AdmissionAnswer =
  | { readonly kind: "admitted"; readonly status: DirectiveStatus }
  | { readonly kind: "duplicate"; readonly status: DirectiveStatus }
  | { readonly kind: "conflict"; readonly status: DirectiveStatus };

/** `queued → recorded → broadcast → confirmed`, or `reverted`, `dead`, `review`, `replaced`. */
export type DirectiveStatus =
  | "queued"
  | "recorded"
  | "broadcast"
  | "confirmed"
  | "reverted"
  | "dead"
  | "review"
  | "replaced";

/** A directive lent to one token, oldest admission first. */
export interface LentDirective {
  readonly id: string;
  readonly payload: string;
}

/** Stored bytes of an exposed slot that are due to be sent again. */
export interface StoredTransaction {
  readonly sequence: number;
  readonly hash: string;
  readonly raw: string;
}

/** An exposed slot whose directive the node refuses for good: a no-op at a higher fee is to use the sequence up (R5). */
export interface Burn {
  readonly sequence: number;
  /** The raw bytes that the no-op must outbid. */
  readonly replaces: readonly string[];
}

/** An open slot that stays away for too long: the directive's own action again, at a higher fee (R5). */
export interface Bump extends Burn {
  /** What is sent again if the replacement cannot be made now. */
  readonly stored: StoredTransaction;
  readonly directive: LentDirective;
}

export interface Work {
  readonly kind: "work";
  /** Fencing token: greater for each lease of the lane. */
  readonly token: number;
  /** The lease ends so long after the call began: no send may start later. */
  readonly leaseMs: number;
  /**
   * Sequences granted, ascending: holes first, then new ones. Empty with directives lent means that the lane does
   * not know the chain's sequence: settle with a `reading` to learn the range.
   */
  readonly range: readonly number[];
  /** So many numbers at the head of `range` lie below an open slot: each must be recorded, with a no-op if no directive is left. */
  readonly holes: number;
  readonly directives: readonly LentDirective[];
  /** More is due than was lent: another flight may begin. */
  readonly more: boolean;
  readonly rebroadcast: readonly StoredTransaction[];
  readonly burns: readonly Burn[];
  readonly bumps: readonly Bump[];
  /** The lane does not believe its last reading: settle with another, even if nothing else is to be done. */
  readonly probe: boolean;
}

export type TakeAnswer =
  | Work
  /** Another invocation works the lane and goes on until it is empty. */
  | { readonly kind: "occupied"; readonly dueInMs: number }
  /** Nothing to do until the alarm rings. */
  | { readonly kind: "empty" }
  /** Work is there, but not yet due. */
  | { readonly kind: "waiting"; readonly dueInMs: number }
  | { readonly kind: "paused"; readonly reason: string }
  /** Too many unconfirmed: the lane rings when one is final. */
  | { readonly kind: "full" }
  | { readonly kind: "degraded"; readonly reason: string; readonly dueInMs: number };

export interface SignedEntry {
  readonly sequence: number;
  /** Null for a no-op that fills a hole or burns a slot. */
  readonly id: string | null;
  readonly hash: string;
  readonly raw: string;
  /** The last height at which it may be included; null where the chain has no such limit. */
  readonly validUntil: number | null;
}

export type RecordAnswer =
  | { readonly kind: "recorded" }
  /** The token is not of a live lease: nothing changed, nothing may be sent. */
  | { readonly kind: "stale" }
  /** Nothing changed: these granted numbers would stay holes below a taken one. Record them too, with no-ops (R11). */
  | { readonly kind: "holes"; readonly sequences: readonly number[] }
  /** An entry is not lent to, or not granted to, this token: nothing changed. */
  | { readonly kind: "refused"; readonly reason: string };

/** The account's next sequence in the latest block, as one node told it. */
export interface ChainReading {
  readonly sequence: number;
}

export interface Settlement {
  readonly token: number;
  readonly outcomes: readonly { readonly hash: string; readonly outcome: Outcome }[];
  /** Directives that preflight refused: no transaction of them was recorded under this token. */
  readonly refusals: readonly { readonly id: string; readonly failure: Failure }[];
  /** The chain could not be worked with at all: the flight goes back, and the lane waits. */
  readonly outage: Failure | null;
  readonly reading: ChainReading | null;
  /** False gives the lease back. */
  readonly renew: boolean;
}

export type SettleAnswer =
  | { readonly kind: "settled"; readonly next: TakeAnswer }
  | { readonly kind: "stale" };

export interface Unconfirmed {
  /** Open slots, lowest sequence first. */
  readonly slots: readonly UnconfirmedSlot[];
  /** The block of the last evidence: what is open now was, as a rule, included later. Null before any. */
  readonly sinceBlock: number | null;
}

export interface UnconfirmedSlot {
  readonly sequence: number;
  readonly hashes: readonly string[];
  /** The last height at which any of its transactions may be included; null where there is no such limit. */
  readonly validUntil: number | null;
}

/** Everything read from one node at one block, no younger than the chain's final depth. */
export interface Evidence {
  readonly block: number;
  /** The account's next sequence as of `block`. */
  readonly sequence: number;
  /** The hashes that were looked up: a slot whose log has others is skipped. */
  readonly looked: readonly string[];
  /** Transactions that used their sequence up: one that was included and did not, as Cosmos knows, is not here. */
  readonly receipts: readonly { readonly hash: string; readonly block: number; readonly success: boolean }[];
  /**
   * The transactions that used other sequences up, found in their blocks. A missing receipt alone proves nothing: a
   * node may have pruned it, or not have indexed it yet.
   */
  readonly foreign: readonly { readonly sequence: number; readonly hash: string }[];
}

export interface ConfirmAnswer {
  readonly finalized: number;
  /** Slots that are still open. */
  readonly open: number;
}

export interface LetterKey {
  readonly id: string;
  readonly digest: string;
  readonly generation: number;
}

export interface LaneLetter extends LetterKey {
  readonly account: AccountId;
  readonly status: "dead" | "review" | "reverted";
  readonly payload: string;
  readonly failure: TimedFailure;
  readonly firstFailure: TimedFailure;
  readonly attempts: number;
  readonly sequence: number | null;
  /** Every hash ever signed for the directive, oldest first. */
  readonly transactions: readonly TransactionView[];
  readonly admittedAtMs: number;
}

/** `refused`: contained. `pending`: recorded, or sent with an unknown end. `included`: in a final block. */
export interface TransactionView {
  readonly hash: string;
  readonly sequence: number;
  readonly status:
    | "recorded"
    | "refused"
    | "unsent"
    | "uncertain"
    | "accepted"
    | "included"
    | "reverted"
    | "superseded"
    | "expired";
}

export interface DirectiveView extends DirectiveFacts {
  readonly payload: string;
}

/** All of a directive but what it asks for: many of them fit one answer. */
export interface DirectiveFacts {
  readonly id: string;
  readonly account: AccountId;
  readonly digest: string;
  readonly status: DirectiveStatus;
  /** Times that it was readmitted. */
  readonly generation: number;
  readonly sequence: number | null;
  readonly transactions: readonly TransactionView[];
  readonly attempts: number;
  readonly failure: TimedFailure | null;
  readonly admittedAtMs: number;
  readonly updatedAtMs: number;
}

export type LaneStatus = "initializing" | "live" | "repairing" | "degraded" | "paused";

/** `admitted = settled + dead + inFlight`, always. */
export interface LaneCounts {
  readonly admitted: number;
  /** Confirmed or replaced. */
  readonly settled: number;
  /** Dead or reverted: each of them is, or is owed, a letter. */
  readonly dead: number;
  readonly inFlight: number;
}

export interface LaneStatusView {
  readonly status: LaneStatus;
  readonly reason: string | null;
  /** The next number that was never given out. */
  readonly nextSequence: number;
  /** The chain's latest sequence as last read. */
  readonly chainSequence: number | null;
  /** `received`: highest recorded. `contiguous`: all below it are final. */
  readonly checkpoint: { readonly received: number | null; readonly contiguous: number };
  readonly leases: readonly { readonly token: number; readonly holder: string; readonly endsInMs: number }[];
  readonly counts: LaneCounts;
  readonly open: number;
  readonly lettersOwed: number;
  /** Attempts ever made, by what they came to: `accepted`, or `refused:<code>`, `unavailable:<code>`, `uncertain:<code>`. */
  readonly attempts: Readonly<Record<string, number>>;
  readonly outage: TimedFailure | null;
  readonly events: readonly LaneEvent[];
}

export interface LaneEvent {
  readonly atMs: number;
  readonly kind: string;
  readonly detail: string;
}
