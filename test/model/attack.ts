import { ACTIONS, chance } from "./history.ts";
import {
  begin,
  entry,
  live,
  moment,
  record,
  refused,
  script,
  sendAll,
  settleWith,
  stateOf,
  takeWork,
  uncertain,
  work,
  admitAll,
} from "./lane-script.ts";
import { burn } from "../../durable-objects/sequencer-burn.ts";
import { take } from "../../durable-objects/sequencer-lease.ts";
import { readmit } from "../../durable-objects/sequencer-readmission.ts";
import { NEW_IXO_LANE, transition } from "../../durable-objects/ixo-sequence-state.ts";
import { LaneStorage } from "../../durable-objects/sequencer-storage.ts";
import { MirroredLane } from "./mirrored-lane.ts";
import { nodeSql } from "./node-sql.ts";
import { World } from "./world.ts";

/** One random history, then calm. The first thing that does not hold, or null. */
export function historyFault(seed: number, actions: readonly number[], strict = false): string | null {
  const world = new World(chance(seed), { strict });
  world.admitSome(2);
  for (const action of actions) {
    ACTIONS[action]?.(world);
    world.check();
    if (world.violations[0] !== undefined) return world.violations[0];
  }
  const ended = world.calm();
  if (world.violations[0] !== undefined) return world.violations[0];
  if (!ended) return "liveness: faults stopped, and a directive did not come to an end";
  world.checkEnd();
  return world.violations[0] ?? null;
}

/** Random histories until one fails. */
export function randomFault(histories: number): string | null {
  for (let seed = 1; seed <= histories; seed += 1) {
    const random = chance(seed * 7919);
    const actions = Array.from({ length: 20 + Math.floor(random() * 100) }, () =>
      Math.floor(random() * ACTIONS.length),
    );
    const fault = historyFault(seed, actions, seed % 3 === 0);
    if (fault !== null) return `history ${seed}: ${fault}`;
  }
  return null;
}

/** Short histories against rules that an honest consumer never puts to the test: each says what does not hold, or null. */
export const SCRIPTS: Readonly<Record<string, () => string | null>> = {
  "a directive that was not lent is recorded": () => {
    const flight = live("a");
    admitAll("b");
    return record(flight.token, entry(0, "b")).kind === "recorded" ? "b was recorded" : null;
  },
  "two leases send one slot": () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain() }] });
    script.nowMs += 60_000;
    const two = { ...moment(), policy: { ...moment().policy, maxFlights: 2 } };
    const first = work(take(script.lane, "one", two));
    const second = take(script.lane, "two", two);
    return first.rebroadcast.length === 1 && second.kind === "work" ? "both were given the slot" : null;
  },
  "a revert is believed while earlier directives are under way": () => {
    const flight = live("a", "b");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, {
      outcomes: [{ hash: "h-0-a", outcome: { kind: "accepted" } }],
      refusals: [{ id: "b", failure: { code: "execution_reverted", message: "approve is on its way" } }],
    });
    return stateOf("b") === "dead" ? "b is dead" : null;
  },
  "one letter is replayed twice": () => {
    const kill = { refusals: [{ id: "a", failure: { code: "out_of_gas", message: "test" } as const }] };
    settleWith(live("a").token, kill);
    readmit(script.lane, { id: "a", digest: "a", generation: 0 }, null, moment());
    settleWith(takeWork().token, kill);
    return readmit(script.lane, { id: "a", digest: "a", generation: 0 }, null, moment()).kind === "readmitted"
      ? "the old letter was replayed"
      : null;
  },
  "a hole is left below a recorded number": () => {
    const flight = live("a", "b");
    return record(flight.token, entry(1, "b")).kind === "recorded" ? "0 is a hole" : null;
  },
  "unrecorded numbers are not given back": () => {
    const flight = live("a", "b");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: { kind: "accepted" } }] });
    return script.lane.header.next === 1 ? null : `next is ${script.lane.header.next}`;
  },
  "a renewal keeps its token": () => {
    const flight = live("a");
    const renewed = settleWith(flight.token, { renew: true });
    return renewed.kind === "settled" && work(renewed.next).token === flight.token
      ? "the token is the same"
      : null;
  },
  "a bump takes the number for another directive": () => {
    sendAll(live("a"));
    script.nowMs += 86_400_000;
    admitAll("b");
    return record(takeWork().token, entry(0, "b")).kind === "recorded" ? "b has a's number" : null;
  },
  "a refused no-op raises the price of the next": () => {
    const flight = live("a");
    record(flight.token, entry(0, "a"));
    settleWith(flight.token, { outcomes: [{ hash: "h-0-a", outcome: uncertain("unauthorized") }] });
    burn(script.lane, "a", "script", "operator", moment());
    const { token } = takeWork();
    record(token, { ...entry(0, null, "noop"), raw: "0xnoop" });
    settleWith(token, { outcomes: [{ hash: "noop", outcome: refused("insufficient_funds") }] });
    script.nowMs += 60_000;
    return takeWork().burns.some(({ replaces }) => replaces.includes("0xnoop")) ? "it is to be outbid" : null;
  },
  "what is settled is kept for ever": () => {
    const sql = nodeSql();
    const world = new World(chance(5), { lane: new MirroredLane(sql) });
    world.admitSome(3);
    if (!world.calm()) return "the lane did not come to rest";
    world.checkEnd();
    const stored = new LaneStorage(sql);
    for (let from: number | null = 0; from !== null;)
      from = stored.prune(Number.MAX_SAFE_INTEGER, from, 2).next;
    const ended = [...world.lane.directives.values()].filter(({ state }) => state === "confirmed");
    if (ended.length === 0) return "nothing was confirmed";
    if (ended.some(({ id }) => stored.directive(id)?.digest !== id)) return "an outcome is gone";
    const kept = ended.filter((settled) => stored.payloadOf(settled) !== "");
    const flights = sql.exec("SELECT flight FROM flights WHERE closed_ms IS NOT NULL").toArray();
    return kept.length + flights.length === 0
      ? null
      : `${kept.length} payloads and ${flights.length} flights are left`;
  },
  "a number that is pending is given out again after seven idle seconds": () => {
    const sequences = ixoGrants([0, 7100]);
    return sequences[0] === sequences[1] ? `${sequences[0]} was given out twice` : null;
  },
  "a lost number jams a client that keeps calling": () => {
    const sequences = ixoGrants(Array.from({ length: 120 }, (_, call) => call * 350));
    return sequences.lastIndexOf(5) > 0 ? null : "the lost number was never given out again";
  },
};

/** The numbers that a client of the ixo protocol gets at these times, while the chain stands at 5. */
function ixoGrants(atMs: readonly number[]): readonly (number | null)[] {
  let lane = NEW_IXO_LANE;
  return atMs.map((at) => {
    const ixoMoment = { nowMs: 1_000_000 + at, minDelayMs: 0, healAfterMs: 30_000 };
    let sequence: number | null = null;
    for (const kind of ["reading", "grant"] as const) {
      const step = transition(lane, { kind, chainSequence: 5 }, ixoMoment);
      if (!step.ok) throw new Error(step.error.kind);
      ({ lane, sequence } = step.value);
    }
    return sequence;
  });
}

export function scriptFault(name: string): string | null {
  begin();
  return SCRIPTS[name]?.() ?? null;
}
