import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineConfig, type ConfigInput } from "../../domain/config.ts";
import { webhookSource, type WebhookSourceInput } from "../../domain/webhook-source.ts";
import localConfig from "../../lockstep.config.ts";

const chains: ConfigInput["chains"] = {};

function source(overrides: Partial<WebhookSourceInput<unknown>> = {}) {
  return webhookSource({
    signature: { scheme: "stripe" },
    secrets: [{ env: "SECRET" }],
    schema: z.unknown(),
    handle: () => ({}),
    ...overrides,
  });
}

const receiver = { url: { env: "URL" }, secrets: [{ env: "SECRET" }] };

describe("a wrong configuration is refused at the start, by the name of what is wrong", () => {
  test.each<[string, Partial<ConfigInput>, string]>([
    ["a source's name", { sources: { "My Shop": source() } }, "sources.My Shop: a source's name"],
    [
      "Lockstep's own name",
      { sources: { lockstep: source() } },
      "sources.lockstep: the name is Lockstep's own",
    ],
    ["no secret", { sources: { shop: source({ secrets: [] }) } }, "sources.shop: secrets must name"],
    [
      "a tolerance",
      { sources: { shop: source({ toleranceSeconds: -1 }) } },
      "toleranceSeconds must be a positive",
    ],
    ["a body cap", { sources: { shop: source({ maxBodyBytes: 2 ** 21 }) } }, "maxBodyBytes must be at most"],
    ["shards", { sources: { shop: source({ shards: 0 }) } }, "shards must be 1 to 256"],
    [
      "a policy",
      { sources: { shop: source({ policy: { leaseSeconds: Number.NaN } }) } },
      "policy.leaseSeconds",
    ],
    [
      "a header",
      {
        sources: {
          shop: source({ signature: { scheme: "hmac-sha256", header: "x signature", encoding: "hex" } }),
        },
      },
      "signature.header must be the name of an HTTP header",
    ],
    [
      "an unsigned destination",
      { destinations: { d: { ...receiver, secrets: [] } } },
      "destinations.d.secrets",
    ],
    [
      "a timeout",
      { destinations: { d: { ...receiver, timeoutSeconds: 0 } } },
      "destinations.d.timeoutSeconds",
    ],
    [
      "a status",
      { destinations: { d: { ...receiver, statuses: { 42: "success" } } } },
      "destinations.d.statuses.42",
    ],
    ["an unknown destination", { operations: { notify: "nobody" } }, "there is no destination nobody"],
    ["a replay's rate", { operations: { replay: { ratePerSecond: 0 } } }, "operations.replay.ratePerSecond"],
    ["a threshold", { operations: { alerts: { openLetters: -5 } } }, "operations.alerts.openLetters"],
  ])("%s", (_, input, message) => {
    expect(() => defineConfig({ chains, ...input })).toThrow(message);
  });
});

test("Lockstep's own source is there when somebody is notified, and delivers to that destination alone", async () => {
  const config = defineConfig({ chains, destinations: { ops: receiver }, operations: { notify: "ops" } });
  const own = config.sources.get("lockstep");
  expect(own?.internal).toBe(true);
  const handled = await own?.handle({ source: "lockstep", id: "1", data: {}, receivedAt: new Date(0) });
  expect(handled).toEqual({ ok: true, value: { deliveries: ["ops"] } });
  expect(defineConfig({ chains }).sources.size).toBe(0);
});

test("the local configuration turns a paid order of Polar into a transfer and a delivery, and nothing else", async () => {
  const polar = localConfig.sources.get("polar");
  const event = (type: string, metadata: object) => ({
    source: "polar",
    id: "1",
    receivedAt: new Date(0),
    data: { type, data: { customer_id: "c", metadata } },
  });
  const to = "0x1111111111111111111111111111111111111111";
  const paid = await polar?.handle(event("order.paid", { lockstep_wei: "5", lockstep_to: to }));
  expect(paid).toMatchObject({
    ok: true,
    value: { deliveries: ["receiver"], directives: [{ action: { to, value: "5" } }] },
  });
  for (const other of [
    event("order.created", { lockstep_wei: "5", lockstep_to: to }),
    event("order.paid", {}),
  ])
    expect(await polar?.handle(other)).toEqual({
      ok: true,
      value: { deliveries: ["receiver"], directives: [] },
    });
});
