import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const DOCS = [
  "README.md",
  "ARCHITECTURE.md",
  "docs/chaos.md",
  "docs/ixo.md",
  "docs/failures.md",
  "docs/runbook.md",
  "docs/storage.md",
  "docs/webhooks.md",
  "docs/cli.md",
];

test.each(DOCS)("every link in %s that points into the project resolves", (doc) => {
  const text = readFileSync(doc, "utf8");
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target]) => target ?? []);
  const local = targets.filter((target) => !/^[a-z]+:/.test(target) && !target.startsWith("#"));
  expect(local).not.toEqual([]);
  const missing = local.filter((target) => !existsSync(join(dirname(doc), target.replace(/#.*$/, ""))));
  expect(missing).toEqual([]);
});

test("the README follows one directive through files of every stage, in the order of the data", () => {
  const section = readFileSync("README.md", "utf8").split("## Follow one directive")[1] ?? "";
  const stages = [...section.matchAll(/\]\((producers|durable-objects|consumers|dlq)\//g)].map(
    ([, stage]) => stage,
  );
  expect(new Set(stages)).toEqual(new Set(["producers", "durable-objects", "consumers", "dlq"]));
  expect(stages[0]).toBe("producers");
  expect(stages.at(-1)).toBe("dlq");
});

test("the README shows the example Worker as it is", () => {
  const example = readFileSync("docs/examples/sender/worker.ts", "utf8").trimEnd();
  expect(readFileSync("README.md", "utf8")).toContain(`\`\`\`ts\n${example}\n\`\`\``);
});
