import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { ALICE } from "./replay-fixture.ts";

test("many are readmitted in one call, each by its own generation, and looked up in one", async () => {
  const lane = env.SEQUENCER.getByName(ALICE);
  expect(await lane.readmitAll([{ id: "a", digest: "d", generation: 0 }])).toEqual([{ kind: "unknown" }]);
  expect(await lane.directives(["a"])).toEqual([null]);
  const payload = JSON.stringify({
    action: { type: "evm.transaction", to: ALICE.split(":")[2], value: "1", data: "0x" },
  });
  const ids = ["a", "b", "c"];
  await lane.admit(
    ALICE,
    ids.map((id) => ({ id, digest: "d", payload, expiresAtMs: null })),
  );
  const work = await lane.take(ALICE, "test");
  if (work.kind !== "work") throw new Error(work.kind);
  const failure = { code: "intrinsic_gas_too_low", message: "the gas is too low" } as const;
  await lane.settle({
    token: work.token,
    outcomes: [],
    refusals: ["a", "b"].map((id) => ({ id, failure })),
    outage: null,
    reading: { sequence: 0 },
    renew: false,
  });
  const keys = [...ids, "d"].map((id) => ({ id, digest: "d", generation: 0 }));
  expect(await lane.readmitAll(keys)).toEqual([
    { kind: "readmitted", generation: 1 },
    { kind: "readmitted", generation: 1 },
    { kind: "moved-on", status: "queued", generation: 0 },
    { kind: "unknown" },
  ]);
  expect(await lane.readmitAll(keys.slice(0, 1))).toEqual([
    { kind: "moved-on", status: "queued", generation: 1 },
  ]);
  const views = await lane.directives(["b", "d", "c"]);
  expect(views.map((view) => view && [view.id, view.status, view.generation])).toEqual([
    ["b", "queued", 1],
    null,
    ["c", "queued", 0],
  ]);
});
