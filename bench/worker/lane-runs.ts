// Works a real lane over RPC as the product's consumers do, with transactions that no chain ever sees.
import { encodePayload } from "../../domain/directive.ts";
import type { AccountId } from "../../domain/ids.ts";
import type { Admission, SequencerProtocol, SignedEntry, Work } from "../../domain/lane.ts";
import type { CallersRun, LaneRun, Naming } from "../reports.ts";

export type BenchedLane = Pick<
  SequencerProtocol,
  "admit" | "take" | "recordSigned" | "settle" | "unconfirmed" | "confirm"
>;

/** As many slots as one round of confirmations looks up. */
const LOOK_UP = 500;
const NOTHING = { outcomes: [], refusals: [], outage: null, reading: null, renew: true } as const;

/**
 * Settles `sequences` directives of one lane, `batch` at a time, with one call under way at any moment: each flight is
 * `admit`, `recordSigned` and `settle`, which gives the next work; the first one asks with `take`. Every 500 slots are
 * looked up and confirmed. Throws when the lane answers anything but what a lane of one worker answers.
 */
export async function workLane(
  lane: BenchedLane,
  account: AccountId,
  { batch, sequences, ids }: { readonly batch: number; readonly sequences: number; readonly ids: Naming },
): Promise<LaneRun> {
  const flights = Math.ceil(sequences / batch);
  const admissions = Array.from({ length: flights }, () =>
    Array.from({ length: batch }, () => admission(ids)),
  );
  // Made before, since this is no part of what is measured.
  const signed = Array.from({ length: flights * batch }, transaction);
  const bound: number[] = [];
  let open = 0;
  let confirmMs = 0;
  let admitMs = 0;
  await readChain(lane, account);
  const begunMs = performance.now();
  await lane.admit(account, admissions[0] ?? []);
  let work = workOf(await lane.take(account, "bench"));
  for (let flight = 0; flight < flights; flight += 1) {
    const entries = entriesOf(work, () => signed.pop() ?? transaction());
    await recordAll(lane, work.token, entries);
    for (const { sequence } of entries) bound.push(sequence);
    open += entries.length;
    const coming = admissions[flight + 1];
    const admitBegunMs = performance.now();
    if (coming !== undefined) await lane.admit(account, coming);
    admitMs += performance.now() - admitBegunMs;
    const settled = await lane.settle({ ...settlementOf(work, entries), renew: coming !== undefined });
    if (settled.kind === "stale") throw new Error("the only lease of the lane was lost");
    if (open >= LOOK_UP || coming === undefined) {
      const confirmBegunMs = performance.now();
      await confirmAll(lane);
      confirmMs += performance.now() - confirmBegunMs;
      open = 0;
    }
    if (coming !== undefined) work = workOf(settled.next);
  }
  return { sequences: bound.length, ms: performance.now() - begunMs, admitMs, confirmMs, ...faultsOf(bound) };
}

/**
 * `callers` ask at the same time for one sequence each, as often as `rounds` says. Each admits its own directive and
 * rings; whoever rings first works the lane for all until it is empty, as the consumer of a queue does. A caller has
 * its sequence when `recordSigned` has bound it to its directive.
 */
export async function ask(
  lane: BenchedLane,
  account: AccountId,
  { callers, rounds }: { readonly callers: number; readonly rounds: number },
): Promise<CallersRun> {
  const waiting = new Map<string, (sequence: number) => void>();
  const bound: number[] = [];
  const latencies: number[] = [];
  let working = false;
  let rung = false;

  async function work(): Promise<void> {
    let answer = await lane.take(account, "bench");
    while (answer.kind === "work") {
      const entries = entriesOf(answer);
      await recordAll(lane, answer.token, entries);
      for (const { id, sequence } of entries) if (id !== null) waiting.get(id)?.(sequence);
      const settled = await lane.settle(settlementOf(answer, entries));
      if (settled.kind === "stale") throw new Error("the only lease of the lane was lost");
      answer = settled.next;
    }
  }

  async function ring(): Promise<void> {
    rung = true;
    if (working) return;
    working = true;
    while (rung) {
      rung = false;
      await work();
    }
    working = false;
  }

  async function caller(directive: Admission): Promise<void> {
    const begunMs = performance.now();
    const sequence = new Promise<number>((resolve) => waiting.set(directive.id, resolve));
    await lane.admit(account, [directive]);
    const rang = ring();
    bound.push(await sequence);
    latencies.push(performance.now() - begunMs);
    await rang;
  }

  await readChain(lane, account);
  let ms = 0;
  for (let round = 0; round < rounds; round += 1) {
    const directives = Array.from({ length: callers }, () => admission());
    const begunMs = performance.now();
    await Promise.all(directives.map(caller));
    ms += performance.now() - begunMs;
    await confirmAll(lane);
  }
  const sorted = latencies.toSorted((left, right) => left - right);
  return { sequences: bound.length, ms, latencies: sorted, ...faultsOf(bound) };
}

