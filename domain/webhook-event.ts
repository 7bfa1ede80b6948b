import type { Failure, TimedFailure } from "./failure.ts";
import type { AccountId } from "./ids.ts";
import type { InboxAddress, InboxName } from "./inbox-name.ts";
import type { Admission, LaneEvent, LetterKey } from "./lane.ts";

/** What is to be done for one event. Stored before any of it begins, so that a rerun of the handler cannot differ. */
export type Effect =
  | { readonly kind: "directive"; readonly account: AccountId; readonly admission: Admission }
  | { readonly kind: "delivery"; readonly destination: string };

export type EffectState = "pending" | "done" | "failed";

/** What the inbox and those who call it say to one another. Delays are relative, as in `SequencerProtocol`. */
export interface InboxProtocol {
  /** Takes an event in, durably and once: 202 is answered only after it. */
  admit(address: InboxAddress, event: EventAdmission): Promise<EventAdmissionAnswer>;
  take(holder: string): Promise<InboxTakeAnswer>;
  /** Stores what the handler made of events, before any effect begins. */
  plan(token: number, plans: readonly EventPlan[]): Promise<{ readonly kind: "planned" | "stale" }>;
  settle(settlement: InboxSettlement): Promise<InboxSettleAnswer>;
  /** An operator's dead event back to work; the effects that were done stay done. */
  readmit(key: LetterKey): Promise<EventReadmissionAnswer>;
  letter(key: LetterKey): Promise<InboxLetter | undefined>;
  letterRecorded(keys: readonly LetterKey[]): Promise<void>;
  /** Newest first, below the given sequence. */
  events(below: number | null, limit: number): Promise<readonly EventView[]>;
  event(id: string): Promise<EventView | undefined>;
  status(): Promise<InboxStatusView>;
  pause(reason: string, actor: string): Promise<InboxStatusView>;
  resume(reason: string, actor: string): Promise<InboxStatusView>;
  /**
   * Gives up the event that the others wait for: it becomes a dead letter. With a sequence, only if that is the head
   * still, so that an event that took the place of the one that was meant is not given up.
   */
  skipHead(reason: string, actor: string, sequence: number | null): Promise<SkipAnswer>;
}

export type SkipAnswer =
  | { readonly kind: "skipped"; readonly status: InboxStatusView }
  /** Another is the head, or none: nothing changed. */
  | { readonly kind: "not-head"; readonly head: number | null };

/** Compare-and-set on (id, digest, generation), only from `dead`, so that two replays never both send one. */
export type EventReadmissionAnswer =
  | { readonly kind: "readmitted"; readonly generation: number }
  /** Settled: nothing is to be done. */
  | { readonly kind: "already-landed" }
  /** The inbox has it under another generation, or it is at work: nothing changed. */
  | { readonly kind: "moved-on"; readonly status: EventStatus; readonly generation: number }
  | { readonly kind: "unknown" };

export interface EventAdmission {
  readonly id: string;
  /** SHA-256 of the signed bytes, in hex. */
  readonly digest: string;
  readonly body: string;
  readonly contentType: string;
}

export interface EventAdmissionAnswer {
  readonly kind: "admitted" | "duplicate";
  readonly id: string;
  readonly sequence: number;
}

export interface LeasedEvent {
  readonly sequence: number;
  readonly id: string;
  readonly body: string;
  readonly contentType: string;
  readonly admittedAtMs: number;
  /** From 1. */
  readonly attempt: number;
  /** Times it came back from being dead: a replay is late, and says so. */
  readonly generation: number;
  /** Null until the handler's output is stored. */
  readonly effects: readonly { readonly effect: Effect; readonly state: EffectState }[] | null;
}

export interface InboxWork {
  readonly kind: "work";
  readonly token: number;
  readonly leaseMs: number;
  readonly address: InboxAddress;
  /** In order: the first that fails transiently ends the flight of an ordered key. */
  readonly events: readonly LeasedEvent[];
}

