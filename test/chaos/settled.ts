import type { LaneReport } from "../../domain/api.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import type { Arena } from "./arena.ts";
import { resumePaused } from "./storm.ts";

/** Liveness, not speed: an outage's longest delay is 60 s, and a degraded lane's probe comes within 30 s. */
const SETTLED_WITHIN_MS = 150_000;
const ADMITTED_WITHIN_MS = 60_000;
const PER_REQUEST = 100;

/** A producer's part: what was not acknowledged is sent again until it is. */
export async function admitAll({ stack, workload }: Arena): Promise<void> {
  await waitUntil(
    async () => {
      const missing = workload.orders.filter(({ acknowledged }) => !acknowledged);
      if (missing.length === 0) return true;
      for (let start = 0; start < missing.length; start += PER_REQUEST)
        await workload.post(missing.slice(start, start + PER_REQUEST));
      return undefined;
    },
    { what: "an acknowledgement of every directive", withinMs: ADMITTED_WITHIN_MS, tail: stack.tail },
  );
}

/** Nothing is in flight, and every number that was given out is final. */
export function isLanded({ counts, open, nextSequence, checkpoint }: LaneReport): boolean {
  return counts.inFlight === 0 && open === 0 && checkpoint.contiguous === nextSequence;
}

/** And the ledger has every letter. */
export function isSettled(lane: LaneReport): boolean {
  return isLanded(lane) && lane.lettersOwed === 0;
}

/** Resolves with the lanes' reports, by account, once each of them is so. Throws with those that are not after the deadline. */
export async function awaitLanes(
  arena: Arena,
  isSo: (lane: LaneReport) => boolean,
): Promise<ReadonlyMap<string, LaneReport>> {
  const { accounts, client, stack } = arena;
  let lanes = new Map<string, LaneReport>();
  return waitUntil(
    async () => {
      await resumePaused(arena);
      const reports = await Promise.all(accounts.map(async ({ id }) => [id, await client.lane(id)] as const));
      lanes = new Map(reports);
      return [...lanes.values()].every(isSo) ? lanes : undefined;
    },
    {
      what: "the end of all work in every lane",
      withinMs: SETTLED_WITHIN_MS,
      everyMs: 250,
      failed: stack.failure,
      tail: () => `\n${JSON.stringify([...lanes.values()].filter((lane) => !isSo(lane)))}${stack.tail()}`,
    },
  );
}
