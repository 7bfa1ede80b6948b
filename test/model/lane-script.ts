import { expect } from "vitest";
import { DEFAULT_CHAIN_POLICY } from "../../domain/config.ts";
import type { Failure } from "../../domain/failure.ts";
import { parseAccount } from "../../domain/ids.ts";
import type { Settlement, SignedEntry, TakeAnswer, Work } from "../../domain/lane.ts";
import type { Outcome } from "../../domain/outcome.ts";
import { admit } from "../../durable-objects/sequencer-admission.ts";
import { recordSigned, take } from "../../durable-objects/sequencer-lease.ts";
import { settle } from "../../durable-objects/sequencer-settlement.ts";
import { statusOf, type Moment } from "../../durable-objects/sequencer-state.ts";
import { MemoryLane } from "./memory-lane.ts";

const parsed = parseAccount("eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
if (!parsed.ok) throw new Error(parsed.error);
export const ACCOUNT = parsed.value.id;
export const LEASE_MS = 10_000;

/** A short history of one lane, written call by call. `begin` makes it new before each test. */
export const script = { lane: new MemoryLane(), nowMs: 0 };

export function begin(): void {
  script.lane = new MemoryLane();
  script.nowMs = 1_000_000;
}

export const moment = (): Moment => ({
  nowMs: script.nowMs,
  random: () => 0.5,
  policy: {
    ...DEFAULT_CHAIN_POLICY,
    confirmations: 1,
    leaseSeconds: LEASE_MS / 1000,
    maxUnconfirmed: 10,
    maxFlights: 1,
    bumpAfterSeconds: 86_400,
    breakerAfter: 2,
    giveUpAfterSeconds: 3600,
  },
});
export const admitAll = (...ids: string[]) =>
  admit(
    script.lane,
    ACCOUNT,
    ids.map((id) => ({ id, digest: id, payload: "{}", expiresAtMs: null })),
    moment(),
  );
export const accepted: Outcome = { kind: "accepted" };
export const refused = (code: Failure["code"]): Outcome => ({
  kind: "refused",
  failure: { code, message: "test" },
});
export const uncertain = (code: Failure["code"] = "endpoint_timeout"): Outcome => ({
  kind: "uncertain",
  failure: { code, message: "test" },
});

export function work(answer: TakeAnswer): Work {
  if (answer.kind !== "work") throw new Error(`the lane answered ${answer.kind}`);
  return answer;
}
export const takeWork = () => work(take(script.lane, "test", moment()));
export function settleWith(token: number, settlement: Partial<Settlement>) {
  return settle(
    script.lane,
    { token, outcomes: [], refusals: [], outage: null, reading: null, renew: false, ...settlement },
    moment(),
  );
}
/** A lane whose chain was read: its next sequence is 0. */
export function live(...ids: string[]): Work {
  admitAll(...ids);
  const answer = settleWith(takeWork().token, { reading: { sequence: 0 }, renew: true });
  if (answer.kind === "stale") throw new Error("stale");
  return work(answer.next);
}
export const entry = (sequence: number, id: string | null, hash = `h-${sequence}-${id}`): SignedEntry => ({
  sequence,
  id,
  hash,
  raw: "0x",
  validUntil: null,
});
export function record(token: number, ...entries: SignedEntry[]) {
  return recordSigned(script.lane, token, entries, moment());
}
/** Takes, records and settles everything that is due as accepted. */
export function sendAll(flight: Work): void {
  const entries = flight.directives.map(({ id }, index) => entry(flight.range[index] ?? -1, id));
  expect(record(flight.token, ...entries)).toEqual({ kind: "recorded" });
  settleWith(flight.token, { outcomes: entries.map(({ hash }) => ({ hash, outcome: accepted })) });
}
export function stateOf(id: string): string {
  const found = script.lane.directive(id);
  return found === undefined ? "unknown" : statusOf(script.lane, found);
}
