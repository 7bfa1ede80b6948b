import type { Failure, TimedFailure } from "../domain/failure.ts";
import { retryDelaySeconds } from "../domain/retry.ts";
import { DEGRADED_AFTER, unpausedMs, type LaneState, type Moment } from "./sequencer-state.ts";

/** The lane waits as a whole: attempts and `notBefore` live here, so that no doorbell shortens the delay. */
export function beginOutage(lane: LaneState, failure: TimedFailure, { nowMs, policy, random }: Moment): void {
  const attempts = (lane.header.outage?.attempts ?? 0) + 1;
  const delaySeconds = retryDelaySeconds(attempts, random(), failure.retryAfterSeconds, {
    baseSeconds: 1,
    capSeconds: 2 * policy.probeSeconds,
  });
  lane.header.outage = {
    attempts,
    sinceMs: lane.header.outage?.sinceMs ?? unpausedMs(lane.header, nowMs),
    notBeforeMs: nowMs + delaySeconds * 1000,
    failure,
  };
  if (attempts !== DEGRADED_AFTER) return;
  lane.addEvent({ atMs: nowMs, kind: "degraded", detail: `${failure.code}: ${failure.message}` });
}

export function endOutage(lane: LaneState, { nowMs }: Moment): void {
  const { outage } = lane.header;
  lane.header.outage = null;
  if (outage === null || outage.attempts < DEGRADED_AFTER) return;
  lane.addEvent({ atMs: nowMs, kind: "recovered", detail: "the chain answers again" });
}

/** The breaker: a broken credential or endpoint costs `breakerAfter` letters, not the whole backlog. */
export function countBlame(lane: LaneState, failure: Failure, nowMs: number, breakerAfter: number): void {
  const { header } = lane;
  header.breaker += 1;
  if (header.breaker < breakerAfter || header.paused !== null) return;
  const reason = `the endpoint refused ${header.breaker} requests in a row, the last one with ${failure.code}`;
  header.paused = { reason, actor: "breaker", sinceMs: nowMs };
  lane.addEvent({ atMs: nowMs, kind: "paused", detail: `breaker: ${reason}` });
}
