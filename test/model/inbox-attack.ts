import { chance } from "./history.ts";
import type { InboxKind } from "./inbox-flight.ts";
import { InboxWorld } from "./inbox-world.ts";
import type { MemoryInbox } from "./memory-inbox.ts";

/** What may happen next, each as likely as often as it stands here. */
export const INBOX_ACTIONS: readonly ((world: InboxWorld) => void)[] = [
  (world) => world.admitSome(1 + world.pick(4)),
  (world) => world.admitAgain(),
  (world) => void world.begin(),
  (world) => void world.begin(),
  (world) => void world.begin(),
  ...Array.from({ length: 9 }, () => (world: InboxWorld) => void world.step()),
  ...Array.from({ length: 7 }, () => (world: InboxWorld) => void world.arrive()),
  (world) => world.timeOut(),
  (world) => world.crash(),
  (world) => world.zombie(),
  (world) => world.pause(),
  (world) => world.resume(),
  (world) => world.resume(),
  (world) => world.skip(),
  (world) => world.readmit(),
  (world) => world.readmit(),
  (world) => world.alarm(),
  (world) => world.alarm(),
  (world) => world.hear(true),
  (world) => world.hear(true),
  (world) => {
    world.nowMs += 100 + world.pick(3000);
  },
  (world) => {
    world.nowMs += 4000 + world.pick(9000);
  },
  (world) => {
    world.nowMs += world.pick(2) === 0 ? 20_000 : world.pick(500_000);
  },
];

export const INBOX_KINDS: readonly InboxKind[] = [
  { ordered: true, afterPermanentFailure: "continue" },
  { ordered: true, afterPermanentFailure: "pause" },
  { ordered: false, afterPermanentFailure: "continue" },
];

/** One random history, then calm. The first thing that does not hold, or null. */
export function inboxFault(
  seed: number,
  actions: readonly number[],
  kind: InboxKind,
  inbox?: MemoryInbox,
): string | null {
  const world = new InboxWorld(chance(seed), kind, inbox);
  world.admitSome(2);
  for (const action of actions) {
    INBOX_ACTIONS[action]?.(world);
    if (world.violations[0] !== undefined) return world.violations[0];
  }
  const ended = world.calm();
  return (
    world.violations[0] ?? (ended ? null : "liveness: faults stopped, and something did not come to an end")
  );
}

/** Random histories until one fails. */
export function randomInboxFault(histories: number): string | null {
  for (let seed = 1; seed <= histories; seed += 1) {
    const random = chance(seed * 7919);
    const actions = Array.from({ length: 20 + Math.floor(random() * 120) }, () =>
      Math.floor(random() * INBOX_ACTIONS.length),
    );
    const kind = INBOX_KINDS[seed % INBOX_KINDS.length];
    const fault = kind === undefined ? null : inboxFault(seed, actions, kind);
    if (fault !== null) return `history ${seed}: ${fault}`;
  }
  return null;
}
