import { decodePayload } from "../domain/directive.ts";
import type { Failure } from "../domain/failure.ts";
import type { AccountId } from "../domain/ids.ts";
import type { SequencerProtocol, Settlement, SignedEntry, TakeAnswer, Work } from "../domain/lane.ts";
import type { Outcome } from "../domain/outcome.ts";
import { unreachable } from "../domain/result.ts";
import type { Broadcaster, Candidate, Signed, SignRequest } from "./broadcasters/broadcaster.ts";

export type WorkedLane = Pick<SequencerProtocol, "take" | "recordSigned" | "settle">;

export interface Attempt<Terms> {
  readonly lane: WorkedLane;
  readonly account: AccountId;
  readonly broadcaster: Broadcaster<Terms>;
  /** Names the invocation in the lane's log. */
  readonly holder: string;
  readonly now: () => number;
  /** No flight begins later: an invocation has its own limit, and the lane rings again. Epoch milliseconds. */
  readonly stopMs: number;
}

/** How the lane was left. `done`: nothing is due, or somebody else, or the alarm, will see to it. */
export type LaneEnd =
  | { readonly kind: "done"; readonly why: Exclude<TakeAnswer["kind"], "work" | "waiting"> | "stale" }
  | { readonly kind: "later"; readonly dueInMs: number };

const SEND_BATCH = 100;
/** More flights in one invocation would meet the platform's limit on subrequests. */
const MAX_FLIGHTS = 200;

/**
 * Works a lane until it has nothing due. Three calls to the lane for each flight of up to 100 directives: the work
 * (with the settlement of the flight before), `recordSigned`, `settle`.
 */
export async function workLane<Terms>(attempt: Attempt<Terms>): Promise<LaneEnd> {
  let askedMs = attempt.now();
  let answer = await attempt.lane.take(attempt.account, attempt.holder);
  for (let flights = 0; answer.kind === "work"; flights += 1) {
    const stop = flights >= MAX_FLIGHTS || attempt.now() >= attempt.stopMs;
    if (stop) {
      await attempt.lane.settle({ ...NOTHING, token: answer.token, renew: false });
      return { kind: "later", dueInMs: 0 };
    }
    const settlement = await fly(attempt, answer, askedMs);
    if (settlement === "stale") return { kind: "done", why: "stale" };
    askedMs = attempt.now();
    const settled = await attempt.lane.settle(settlement);
    if (settled.kind === "stale") return { kind: "done", why: "stale" };
    answer = settled.next;
  }
  switch (answer.kind) {
    case "waiting":
      return { kind: "later", dueInMs: answer.dueInMs };
    case "occupied":
    case "empty":
    case "paused":
    case "full":
    case "degraded":
      return { kind: "done", why: answer.kind };
    default:
      return unreachable(answer);
  }
}

const NOTHING = {
  outcomes: [],
  refusals: [],
  outage: null,
  reading: null,
  renew: true,
} as const satisfies Omit<Settlement, "token">;

/**
 * One flight: preflight, sign, record, send. Says how it is to be settled; `stale` when the lease was lost before
 * anything was sent.
 * @param askedMs when the work was asked for, by this invocation's clock: the lease began no earlier.
 */
async function fly<Terms>(
  { lane, broadcaster, now }: Attempt<Terms>,
  work: Work,
  askedMs: number,
): Promise<Settlement | "stale"> {
  const settlement: Settlement = { ...NOTHING, token: work.token };
  const prepared = await prepare(broadcaster, work);
  if (prepared.kind === "settle") return { ...settlement, ...prepared.settlement };
  const { entries, refusals, reading } = prepared;
  if (entries.length > 0) {
    const recorded = await lane.recordSigned(work.token, entries);
    if (recorded.kind === "stale") return "stale";
    // The lane moved on under the lease (evidence used a number up): what was signed is forgotten, and asked for anew.
    if (recorded.kind === "refused") {
      console.warn(JSON.stringify({ at: "consumers.attempt", token: work.token, refused: recorded.reason }));
      return { ...settlement, reading };
    }
  }
  const sends: Signed[] = [...work.rebroadcast, ...entries].toSorted(
    (left, right) => left.sequence - right.sequence,
  );
  const outcomes = await sendBefore(broadcaster, sends, () => now() - askedMs < work.leaseMs);
  return { ...settlement, outcomes, refusals, reading };
}

