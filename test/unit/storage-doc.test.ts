import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const FOLDERS = ["durable-objects", "dlq", "dlq/migrations"];

/** Tables that the code makes, without those that a migration makes only to take the place of another. */
function tables(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => /\.(ts|sql)$/.test(name))
    .flatMap((name) =>
      Array.from(
        readFileSync(`${folder}/${name}`, "utf8").matchAll(/CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)/g),
        ([, table]) => table ?? "",
      ),
    )
    .map((table) => table.replace(/_new$/, ""));
}

test("docs/storage.md names every table that Lockstep makes, and no other", () => {
  const page = readFileSync("docs/storage.md", "utf8");
  const named = Array.from(page.matchAll(/^\| `([a-z_]+)` \|/gm), ([, table]) => table);
  expect(new Set(named)).toEqual(new Set(FOLDERS.flatMap(tables)));
});

test("docs/storage.md names every queue", () => {
  const page = readFileSync("docs/storage.md", "utf8");
  const queues = Array.from(
    readFileSync("wrangler.jsonc", "utf8").matchAll(/"(?:queue|dead_letter_queue)": "([a-z-]+)"/g),
    ([, queue]) => queue ?? "",
  );
  expect(queues.length).toBeGreaterThan(5);
  expect(queues.filter((queue) => !page.includes(`\`${queue}\``))).toEqual([]);
});
