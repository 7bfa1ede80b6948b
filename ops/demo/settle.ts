import type { LaneReport } from "../../domain/api.ts";
import type { Client, LetterReport } from "../client.ts";
import type { Stack } from "../stack.ts";
import { waitUntil } from "../wait-until.ts";
import type { Step } from "./terminal.ts";
import { ACCOUNTS, type Traffic } from "./traffic.ts";
import { expectedAdmissions } from "./verdict.ts";

const LOOK_EVERY_MS = 400;

export interface Settling {
  readonly stack: Stack;
  readonly operator: Client;
  readonly traffic: Traffic;
  readonly before: ReadonlyMap<string, LaneReport>;
  /** Names the letters of this run: the beginning of its ids, and its own beginning in ISO 8601. */
  readonly run: string;
  readonly startedAt: string;
  /** Epoch milliseconds: then it gives up. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

export async function readLanes(operator: Client): Promise<ReadonlyMap<string, LaneReport>> {
  return new Map(await Promise.all(ACCOUNTS.map(async ({ id }) => [id, await operator.lane(id)] as const)));
}

/** The letters of this run. */
export async function readLetters({ operator, run, startedAt }: Settling): Promise<readonly LetterReport[]> {
  const letters = await operator.letters({ from: startedAt });
  return letters.filter(({ kind, directiveId }) => kind === "raw" || directiveId.startsWith(`${run}-`));
}

/**
 * Waits until every lane has admitted what it must, nothing is in flight and every letter is written. Answers false when
 * that takes too long: the numbers will say what is missing. Throws when a part of the stack ended.
 */
export async function settle(settling: Settling, step: Step): Promise<boolean> {
  const { stack, operator, traffic, before, deadline, signal } = settling;
  const letters = traffic.poison.reduce((sum, { items }) => sum + items.length, 0);
  const expected = ACCOUNTS.reduce((sum, { id }) => sum + expectedAdmissions(traffic, id), 0);
  let timedOut = false;
  await waitUntil(
    async () => {
      const failure = stack.failure();
      if (failure !== null) throw new Error(failure);
      const [lanes, written] = await Promise.all([readLanes(operator), readLetters(settling)]);
      const sum = (count: (lane: LaneReport) => number, of = lanes) =>
        [...of.values()].reduce((total, lane) => total + count(lane), 0);
      const inFlight = sum(({ counts }) => counts.inFlight);
      const admitted = sum(({ counts }) => counts.admitted) - sum(({ counts }) => counts.admitted, before);
      const settled = sum(({ counts }) => counts.settled) - sum(({ counts }) => counts.settled, before);
      const owed = sum(({ lettersOwed }) => lettersOwed);
      step.progress(
        `${settled} of ${traffic.good.length} landed, ${inFlight} in flight, ${written.length} of ${letters} letters`,
      );
      timedOut = Date.now() >= deadline;
      const done = admitted >= expected && inFlight === 0 && owed === 0 && written.length >= letters;
      return done || timedOut ? true : undefined;
    },
    {
      what: "the lanes' end",
      withinMs: 2 * (deadline - Date.now()),
      everyMs: LOOK_EVERY_MS,
      signal,
      tail: stack.tail,
    },
  );
  return !timedOut;
}
