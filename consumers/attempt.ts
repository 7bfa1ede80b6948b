import type { AccountId } from "../domain/ids.ts";
import type { SequencerProtocol, TakeAnswer, Work } from "../domain/lane.ts";
import { unreachable } from "../domain/result.ts";
import type { Broadcaster } from "./broadcasters/broadcaster.ts";
import { fly, NOTHING } from "./flight.ts";

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

/** More flights in one invocation would meet the platform's limit on subrequests. */
const MAX_FLIGHTS = 200;

/**
 * Works a lane until it has nothing due. Three calls to the lane for each flight of up to 100 directives: the work
 * (with the settlement of the flight before), `recordSigned`, `settle`. While flights come back full, further loops
 * are started beside the first: the lane says how many it bears, and gives each its own token and range.
 */
export async function workLane<Terms>(attempt: Attempt<Terms>): Promise<LaneEnd> {
  const { lane, account, holder, now, stopMs } = attempt;
  const loops: Promise<void>[] = [];
  const ends: LaneEnd[] = [];
  const faults: unknown[] = [];
  let flights = 0;
  let crowded = false;

  async function loop(): Promise<LaneEnd> {
    let askedMs = now();
    let answer = await lane.take(account, holder);
    if (answer.kind === "occupied") crowded = true;
    while (answer.kind === "work") {
      if (flights >= MAX_FLIGHTS || now() >= stopMs) {
        await lane.settle({ ...NOTHING, token: answer.token, renew: false });
        return { kind: "later", dueInMs: 0 };
      }
      flights += 1;
      // Another loop takes the next flight meanwhile, once the lane knows the chain.
      if (answer.more && answer.range.length > 0 && !crowded) start();
      const settlement = await fly(attempt, answer, askedMs);
      if (settlement === "stale") return { kind: "done", why: "stale" };
      askedMs = now();
      const settled = await lane.settle(settlement);
      if (settled.kind === "stale") return { kind: "done", why: "stale" };
      answer = settled.next;
    }
    if (answer.kind !== "occupied") crowded = false;
    return endOf(answer);
  }

  function start(): void {
    loops.push(
      loop().then(
        (end) => void ends.push(end),
        (fault: unknown) => void faults.push(fault),
      ),
    );
  }

  start();
  // Loops start loops: the list grows while it is walked.
  for (const running of loops) await running;
  if (faults.length > 0) throw faults[0];
  const waiting = ends.flatMap((end) => (end.kind === "later" ? [end.dueInMs] : []));
  if (waiting.length > 0) return { kind: "later", dueInMs: Math.min(...waiting) };
  return ends[0] ?? { kind: "done", why: "empty" };
}

function endOf(answer: Exclude<TakeAnswer, Work>): LaneEnd {
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
