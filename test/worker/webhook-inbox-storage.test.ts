import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { chance } from "../model/history.ts";
import { INBOX_ACTIONS, INBOX_KINDS } from "../model/inbox-attack.ts";
import { InboxWorld } from "../model/inbox-world.ts";
import { MirroredInbox } from "../model/mirrored-inbox.ts";
import type { LaneSql } from "../../durable-objects/sequencer-rows.ts";
import { inboxOfKey } from "../../domain/inbox-name.ts";
import { DEFAULT_INBOX_POLICY } from "../../domain/webhook-source.ts";
import { inboxAlarmMs, ringInbox } from "../../durable-objects/webhook-inbox-alarm.ts";
import { admitEvent } from "../../durable-objects/webhook-inbox-admission.ts";
import { planEvents, takeEvents } from "../../durable-objects/webhook-inbox-lease.ts";
import { settleEvents } from "../../durable-objects/webhook-inbox-settlement.ts";
import { InboxStorage } from "../../durable-objects/webhook-inbox-storage.ts";

test("the inbox in SQLite, opened anew after each event, is the inbox in memory over random histories", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const stub = env.WEBHOOK_INBOX.getByName(`webhook:model:mirror-${seed}`);
    const differs = await runInDurableObject(stub, (_, state) => {
      const inbox = new MirroredInbox(state.storage.sql);
      const kind = INBOX_KINDS[seed % INBOX_KINDS.length] ?? {
        ordered: true,
        afterPermanentFailure: "pause",
      };
      const world = new InboxWorld(chance(seed), kind, inbox);
      world.admitSome(3);
      for (let step = 0; step < 120 && inbox.differs === null; step += 1)
        INBOX_ACTIONS[world.pick(INBOX_ACTIONS.length)]?.(world);
      world.calm();
      return inbox.differs ?? world.violations[0] ?? null;
    });
    expect(differs, `seed ${seed}`).toBeNull();
  }
}, 60_000);

/** Rows that one event costs from its admission to its end, in flights of a size. */
async function rowsPerEvent(flight: number, events: number): Promise<number> {
  const address = inboxOfKey("rows", `flights of ${flight}`);
  return runInDurableObject(env.WEBHOOK_INBOX.getByName(address.name), (_, { storage }) => {
    let written = 0;
    const counted: LaneSql = {
      exec(query, ...bindings) {
        const cursor = storage.sql.exec(query, ...bindings);
        const rows = cursor.toArray();
        written += cursor.rowsWritten;
        return { [Symbol.iterator]: () => rows.values(), toArray: () => rows, one: () => rows[0] ?? {} };
      },
    };
    const inbox = new InboxStorage(counted);
    const moment = { nowMs: 1000, random: () => 0.5, policy: DEFAULT_INBOX_POLICY };
    const event = { digest: "d", body: "{}", contentType: "application/json" };
    const commit = <Answer>(answer: Answer): Answer => {
      inbox.flush();
      return answer;
    };
    // The first one writes the header.
    commit(admitEvent(inbox, address, { id: "first", ...event }, moment));
    const settleAll = () => {
      for (;;) {
        const work = commit(takeEvents(inbox, "test", moment));
        if (work.kind !== "work") return;
        const effects = [{ kind: "delivery", destination: "receiver" } as const];
        const plans = work.events.map(({ sequence }) => ({ sequence, effects, failure: null }));
        commit(planEvents(inbox, work.token, plans, moment));
        const done = [{ kind: "done" as const, index: 0, status: 200, latencyMs: 5 }];
        const results = work.events.map(({ sequence }) => ({ sequence, effects: done }));
        commit(settleEvents(inbox, { token: work.token, results, renew: false }, moment));
      }
    };
    settleAll();
    written = 0;
    for (let admitted = 0; admitted < events; admitted += flight) {
      for (let index = 0; index < flight; index += 1)
        commit(admitEvent(inbox, address, { id: `${admitted}-${index}`, ...event }, moment));
      settleAll();
    }
    expect(inbox.header.counts.settled).toBe(events + 1);
    return written / events;
  });
}

