import { expect, test } from "vitest";
import { LaneStorage } from "../../durable-objects/sequencer-storage.ts";
import { chance } from "../model/history.ts";
import { MirroredLane } from "../model/mirrored-lane.ts";
import { nodeSql } from "../model/node-sql.ts";
import { World } from "../model/world.ts";

test("a lane that an earlier version wrote, with directives and payloads in two tables, is the same lane", () => {
  const sql = nodeSql();
  const world = new World(chance(5), { lane: new MirroredLane(sql) });
  world.admitSome(3);
  expect(world.calm()).toBe(true);
  const ids = [...world.lane.directives.keys()];
  const facts = () => {
    const lane = new LaneStorage(sql);
    return ids.map((id) => {
      const record = lane.directive(id);
      return { record, payload: record === undefined ? null : lane.payloadOf(record) };
    });
  };
  const before = facts();
  expect(before.every(({ record, payload }) => record !== undefined && payload !== "")).toBe(true);

  sql.exec(
    "CREATE TABLE directives (id TEXT PRIMARY KEY, admission INTEGER NOT NULL, state TEXT NOT NULL, facts TEXT NOT NULL) WITHOUT ROWID",
  );
  sql.exec("CREATE TABLE payloads (admission INTEGER PRIMARY KEY, id TEXT NOT NULL, payload TEXT NOT NULL)");
  sql.exec("INSERT INTO directives SELECT id, admission, state, facts FROM outbox");
  sql.exec("INSERT INTO payloads SELECT admission, id, payload FROM outbox");
  sql.exec("DELETE FROM outbox");

  expect(facts()).toEqual(before);
  expect(
    sql.exec("SELECT name FROM sqlite_master WHERE name IN ('directives', 'payloads')").toArray(),
  ).toEqual([]);
});