type Prepared =
  | { readonly kind: "settle"; readonly settlement: Partial<Settlement> }
  | {
      readonly kind: "ready";
      readonly entries: readonly SignedEntry[];
      readonly refusals: Settlement["refusals"];
      readonly reading: Settlement["reading"];
    };

/** Preflight and signatures: everything before the first change anywhere. */
async function prepare<Terms>(broadcaster: Broadcaster<Terms>, work: Work): Promise<Prepared> {
  if (work.directives.length === 0 && work.holes === 0 && work.burns.length === 0)
    return { kind: "ready", entries: [], refusals: [], reading: null };
  const refusals: { id: string; failure: Failure }[] = [];
  const candidates: Candidate[] = [];
  for (const { id, payload } of work.directives) {
    const action = decodePayload(payload);
    if (action.ok) candidates.push({ id, action: action.value });
    else refusals.push({ id, failure: { code: "malformed_message", message: action.error } });
  }
  const preflight = await broadcaster.preflight(candidates);
  if (preflight.kind === "outage")
    return { kind: "settle", settlement: { outage: preflight.failure, refusals } };
  const { reading, terms, verdicts } = preflight;
  const first = work.range[0];
  // The lane never read the chain, or the chain has used a granted number: the reading first, then a new range.
  const unknown = first === undefined && work.directives.length > 0;
  if (unknown || (first !== undefined && reading.sequence > first))
    return { kind: "settle", settlement: { reading, refusals } };

  const survivors: { id: string | null; action: SignRequest["action"] }[] = [];
  for (const { id, action } of candidates) {
    const verdict = verdicts.get(id);
    if (verdict?.kind === "pass") survivors.push({ id, action: { action, gas: verdict.gas } });
    else if (verdict !== undefined) refusals.push({ id, failure: verdict.failure });
  }
  // R11: no hole below an open slot waits for a directive that may be refused again.
  while (survivors.length < work.holes) survivors.push({ id: null, action: null });
  const burns = work.burns.map((burn) => ({ ...burn, id: null, action: null }));
  const fresh = work.range.slice(0, survivors.length).flatMap((sequence, index) => {
    const survivor = survivors[index];
    return survivor === undefined ? [] : [{ sequence, replaces: [], ...survivor }];
  });
  const planned: readonly (SignRequest & { id: string | null })[] = [...burns, ...fresh];
  const signed = await broadcaster.sign(terms, planned);
  if (!signed.ok) return { kind: "settle", settlement: { outage: signed.error, refusals, reading } };
  const entries = planned.flatMap(({ sequence, id }, index): SignedEntry[] => {
    const transaction = signed.value[index];
    return transaction === undefined ? [] : [{ sequence, id, ...transaction }];
  });
  return { kind: "ready", entries, refusals, reading };
}

/** Sends in sequence order; no send starts after the lease's end, and what did not start is `unavailable`. */
async function sendBefore<Terms>(
  broadcaster: Broadcaster<Terms>,
  sends: readonly Signed[],
  leaseHolds: () => boolean,
): Promise<{ hash: string; outcome: Outcome }[]> {
  const outcomes: { hash: string; outcome: Outcome }[] = [];
  for (let start = 0; start < sends.length; start += SEND_BATCH) {
    const batch = sends.slice(start, start + SEND_BATCH);
    if (!leaseHolds()) {
      const late: Outcome = {
        kind: "unavailable",
        failure: { code: "lease_lost", message: "the lease ended before the send began" },
      };
      outcomes.push(...batch.map(({ hash }) => ({ hash, outcome: late })));
      continue;
    }
    const answers = await broadcaster.send(batch.map(({ hash, raw }) => ({ hash, raw })));
    for (const { hash } of batch) {
      const outcome = answers.get(hash);
      if (outcome !== undefined) outcomes.push({ hash, outcome });
    }
  }
  return outcomes;
}
