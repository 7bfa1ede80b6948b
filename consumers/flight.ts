import { decodePayload } from "../domain/directive.ts";
import type { Failure } from "../domain/failure.ts";
import type { LentDirective, Settlement, SignedEntry, StoredTransaction, Work } from "../domain/lane.ts";
import type { Outcome } from "../domain/outcome.ts";
import type { Attempt } from "./attempt.ts";
import type { Broadcaster, Candidate, Signed, SignRequest, Verdict } from "./broadcasters/broadcaster.ts";

const SEND_BATCH = 100;
/** Evidence and other flights may move the lane while numbers are signed for: so often a flight follows them. */
const MAX_RECORDS = 3;

/** A settlement that gives everything back. */
export const NOTHING = {
  outcomes: [],
  refusals: [],
  outage: null,
  reading: null,
  renew: true,
} as const satisfies Omit<Settlement, "token">;

type Sent = Pick<Settlement, "outcomes" | "outage">;

type Planned = SignRequest & { readonly id: string | null };

interface Plan<Terms> {
  readonly terms: Terms;
  readonly planned: readonly Planned[];
  /** Stored bytes whose replacement cannot be made, or is not needed, now. */
  readonly again: readonly StoredTransaction[];
  readonly refusals: Settlement["refusals"];
  readonly reading: Settlement["reading"];
}

/**
 * One flight: preflight, sign, record, send. Says how it is to be settled; `stale` when the lease was lost before
 * anything was sent.
 * @param askedMs when the work was asked for, by this invocation's clock: the lease began no earlier.
 */
export async function fly<Terms>(
  { lane, broadcaster, now }: Attempt<Terms>,
  work: Work,
  askedMs: number,
): Promise<Settlement | "stale"> {
  const settlement: Settlement = { ...NOTHING, token: work.token };
  const fresh = work.probe || work.directives.length + work.holes + work.burns.length + work.bumps.length > 0;
  const resend = async (more: readonly StoredTransaction[]): Promise<Sent> => {
    const sends = [...work.rebroadcast, ...more].toSorted((left, right) => left.sequence - right.sequence);
    const outcomes = await sendBefore(broadcaster, sends, () => now() - askedMs < work.leaseMs);
    return { outcomes, outage: wrongChainOf(outcomes) };
  };
  const plan = fresh ? await planFlight(broadcaster, work) : null;
  if (plan !== null && "settlement" in plan) {
    // Without the chain nothing can be sent; with it, what is out already is sent again in any case.
    const sent = plan.settlement.outage === undefined ? await resend([]) : null;
    return { ...settlement, ...sent, ...plan.settlement };
  }
  const recorded =
    plan === null
      ? { kind: "recorded" as const, entries: [] }
      : await record({ lane, broadcaster }, work.token, plan);
  const reading = plan?.reading ?? null;
  const again = plan?.again ?? [];
  switch (recorded.kind) {
    case "stale":
      return "stale";
    case "unsigned":
      return { ...settlement, ...(await resend(again)), outage: recorded.failure };
    case "refused":
      // The lane moved on under the lease: what was signed is forgotten, and asked for anew.
      console.warn(JSON.stringify({ at: "consumers.flight", token: work.token, refused: recorded.reason }));
      return { ...settlement, reading };
    case "recorded":
      return {
        ...settlement,
        ...(await resend([...again, ...recorded.entries])),
        refusals: plan?.refusals ?? [],
        reading,
      };
  }
}

