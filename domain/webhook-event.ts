import type { DirectiveInput } from "./directive.ts";
import type { Failure, TimedFailure } from "./failure.ts";
import type { AccountId } from "./ids.ts";
import type { Admission, LaneEvent, LetterKey } from "./lane.ts";

/** A verified event, as `orderingKey`, `eventId` and `handle` of a source see it. */
export interface VerifiedEvent<Data = unknown> {
  readonly source: string;
  /** The provider's event id, or the digest of the signed bytes where the id is not signed. */
  readonly id: string;
  /** The parsed body. */
  readonly data: Data;
  readonly receivedAt: Date;
}

/** What `handle` turns an event into. The directives' ids are `source:event:index`: they are not the handler's to choose. */
export interface HandlerOutput {
  readonly directives?: readonly Omit<DirectiveInput, "id" | "v" | "kind">[];
  /** Names of destinations. */
  readonly deliveries?: readonly string[];
}

/** What is to be done for one event. Stored before any of it begins, so that a rerun of the handler cannot differ. */
export type Effect =
  | { readonly kind: "directive"; readonly account: AccountId; readonly admission: Admission }
  | { readonly kind: "delivery"; readonly destination: string };

export type EffectState = "pending" | "done" | "failed";

/** Names an inbox: a source and an ordering key, or a shard of the events that have none. */
export interface InboxAddress {
  readonly source: string;
  /** Null for a shard: its events are unordered. */
  readonly key: string | null;
  /** The Durable Object's name. */
  readonly name: string;
}

/** What the inbox and those who call it say to one another. Delays are relative, as in `SequencerProtocol`. */
export interface InboxProtocol {
  /** Takes an event in, durably and once: 202 is answered only after it. */
  admit(address: InboxAddress, event: EventAdmission): Promise<EventAdmissionAnswer>;
  take(holder: string): Promise<InboxTakeAnswer>;
  /** Stores what the handler made of events, before any effect begins. */
  plan(token: number, plans: readonly EventPlan[]): Promise<{ readonly kind: "planned" | "stale" }>;
  settle(settlement: InboxSettlement): Promise<InboxSettleAnswer>;
  letter(key: LetterKey): Promise<InboxLetter | undefined>;
  letterRecorded(keys: readonly LetterKey[]): Promise<void>;
  /** Newest first, below the given sequence. */
  events(below: number | null, limit: number): Promise<readonly EventView[]>;
  event(id: string): Promise<EventView | undefined>;
  status(): Promise<InboxStatusView>;
  pause(reason: string, actor: string): Promise<InboxStatusView>;
  resume(reason: string, actor: string): Promise<InboxStatusView>;
  /** Gives up the event that the others wait for: it becomes a dead letter. */
  skipHead(reason: string, actor: string): Promise<InboxStatusView>;
}

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
  | { readonly kind: "done"; readonly index: number; readonly status: number | null; readonly latencyMs: number }
  | {
      readonly kind: "permanent" | "transient";
      readonly index: number;
      readonly failure: Failure;
      readonly status: number | null;
      readonly latencyMs: number;
    };

export interface InboxSettlement {
  readonly token: number;
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
  readonly attempts: number;
  readonly failure: TimedFailure | null;
  readonly effects: readonly { readonly kind: Effect["kind"]; readonly target: string; readonly state: EffectState }[];
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
  readonly counts: { readonly admitted: number; readonly settled: number; readonly dead: number; readonly inFlight: number };
  readonly lettersOwed: number;
  readonly events: readonly LaneEvent[];
}