export type InboxTakeAnswer =
  | InboxWork
  | { readonly kind: "occupied"; readonly dueInMs: number }
  | { readonly kind: "empty" }
  | { readonly kind: "waiting"; readonly dueInMs: number }
  | { readonly kind: "paused"; readonly reason: string };

/** `failure` instead of effects: the handler threw, or asked for what cannot be. */
export interface EventPlan {
  readonly sequence: number;
  readonly effects: readonly Effect[];
  readonly failure: Failure | null;
}

export type EffectResult =
  | {
      readonly kind: "done";
      readonly index: number;
      readonly status: number | null;
      readonly latencyMs: number;
    }
  | {
      readonly kind: "permanent" | "transient";
      readonly index: number;
      readonly failure: Failure;
      readonly status: number | null;
      readonly latencyMs: number;
    };

export interface InboxSettlement {
  readonly token: number;
  /** Events of the flight that are not here were not tried: they stay due. */
  readonly results: readonly { readonly sequence: number; readonly effects: readonly EffectResult[] }[];
  readonly renew: boolean;
}

export type InboxSettleAnswer =
  | { readonly kind: "settled"; readonly next: InboxTakeAnswer }
  | { readonly kind: "stale" };

export type EventStatus = "queued" | "settled" | "dead";

export interface AuditEntry {
  readonly atMs: number;
  /** `admitted`, `planned`, an attempt's end, `settled`, `dead`, `skipped`. */
  readonly what: string;
  readonly status: number | null;
  readonly latencyMs: number | null;
}

export interface EventView {
  readonly id: string;
  readonly sequence: number;
  readonly digest: string;
  readonly status: EventStatus;
  readonly generation: number;
  readonly attempts: number;
  readonly failure: TimedFailure | null;
  readonly effects: readonly {
    readonly kind: Effect["kind"];
    readonly target: string;
    /** The account of a directive. */
    readonly account: AccountId | null;
    readonly state: EffectState;
  }[];
  readonly audit: readonly AuditEntry[];
  readonly admittedAtMs: number;
  readonly updatedAtMs: number;
}

export interface InboxLetter extends LetterKey {
  readonly address: InboxAddress;
  readonly sequence: number;
  readonly body: string;
  readonly failure: TimedFailure;
  readonly firstFailure: TimedFailure;
  readonly attempts: number;
  readonly admittedAtMs: number;
}

export interface InboxStatusView {
  readonly status: "live" | "waiting" | "paused";
  readonly reason: string | null;
  readonly nextSequence: number;
  /** The oldest event that is not settled. */
  readonly head: number | null;
  readonly counts: {
    readonly admitted: number;
    readonly settled: number;
    readonly dead: number;
    readonly inFlight: number;
  };
  readonly lettersOwed: number;
  /** Attempts ever made, by what they came to: `done`, `transient:<code>`, `permanent:<code>`. */
  readonly attempts: Readonly<Record<string, number>>;
  readonly events: readonly LaneEvent[];
}

/**
 * Where the events of a source are: one Durable Object for each of `INDEX_SHARDS` parts of a source's event ids, named
 * `<source>#<part>`. For look-ups, and for ids that came before. Nobody waits long for it: where it knows nothing, an event's
 * own inbox knows what it has.
 */
export interface IndexProtocol {
  note(entry: IndexEntry): Promise<void>;
  /** The inbox that was given the event of an id. */
  find(id: string): Promise<IndexEntry | undefined>;
  /** Newest first, by time and then by id, both descending; older than the given place. */
  latest(before: IndexPlace | null, limit: number): Promise<readonly IndexEntry[]>;
}

export interface IndexPlace {
  readonly admittedAtMs: number;
  readonly id: string;
}

export interface IndexEntry extends IndexPlace {
  readonly inbox: InboxName;
}

export const INDEX_SHARDS = 8;
