import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { checkThresholds } from "../../dlq/alerts.ts";
import { depth } from "../../dlq/depth.ts";
import { listIncidents } from "../../dlq/incidents.ts";
import { recordLetters } from "../../dlq/ledger.ts";
import { metricsText } from "../../dlq/metrics.ts";
import { DEFAULT_ALERTS, DEFAULT_REPLAY } from "../../domain/operations.ts";
import { newLetter, NOW } from "./dlq-fixture.ts";
import { addReplay, recordingLedger, watchEnv } from "./watch-fixture.ts";

/** What is read whole: counters and short lists, which do not grow with the letters. */
const SMALL = new Set([
  "letter_counts",
  "g",
  "open_ages",
  "open_refunds",
  "open_lanes",
  "seen_codes",
  "json_each",
  "value",
  "CONSTANT",
  "opened_counts",
]);

test("no query of depth, metrics or alerts reads letters, incidents or registries but through an index", async () => {
  await addReplay("r1", "running", { waiting: 1 });
  await recordLetters(env.LEDGER, [newLetter()]);
  const { db, plans } = recordingLedger();
  const bindings = watchEnv({ LEDGER: db });
  const operations = {
    notify: "receiver",
    alerts: { ...DEFAULT_ALERTS, openLetters: 1 },
    replay: DEFAULT_REPLAY,
  };
  await depth(bindings, NOW);
  await metricsText(bindings, NOW);
  await checkThresholds(bindings, { operations }, NOW);
  await checkThresholds(bindings, { operations: { ...operations, notify: null } }, NOW);
  await listIncidents(db);
  const steps = await plans();
  expect(steps.length).toBeGreaterThan(20);
  const scans = steps.filter((step) => {
    const [, table = ""] = /^SCAN (\S+)/.exec(step) ?? [];
    return table !== "" && !SMALL.has(table) && !table.startsWith("(subquery") && !step.includes("USING");
  });
  expect(scans).toEqual([]);
  expect(steps.filter((step) => /^SCAN (letters|i|l)\b/.test(step))).toEqual([]);
  expect(steps.some((step) => step.startsWith("SEARCH i USING"))).toBe(true);
});
