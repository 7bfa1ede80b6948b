import type { DirectiveReport, LaneReport } from "../../domain/api.ts";
import type { DepthReport } from "../../domain/api-letters.ts";
import type { EventReport } from "../../domain/api-webhooks.ts";
import type { LetterReport } from "../client.ts";
import type { Arrival } from "../receiver.ts";
import type { ChainFacts } from "./chain-facts.ts";
import type { DemoPlan } from "./plan.ts";
import type { Replayed } from "./storm.ts";
import type { Good } from "./traffic.ts";
import type { WebhookAnswers } from "./webhook-send.ts";

/** What the run found: from the chain, from the receiver, from the ledger, from the lanes, and what HTTP answered on the way. */
export interface Findings {
  readonly plan: DemoPlan;
  readonly chain: ChainFacts;
  /** Everything that came to the receiver, in the order of its answers. */
  readonly arrivals: readonly Arrival[];
  /** Of this run, in any state. */
  readonly letters: readonly LetterReport[];
  /** By directive id; null where the lane has none. */
  readonly reports: ReadonlyMap<string, DirectiveReport | null>;
  /** By account, before the run and after it. */
  readonly lanes: ReadonlyMap<string, { readonly before: LaneReport; readonly after: LaneReport }>;
  /** Of some events. */
  readonly audits: readonly EventReport[];
  /** How many of the repeated ones HTTP answered as known, and what it said of the conflict. */
  readonly answers: { readonly repeatedKnown: number; readonly conflict: number };
  readonly webhookAnswers: WebhookAnswers;
  /** Of what could be cured, and then of everything that was left. */
  readonly replays: { readonly cures: Replayed; readonly rest: Replayed };
  /** Before the run and after it. */
  readonly depth: { readonly before: DepthReport; readonly after: DepthReport };
}

/** One line of a table. Null: the column means nothing here. */
export interface Row {
  readonly label: string;
  readonly numbers: readonly [number, number | null, number | null];
  readonly expected: string;
  readonly ok: boolean;
}

export interface Table {
  /** The last is of what was expected. */
  readonly columns: readonly [string, string, string, string];
  readonly rows: readonly Row[];
}

export interface Guarantee {
  readonly name: string;
  readonly found: string;
  readonly ok: boolean;
}

/** The chain is the witness: one successful transaction of those that the lane signed, and the recipient has its value once. */
export function landedOnce({ directive, recipient, value }: Good, { chain, reports }: Findings): boolean {
  const report = reports.get(directive.id) ?? null;
  if (report?.status !== "confirmed") return false;
  const hashes = new Set(report.transactions.map(({ hash }) => hash));
  const effects = chain.mined.filter(({ hash }) => hashes.has(hash));
  return effects.length === 1 && effects[0]?.success === true && chain.balances.get(recipient) === value;
}

/** Open letters of a code, of these ids alone if there are any. */
export function openLetters(
  code: string,
  ids: ReadonlySet<string>,
  { letters }: Findings,
): readonly LetterReport[] {
  return letters.filter(
    (letter) =>
      letter.state === "open" &&
      letter.code === code &&
      (ids.size === 0 ? letter.kind === "raw" : ids.has(letter.directiveId)),
  );
}
