import parsePrometheusTextFormat from "parse-prometheus-text-format";
import { afterAll, beforeAll, expect, test } from "vitest";
import { anvilAccount } from "../../ops/anvil-accounts.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import { incidentsReportSchema } from "../../domain/api-letters.ts";
import { startLockstep, type Lockstep } from "./lockstep.ts";

let lockstep: Lockstep;
beforeAll(async () => {
  lockstep = await startLockstep();
});
afterAll(() => lockstep.close());

test("the cron opens an incident of what the ledger has, and metrics count what lanes have tried", async () => {
  const account = anvilAccount(3).id;
  const action = { type: "evm.transaction", to: anvilAccount(4).address, value: "1" };
  await lockstep.post([1, 2, 3].map((number) => ({ id: `watched-${number}`, account, action })));
  await lockstep.stack.send([{ raw: { nothing: "that can be read" } }]);
  await lockstep.settled(account, 3);
  await waitUntil(async () => ((await lockstep.letters()).length === 1 ? true : undefined), {
    what: "the letter",
    withinMs: 30_000,
  });

  await lockstep.stack.runCron();
  const incidents = incidentsReportSchema.parse(JSON.parse((await lockstep.call("/v1/dlq/incidents")).text));
  expect([...incidents.open, ...incidents.closed]).toMatchObject([
    { rule: "new-code", subject: "malformed_message" },
  ]);

  const { status, text } = await lockstep.call("/metrics");
  expect(status).toBe(200);
  const families = new Map(parsePrometheusTextFormat(text).map((family) => [family.name, family.metrics]));
  const accepted = families
    .get("lockstep_attempts_total")
    ?.find(({ labels }) => labels?.["outcome"] === "accepted");
  expect(Number(accepted?.value)).toBeGreaterThanOrEqual(3);
  expect(families.get("lockstep_lane_directives")).toContainEqual({
    labels: { state: "settled" },
    value: "3",
  });
  expect(families.get("lockstep_letters")).toEqual([
    { labels: { state: "open", kind: "raw", code: "malformed_message" }, value: "1" },
  ]);
  expect((await lockstep.call("/metrics", { token: lockstep.stack.producerToken })).status).toBe(403);
  expect((await lockstep.call("/metrics", { token: "none" })).status).toBe(401);
});
