import type { LaneReport } from "../../domain/api.ts";
import type { AnvilAccount } from "../anvil-accounts.ts";
import type { Client, LetterReport } from "../client.ts";
import type { Stack } from "../stack.ts";
import { waitUntil } from "../wait-until.ts";
import type { Destination } from "./destination.ts";
import { ALL_ACCOUNTS } from "./plan.ts";
import type { Step } from "./terminal.ts";

const LOOK_EVERY_MS = 400;

export interface Settling {
  readonly stack: Stack;
  readonly operator: Client;
  readonly destination: Destination;
  readonly before: Before;
  /** Epoch milliseconds: then it gives up. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** How Lockstep stood before the run. */
export interface Before {
  readonly lanes: ReadonlyMap<string, LaneReport>;
  readonly openLetters: number;
}

/** What is awaited, of this run. */
export interface Goal {
  readonly accounts: readonly AnvilAccount[];
  /** By the lanes of these accounts, together; and none in flight any more. */
  readonly admissions: number;
  /** Events that the receiver handled. */
  readonly handled: number;
  /** Open letters in the ledger. */
  readonly letters: number;
}

export async function readLanes(client: Client): Promise<ReadonlyMap<string, LaneReport>> {
  return new Map(await Promise.all(ALL_ACCOUNTS.map(async ({ id }) => [id, await client.lane(id)] as const)));
}

/** The letters of a run: those of its ids and its customers, and the raw ones of its time. */
export async function readLetters(
  client: Client,
  { run, startedAt }: { readonly run: string; readonly startedAt: string },
): Promise<readonly LetterReport[]> {
  const letters = await client.letters({ from: startedAt });
  return letters.filter(
    ({ kind, directiveId, lane }) =>
      kind === "raw" || directiveId.includes(`${run}-`) || lane?.includes(`${run}-`) === true,
  );
}

/**
 * Waits until the lanes have admitted what they must, nothing is in flight, and every event and letter is where it
 * must be. Answers false when that takes too long: the numbers will say what is missing. Throws when a part of the
 * stack ended.
 */
export async function settle(settling: Settling, goal: Goal, step: Step): Promise<boolean> {
  const { stack, operator, destination, before, deadline, signal } = settling;
  let timedOut = false;
  await waitUntil(
    async () => {
      const failure = stack.failure();
      if (failure !== null) throw new Error(failure);
      const [lanes, depth] = await Promise.all([
        Promise.all(goal.accounts.map(({ id }) => operator.lane(id))),
        operator.depth(),
      ]);
      const sum = (count: (lane: LaneReport) => number) =>
        lanes.reduce((total, lane) => total + count(lane), 0);
      const admittedBefore = goal.accounts.reduce(
        (total, { id }) => total + (before.lanes.get(id)?.counts.admitted ?? 0),
        0,
      );
      const admitted = sum(({ counts }) => counts.admitted) - admittedBefore;
      const inFlight = sum(({ counts }) => counts.inFlight);
      const owed = sum(({ lettersOwed }) => lettersOwed);
      const letters = depth.letters.open - before.openLetters;
      const handled = destination.handled();
      step.progress(`${inFlight} in flight, ${handled} events handled, ${letters} open letters`);
      timedOut = Date.now() >= deadline;
      const done =
        admitted >= goal.admissions &&
        inFlight === 0 &&
        owed === 0 &&
        letters === goal.letters &&
        handled >= goal.handled;
      return done || timedOut ? true : undefined;
    },
    {
      what: "the lanes' end",
      withinMs: 2 * Math.max(1, deadline - Date.now()),
      everyMs: LOOK_EVERY_MS,
      signal,
      tail: stack.tail,
    },
  );
  return !timedOut;
}
