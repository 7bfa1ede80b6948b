import type { Receiver } from "../receiver.ts";
import type { DemoPlan } from "./plan.ts";

/** The receiver of the demo, and what is wrong with it. */
export interface Destination {
  readonly receiver: Receiver;
  /** While down, a connection breaks, or is answered with 503. */
  setDown(down: boolean): void;
  /** What it refused for good, it takes from now on. */
  putInOrder(): void;
  /** Events of the run that it handled. */
  handled(): number;
}

export function destinationOf(receiver: Receiver, { storm, webhooks, events }: DemoPlan): Destination {
  const refused = new Map(
    storm.groups.flatMap(({ status, customers }) => customers.map(({ key }) => [key, status] as const)),
  );
  refused.set(webhooks.refused.key, 403);
  const bodies = new Set(events.map(({ body }) => body));
  let down = false;
  receiver.behave(({ key, attempt }) => {
    if (down) return attempt % 2 === 1 ? "hang-up" : 503;
    return refused.get(key ?? "") ?? 204;
  });
  return {
    receiver,
    setDown(next) {
      down = next;
    },
    putInOrder() {
      refused.clear();
    },
    handled: () => receiver.arrivals.filter(({ handled, body }) => handled && bodies.has(body)).length,
  };
}
