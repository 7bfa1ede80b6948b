import { DatabaseSync } from "node:sqlite";
import type { LaneSql } from "../../durable-objects/sequencer-rows.ts";

type Row = ReturnType<ReturnType<LaneSql["exec"]>["one"]>;

/** The lane's SQL over Node's own SQLite: for what is to be shown outside workerd, where the real one is tested. */
export function nodeSql(): LaneSql {
  const database = new DatabaseSync(":memory:");
  return {
    exec(query, ...bindings) {
      if (bindings.length === 0 && query.includes(";\n")) {
        database.exec(query);
        return cursor([]);
      }
      return cursor(
        database
          .prepare(query)
          .all(...bindings)
          .map(rowOf),
      );
    },
  };
}

function rowOf(columns: Record<string, unknown>): Row {
  const row: Row = {};
  for (const [name, value] of Object.entries(columns)) {
    if (typeof value !== "string" && typeof value !== "number" && value !== null)
      throw new Error(`${name} is of another type`);
    row[name] = value;
  }
  return row;
}

function cursor(rows: Row[]): ReturnType<LaneSql["exec"]> {
  return {
    [Symbol.iterator]: () => rows.values(),
    toArray: () => rows,
    one() {
      const [row] = rows;
      if (row === undefined || rows.length > 1) throw new Error(`${rows.length} rows`);
      return row;
    },
  };
}