/** Gives a lane that never read its chain the chain's next sequence: 0. */
async function readChain(lane: BenchedLane, account: AccountId): Promise<void> {
  await lane.admit(account, [admission()]);
  let answer = await lane.take(account, "bench");
  if (answer.kind === "work" && answer.range.length === 0) {
    const settled = await lane.settle({ ...NOTHING, token: answer.token, reading: { sequence: 0 } });
    if (settled.kind === "settled") answer = settled.next;
  }
  const work = workOf(answer);
  const entries = entriesOf(work);
  await recordAll(lane, work.token, entries);
  await lane.settle({ ...settlementOf(work, entries), renew: false });
  await confirmAll(lane);
}

function workOf(answer: { readonly kind: string } | Work): Work {
  if (answer.kind === "work" && "token" in answer) return answer;
  throw new Error(`the lane answered ${answer.kind} where it has work`);
}

/** What a signer would have made of the work. */
function entriesOf({ range, directives }: Work, sign = transaction): readonly SignedEntry[] {
  return directives.map(({ id }, index) => {
    const sequence = range[index];
    if (sequence === undefined) throw new Error("the lane granted fewer sequences than it lent directives");
    return { sequence, id, validUntil: null, ...sign() };
  });
}

async function recordAll(lane: BenchedLane, token: number, entries: readonly SignedEntry[]): Promise<void> {
  const answer = await lane.recordSigned(token, entries);
  if (answer.kind !== "recorded") throw new Error(`recordSigned answered ${answer.kind}`);
}

function settlementOf({ token }: Work, entries: readonly SignedEntry[]) {
  const outcomes = entries.map(({ hash }) => ({ hash, outcome: { kind: "accepted" } as const }));
  return { ...NOTHING, token, outcomes };
}

/** Evidence that every open slot's transaction is in a final block. */
async function confirmAll(lane: BenchedLane): Promise<void> {
  for (;;) {
    const { slots } = await lane.unconfirmed(LOOK_UP);
    const last = slots.at(-1);
    if (last === undefined) return;
    const looked = slots.flatMap(({ hashes }) => hashes);
    const receipts = looked.map((hash) => ({ hash, block: 1, success: true }));
    await lane.confirm({ block: 1, sequence: last.sequence + 1, looked, receipts, foreign: [] });
  }
}

/** `gaps`: numbers between the lowest and the highest that nobody got. */
export function faultsOf(bound: readonly number[]): { readonly duplicates: number; readonly gaps: number } {
  const distinct = new Set(bound);
  const lowest = bound.reduce((low, sequence) => Math.min(low, sequence), Number.POSITIVE_INFINITY);
  const highest = bound.reduce((high, sequence) => Math.max(high, sequence), -1);
  const span = bound.length === 0 ? 0 : highest - lowest + 1;
  return { duplicates: bound.length - distinct.size, gaps: span - distinct.size };
}

const ZEROS = "0".repeat(64);
const PAYLOAD = encodePayload({
  action: { type: "evm.transaction", to: `0x${"ab".repeat(20)}`, value: 1000n, data: "0x", gas: null },
  metadata: null,
  expiresAtMs: null,
});

/** A transfer that no other directive is. */
export function admission(ids: Naming = "random"): Admission {
  const id = ids === "random" ? crypto.randomUUID() : idByTime();
  return { id, digest: hex64(), payload: PAYLOAD, expiresAtMs: null };
}

let made = 0;

/** As long as a UUID, and after each that was made before it. */
function idByTime(): string {
  made += 1;
  const time = Date.now().toString(16).padStart(12, "0");
  const count = made.toString(16).padStart(6, "0");
  return `${time}-${count}-${crypto.randomUUID().slice(0, 16)}`;
}

interface Transaction {
  readonly hash: string;
  readonly raw: string;
}

/** A hash that no other has, and bytes as long as those of a transfer. */
function transaction(): Transaction {
  const hash = `0x${hex64()}`;
  return { hash, raw: `0x02${hash.slice(2)}${ZEROS}${ZEROS}${ZEROS.slice(0, 30)}` };
}

function hex64(): string {
  return (crypto.randomUUID() + crypto.randomUUID()).replaceAll("-", "");
}