test("an event that succeeds at once costs six rows alone, and little more than four in a full flight", async () => {
  const alone = await rowsPerEvent(1, 20);
  const full = await rowsPerEvent(50, 100);
  expect(alone).toBeLessThanOrEqual(6);
  expect(full).toBeLessThanOrEqual(4.1);
});

test("letters of events that asked for much are sent a few at a time, one ring after the other, and none is left", async () => {
  const address = inboxOfKey("letters", "large");
  const rings = await runInDurableObject(env.WEBHOOK_INBOX.getByName(address.name), (_, { storage }) => {
    const inbox = new InboxStorage(storage.sql);
    const moment = { nowMs: 1000, random: () => 0.5, policy: DEFAULT_INBOX_POLICY };
    const commit = <Answer>(answer: Answer): Answer => {
      inbox.flush();
      return answer;
    };
    const event = { digest: "d", body: "{}", contentType: "text/plain" };
    for (let index = 0; index < 30; index += 1)
      commit(admitEvent(inbox, address, { id: String(index), ...event }, moment));
    const work = commit(takeEvents(inbox, "test", moment));
    if (work.kind !== "work") throw new Error(work.kind);
    // As large as a plan may be.
    const effects = [{ kind: "delivery", destination: "d".repeat(512 * 1024) } as const];
    const plans = work.events.map(({ sequence }) => ({ sequence, effects, failure: null }));
    commit(planEvents(inbox, work.token, plans, moment));
    const failure = { code: "forbidden", message: "no" } as const;
    const lost = [{ kind: "permanent" as const, index: 0, failure, status: 403, latencyMs: 5 }];
    const results = work.events.map(({ sequence }) => ({ sequence, effects: lost }));
    commit(settleEvents(inbox, { token: work.token, results, renew: false }, moment));
    const sent: string[][] = [];
    for (;;) {
      const { letters } = commit(ringInbox(inbox, moment));
      if (letters.length === 0) return sent;
      sent.push(letters.map(({ id }) => id));
      // The alarm rings at once for those that are left.
      const left = 30 - sent.flat().length;
      expect((inboxAlarmMs(inbox, moment) ?? Infinity) <= moment.nowMs).toBe(left > 0);
    }
  });
  expect(rings.flat()).toEqual(Array.from({ length: 30 }, (_, index) => String(index)));
  expect(Math.max(...rings.map(({ length }) => length))).toBeLessThan(8);
});

test("a flight is taken from ten thousand pending events by reading little more than the flight", async () => {
  const address = inboxOfKey("rows", "many");
  const read = await runInDurableObject(env.WEBHOOK_INBOX.getByName(address.name), (_, { storage }) => {
    let rowsRead = 0;
    const counted: LaneSql = {
      exec(query, ...bindings) {
        const cursor = storage.sql.exec(query, ...bindings);
        const rows = cursor.toArray();
        rowsRead += cursor.rowsRead;
        return { [Symbol.iterator]: () => rows.values(), toArray: () => rows, one: () => rows[0] ?? {} };
      },
    };
    const inbox = new InboxStorage(counted);
    const moment = { nowMs: 1000, random: () => 0.5, policy: DEFAULT_INBOX_POLICY };
    for (let index = 0; index < 10_000; index += 1)
      admitEvent(
        inbox,
        address,
        { id: String(index), digest: "d", body: "{}", contentType: "text/plain" },
        moment,
      );
    inbox.flush();
    rowsRead = 0;
    const taken = takeEvents(inbox, "test", moment);
    expect(taken.kind === "work" && taken.events.length).toBe(50);
    inbox.flush();
    return rowsRead;
  });
  expect(read).toBeLessThan(500);
});
