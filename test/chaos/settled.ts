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

/**
 * Resolves when nothing is in flight in any lane, every number that was given out is final, and the ledger has every
 * letter. Throws with the lanes' reports after the deadline.
 */
export async function settleAll(arena: Arena): Promise<ReadonlyMap<string, LaneReport>> {
  const { accounts, client, stack } = arena;
  let lanes = new Map<string, LaneReport>();
  await waitUntil(
    async () => {
      await resumePaused(arena);
      lanes = new Map(
        await Promise.all(accounts.map(async ({ id }) => [id, await client.lane(id)] as const)),
      );
      return [...lanes.values()].every(isSettled) ? true : undefined;
    },
    {
      what: "every lane settled",
      withinMs: SETTLED_WITHIN_MS,
      everyMs: 250,
      failed: stack.failure,
      tail: () =>
        `\n${JSON.stringify(
          [...lanes.values()].filter((lane) => !isSettled(lane)),
          null,
          1,
        )}${stack.tail()}`,
    },
  );
  return lanes;
}

function isSettled({ counts, open, lettersOwed, nextSequence, checkpoint }: LaneReport): boolean {
  return counts.inFlight === 0 && open === 0 && lettersOwed === 0 && checkpoint.contiguous === nextSequence;
}
