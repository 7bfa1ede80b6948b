import { unreachable } from "../domain/result.ts";
import type { InboxProtocol, InboxTakeAnswer, InboxWork } from "../domain/webhook-event.ts";
import { flyEvents, type FlightContext } from "./event-flight.ts";

export type WorkedInbox = Pick<InboxProtocol, "take" | "plan" | "settle">;

export interface InboxAttempt extends FlightContext {
  readonly inbox: WorkedInbox;
  /** Names the invocation in the inbox's log. */
  readonly holder: string;
  /** No flight but the first begins later: an invocation has its own limit, and the inbox rings again. Epoch milliseconds. */
  readonly stopMs: number;
}

/** How the inbox was left. `done`: nothing is due, or somebody else, or the alarm, will see to it. */
export type InboxEnd =
  | { readonly kind: "done"; readonly why: Exclude<InboxTakeAnswer["kind"], "work"> | "stale" }
  | { readonly kind: "later"; readonly dueInMs: number };

/** A flight that nothing came of had no time left: the next one may have some. */
const IDLE_MS = 1000;
/** `plan`, and `settle`. */
const SUBREQUESTS_OF_FLIGHT = 2;

/**
 * Works an inbox until it has nothing due. Three calls to it for each flight: the work (with the settlement of the
 * flight before), `plan`, `settle`.
 *
 * `later` only where this invocation has failed transiently itself, or leaves work behind: a late or doubled wake-up
 * that finds others waiting changes nothing, so that a thousand events behind a failing head do not come back a
 * thousand times. The inbox's alarm rings for them.
 */
export async function workInbox(attempt: InboxAttempt): Promise<InboxEnd> {
  const { inbox, holder, now, stopMs, subrequests } = attempt;
  let askedMs = now();
  let answer = await inbox.take(holder);
  let failed = false;
  for (let flights = 0; answer.kind === "work"; flights += 1) {
    const inTime = flights === 0 || now() < stopMs;
    if (!inTime || !subrequests.take(SUBREQUESTS_OF_FLIGHT)) return giveBack(inbox, answer, 0);
    const flight = await flyEvents(attempt, answer, { askedMs, leaseMs: answer.leaseMs });
    if (flight === "stale") return { kind: "done", why: "stale" };
    if (!flight.progressed) return giveBack(inbox, answer, IDLE_MS);
    failed ||= flight.failed;
    askedMs = now();
    const settled = await inbox.settle({ token: answer.token, results: flight.results, renew: true });
    if (settled.kind === "stale") return { kind: "done", why: "stale" };
    answer = settled.next;
  }
  return endOf(answer, failed);
}

async function giveBack(inbox: WorkedInbox, { token }: InboxWork, dueInMs: number): Promise<InboxEnd> {
  await inbox.settle({ token, results: [], renew: false });
  return { kind: "later", dueInMs };
}

function endOf(answer: Exclude<InboxTakeAnswer, InboxWork>, failed: boolean): InboxEnd {
  switch (answer.kind) {
    case "waiting":
      return failed ? { kind: "later", dueInMs: answer.dueInMs } : { kind: "done", why: answer.kind };
    case "occupied":
    case "empty":
    case "paused":
      return { kind: "done", why: answer.kind };
    default:
      return unreachable(answer);
  }
}