/** Preflight, and which sequence is whose. Nothing has changed anywhere after it. */
async function planFlight<Terms>(
  broadcaster: Broadcaster<Terms>,
  work: Work,
): Promise<Plan<Terms> | { readonly settlement: Partial<Settlement> }> {
  const refusals: { id: string; failure: Failure }[] = [];
  const readable = (directive: LentDirective): Candidate[] => {
    const action = decodePayload(directive.payload);
    if (action.ok) return [{ id: directive.id, action: action.value }];
    refusals.push({ id: directive.id, failure: { code: "malformed_message", message: action.error } });
    return [];
  };
  const candidates = work.directives.flatMap(readable);
  const bumped = work.bumps.flatMap(({ directive }) => readable(directive));
  const preflight = await broadcaster.preflight([...candidates, ...bumped]);
  if (preflight.kind === "outage") return { settlement: { outage: preflight.failure, refusals } };
  const { reading, terms, verdicts } = preflight;
  const first = work.range[0];
  // The lane never read the chain, or the chain has used a granted number: the reading first, then a new range.
  const unread = first === undefined && work.directives.length > 0;
  if (unread || (first !== undefined && reading.sequence > first))
    return { settlement: { reading, refusals } };

  const again: StoredTransaction[] = [];
  const planned: Planned[] = work.burns
    .filter(({ sequence }) => reading.sequence <= sequence)
    .map((burn) => ({ ...burn, id: null, action: null }));
  for (const { sequence, replaces, directive, stored } of work.bumps) {
    const action = passed(
      bumped.find(({ id }) => id === directive.id),
      verdicts,
    );
    if (action === null || reading.sequence > sequence) again.push(stored);
    else planned.push({ sequence, replaces, id: directive.id, action });
  }
  const numbers = work.range.values();
  for (const candidate of candidates) {
    const verdict = verdicts.get(candidate.id);
    if (verdict?.kind === "refused") refusals.push({ id: candidate.id, failure: verdict.failure });
    const action = passed(candidate, verdicts);
    const sequence = action === null ? undefined : numbers.next().value;
    if (sequence !== undefined) planned.push({ sequence, replaces: [], id: candidate.id, action });
  }
  // R11: no hole below an open slot waits for a directive that may be refused again.
  const used = planned.filter(({ sequence }) => work.range.includes(sequence)).length;
  for (const sequence of work.range.slice(used, work.holes)) planned.push(noop(sequence));
  return { terms, planned, again, refusals, reading };
}

function passed(
  candidate: Candidate | undefined,
  verdicts: ReadonlyMap<string, Verdict>,
): SignRequest["action"] {
  const verdict = candidate === undefined ? undefined : verdicts.get(candidate.id);
  return candidate !== undefined && verdict?.kind === "pass"
    ? { action: candidate.action, gas: verdict.gas }
    : null;
}

function noop(sequence: number): Planned {
  return { sequence, replaces: [], id: null, action: null };
}

type Recorded =
  | { readonly kind: "recorded"; readonly entries: readonly SignedEntry[] }
  | { readonly kind: "stale" }
  | { readonly kind: "unsigned"; readonly failure: Failure }
  | { readonly kind: "refused"; readonly reason: string };

/** Signs and records. Numbers that would stay holes, since another flight recorded above them, get no-ops. */
async function record<Terms>(
  { lane, broadcaster }: Pick<Attempt<Terms>, "lane" | "broadcaster">,
  token: number,
  { terms, planned }: Plan<Terms>,
): Promise<Recorded> {
  const entries: SignedEntry[] = [];
  let unsigned = planned;
  for (let round = 0; round < MAX_RECORDS; round += 1) {
    if (unsigned.length === 0 && entries.length === 0) return { kind: "recorded", entries };
    const signed = await broadcaster.sign(terms, unsigned);
    if (!signed.ok) return { kind: "unsigned", failure: signed.error };
    for (const [index, { sequence, id }] of unsigned.entries()) {
      const transaction = signed.value[index];
      if (transaction !== undefined) entries.push({ sequence, id, validUntil: null, ...transaction });
    }
    const answer = await lane.recordSigned(token, entries);
    if (answer.kind === "stale" || answer.kind === "refused") return answer;
    if (answer.kind === "recorded") return { kind: "recorded", entries };
    unsigned = answer.sequences.map(noop);
  }
  return { kind: "refused", reason: "other flights recorded above this one again and again" };
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

/** A flight that only sends again has no preflight: what its sends say of the endpoint holds for the whole lane. */
function wrongChainOf(outcomes: Sent["outcomes"]): Failure | null {
  for (const { outcome } of outcomes)
    if (outcome.kind !== "accepted" && outcome.failure.code === "wrong_chain") return outcome.failure;
  return null;
}
