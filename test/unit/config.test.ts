import { describe, expect, test } from "vitest";
import { z } from "zod";
import { DEFAULT_CHAIN_POLICY, defineConfig, type ConfigInput } from "../../domain/config.ts";
import { DEFAULT_ALERTS, DEFAULT_REPLAY } from "../../domain/operations.ts";
import { DEFAULT_INBOX_POLICY, webhookSource, type WebhookSourceInput } from "../../domain/webhook-source.ts";
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

const chain = { rpcUrl: { env: "CHAIN_URL" }, signers: [] };
const ADDRESS = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

/** As a program without types may write it. */
function define(input: unknown) {
  return defineConfig(input as ConfigInput);
}

function problemsOf(input: unknown): string {
  try {
    define(input);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "it was taken";
}

const withChain = (part: object) => ({ chains: { "eip155:1": { ...chain, ...part } } });
const withPolicy = (policy: unknown) => withChain({ policy });
const withSigner = (signer: unknown) => withChain({ signers: [signer] });
const withSource = (part: object) => ({ chains, sources: { shop: source(part) } });
const withDestination = (part: object) => ({ chains, destinations: { d: { ...receiver, ...part } } });
const withAlerts = (alerts: unknown) => ({ chains, operations: { alerts } });
const withReplay = (replay: unknown) => ({ chains, operations: { replay } });
const NAME = "the name of a variable or secret of the Worker: its value never stands in the configuration";
const WHOLE = "must be a whole number";

describe("a configuration that cannot work is refused at the start, by the path of the field and what to write", () => {
  test.each<[string, unknown, string]>([
    [
      "an unknown part",
      { chains, source: {} },
      "source: is not a known field: the fields are chains, sources",
    ],
    ["no chains", {}, "chains: is missing: it must be an object"],
    ["a part that is no object", { chains, sources: "shop" }, "sources: must be an object"],
    ["a chain's id", { chains: { mainnet: chain } }, "chains.mainnet: the name must be a CAIP-2 chain id"],
    [
      "no RPC URL",
      { chains: { "eip155:1": { signers: [] } } },
      'chains.eip155:1.rpcUrl: is missing: it must be { env: "<name>" }',
    ],
    [
      "a literal RPC URL",
      withChain({ rpcUrl: "https://rpc.example/key" }),
      'chains.eip155:1.rpcUrl: must be { env: "<name>" }',
    ],
    [
      "a literal in the place of a name",
      withChain({ rpcUrl: { env: "https://rpc.example/key" } }),
      `chains.eip155:1.rpcUrl.env: must be ${NAME}`,
    ],
    [
      "no signers",
      { chains: { "eip155:1": { rpcUrl: { env: "URL" } } } },
      "chains.eip155:1.signers: is missing: it must be a list of { account, key }",
    ],
    [
      "a signer's account",
      withSigner({ account: "me", key: { env: "KEY" } }),
      "chains.eip155:1.signers.0.account: must be a CAIP-10 account",
    ],
    [
      "a signer of another chain",
      withSigner({ account: `eip155:5:${ADDRESS}`, key: { env: "KEY" } }),
      "chains.eip155:1.signers.0.account: is on another chain",
    ],
    [
      "a literal key",
      withSigner({ account: `eip155:1:${ADDRESS}`, key: "0xac0974" }),
      'chains.eip155:1.signers.0.key: must be { env: "<name>" }',
    ],
    [
      "an unknown field of a chain",
      withChain({ rpcURL: { env: "URL" } }),
      "chains.eip155:1.rpcURL: is not a known field: the fields are rpcUrl, signers, policy",
    ],
    [
      "a misspelt policy",
      withPolicy({ confirmation: 3 }),
      "chains.eip155:1.policy.confirmation: is not a known field: the fields are confirmations, confirmEverySeconds",
    ],
    [
      "a number as text",
      withPolicy({ confirmations: "12" }),
      `chains.eip155:1.policy.confirmations: ${WHOLE}, 1 or more`,
    ],
    [
      "a fraction of a block",
      withPolicy({ confirmations: 0.5 }),
      `chains.eip155:1.policy.confirmations: ${WHOLE}, 1 or more, not 0.5`,
    ],
    [
      "half a flight",
      withPolicy({ maxFlights: 1.5 }),
      `chains.eip155:1.policy.maxFlights: ${WHOLE}, 1 or more, not 1.5`,
    ],
    [
      "no open slot",
      withPolicy({ maxUnconfirmed: 0 }),
      `chains.eip155:1.policy.maxUnconfirmed: ${WHOLE}, 1 or more, not 0`,
    ],
    [
      "fewer than no bumps",
      withPolicy({ maxBumps: -1 }),
      `chains.eip155:1.policy.maxBumps: ${WHOLE}, 0 or more, not -1`,
    ],
    [
      "a breaker that is always open",
      withPolicy({ breakerAfter: 0 }),
      `chains.eip155:1.policy.breakerAfter: ${WHOLE}, 1 or more, not 0`,
    ],
    [
      "no time",
      withPolicy({ probeSeconds: 0 }),
      "chains.eip155:1.policy.probeSeconds: must be a number of seconds above 0",
    ],
    [
      "no number",
      withPolicy({ probeSeconds: Number.NaN }),
      "chains.eip155:1.policy.probeSeconds: must be a number of seconds above 0",
    ],
    [
      "no end",
      withPolicy({ giveUpAfterSeconds: Infinity }),
      "chains.eip155:1.policy.giveUpAfterSeconds: must be a number of seconds above 0",
    ],
    [
      "null for a default",
      withPolicy({ confirmations: null }),
      `chains.eip155:1.policy.confirmations: ${WHOLE}`,
    ],
    [
      "a flag as text",
      withPolicy({ gapTolerant: "no" }),
      "chains.eip155:1.policy.gapTolerant: must be true or false",
    ],
    [
      "a call as long as a lease",
      withPolicy({ rpcTimeoutSeconds: 30 }),
      "chains.eip155:1.policy.rpcTimeoutSeconds: must be at most a third of leaseSeconds",
    ],
    ["a source's name", { chains, sources: { "My Shop": source() } }, "sources.My Shop: a source's name"],
    [
      "Lockstep's own name",
      { chains, sources: { lockstep: source() } },
      "sources.lockstep: the name is Lockstep's own",
    ],
    [
      "a source that is none",
      { chains, sources: { shop: {} } },
      "sources.shop: must be webhookSource({ … })",
    ],
    [
      "a misspelt field of a source",
      withSource({ orderingkey: "customer" }),
      "sources.shop.orderingkey: is not a known field: the fields are signature, secrets, eventId, orderingKey",
    ],
    [
      "an ordering key that is no path",
      withSource({ orderingKey: 3 }),
      "sources.shop.orderingKey: must be a path in the body",
    ],
    ["an empty path", withSource({ eventId: "" }), "sources.shop.eventId: must be a path in the body"],
    [
      "a scheme",
      withSource({ signature: { scheme: "foo" } }),
      'sources.shop.signature.scheme: must be { scheme: … } with "standard-webhooks", "stripe", "github" or "hmac-sha256"',
    ],
    [
      "a field of another scheme",
      withSource({ signature: { scheme: "stripe", header: "x" } }),
      "sources.shop.signature.header: is not a known field",
    ],
    [
      "a secret's form",
      withSource({ signature: { scheme: "standard-webhooks", secretForm: "hex" } }),
      'sources.shop.signature.secretForm: must be "whsec" or "raw" or "either"',
    ],
    [
      "a header",
      withSource({ signature: { scheme: "hmac-sha256", header: "x signature", encoding: "hex" } }),
      "sources.shop.signature.header: must be the name of an HTTP header",
    ],
    ["no secret", withSource({ secrets: [] }), "sources.shop.secrets: must name at least one secret"],
    [
      "a literal secret",
      withSource({ secrets: ["whsec_c2VjcmV0"] }),
      'sources.shop.secrets.0: must be { env: "<name>" }',
    ],
    [
      "a tolerance",
      withSource({ toleranceSeconds: -1 }),
      "sources.shop.toleranceSeconds: must be a number of seconds above 0",
    ],
    [
      "a body cap",
      withSource({ maxBodyBytes: 2 ** 21 }),
      `sources.shop.maxBodyBytes: ${WHOLE}, 1 to 1048576, not 2097152`,
    ],
    ["shards", withSource({ shards: 0 }), `sources.shop.shards: ${WHOLE}, 1 to 256, not 0`],
    ["a schema", withSource({ schema: {} }), "sources.shop.schema: must be a zod schema"],
    ["a handler", withSource({ handle: "receiver" }), "sources.shop.handle: must be a function"],
    [
      "a lease",
      withSource({ policy: { leaseSeconds: Number.NaN } }),
      "sources.shop.policy.leaseSeconds: must be a number of seconds",
    ],
    [
      "what follows a dead event",
      withSource({ policy: { afterPermanentFailure: "stop" } }),
      'sources.shop.policy.afterPermanentFailure: must be "continue" or "pause"',
    ],
    [
      "a misspelt policy of a source",
      withSource({ policy: { giveUpAfter: 60 } }),
      "sources.shop.policy.giveUpAfter: is not a known field: the fields are leaseSeconds",
    ],
    [
      "an unsigned destination",
      withDestination({ secrets: [] }),
      "destinations.d.secrets: must name at least one secret",
    ],
    [
      "a literal URL",
      withDestination({ url: "https://hooks.example" }),
      'destinations.d.url: must be { env: "<name>" }',
    ],
    [
      "a timeout",
      withDestination({ timeoutSeconds: 61 }),
      "destinations.d.timeoutSeconds: must be a number of seconds above 0, 60 at most, not 61",
    ],
    [
      "a misspelt field of a destination",
      withDestination({ timeout: 5 }),
      "destinations.d.timeout: is not a known field",
    ],
    [
      "a status",
      withDestination({ statuses: { 42: "success" } }),
      "destinations.d.statuses.42: must be an HTTP status",
    ],
    [
      "what a status means",
      withDestination({ statuses: { 404: "retry" } }),
      'destinations.d.statuses.404: must be "success" or "permanent" or "transient"',
    ],
    [
      "an unknown destination",
      { chains, operations: { notify: "nobody" } },
      "operations.notify: there is no destination nobody",
    ],
    [
      "a misspelt alert",
      withAlerts({ openLetter: 3 }),
      "operations.alerts.openLetter: is not a known field: the fields are openLetters",
    ],
    [
      "a threshold",
      withAlerts({ openLetters: -5 }),
      `operations.alerts.openLetters: ${WHOLE}, 1 or more, not -5`,
    ],
    [
      "a replay's rate",
      withReplay({ ratePerSecond: 0 }),
      "operations.replay.ratePerSecond: must be a number from 0.001 to 5000, not 0",
    ],
    [
      "half a replay",
      withReplay({ maxReplays: 0.5 }),
      `operations.replay.maxReplays: ${WHOLE}, 0 or more, not 0.5`,
    ],
    [
      "a replay's rate that never comes to a letter",
      withReplay({ perLanePerSecond: 1e-20 }),
      "operations.replay.perLanePerSecond: must be a number from 0.001 to 5000, not 1e-20",
    ],
  ])("%s", (_, input, message) => {
    expect(problemsOf(input)).toContain(`\n  ${message}`);
  });
});

test("all that is wrong is told at once, and nothing that may be a secret is repeated", () => {
  const message = problemsOf({
    chains: {
      "eip155:1": {
        rpcUrl: "https://rpc.example/hidden",
        signers: [],
        policy: { confirmation: 3, maxBumps: 0.5 },
      },
    },
    sources: { shop: source({ secrets: [{ env: "whsec_hidden=" }], shards: 0 }) },
    destinations: { d: { ...receiver, url: "https://hidden.example" } },
    operations: { notify: "nobody" },
    more: true,
  });
  expect(message.split("\n").map((line) => line.split(": ")[0]?.trim())).toEqual([
    "lockstep.config.ts cannot work:",
    "more",
    "chains.eip155:1.rpcUrl",
    "chains.eip155:1.policy.maxBumps",
    "chains.eip155:1.policy.confirmation",
    "destinations.d.url",
    "operations.notify",
    "sources.shop.secrets.0.env",
    "sources.shop.shards",
  ]);
  expect(message).not.toContain("hidden");
});

test("what is undefined has its default", () => {
  const config = define({
    chains: {
      "eip155:1": { ...chain, policy: { confirmations: undefined, gapTolerant: undefined, maxBumps: 0 } },
    },
    sources: { shop: source({ policy: { leaseSeconds: undefined, retentionSeconds: 60 } as object }) },
    destinations: { d: { ...receiver, timeoutSeconds: undefined, statuses: { 404: "transient" } } },
    operations: { notify: undefined, alerts: { openLetters: undefined }, replay: undefined },
  });
  expect(config.chains.get("eip155:1")?.policy).toEqual({ ...DEFAULT_CHAIN_POLICY, maxBumps: 0 });
  expect(config.sources.get("shop")?.policy).toEqual({ ...DEFAULT_INBOX_POLICY, retentionSeconds: 60 });
  expect(config.destinations.get("d")).toEqual({
    ...receiver,
    name: "d",
    timeoutSeconds: 10,
    allowPrivate: false,
    statuses: { 404: "transient" },
  });
  expect(config.operations).toEqual({ notify: null, alerts: DEFAULT_ALERTS, replay: DEFAULT_REPLAY });
});

test("a lane's gaps are tolerated by default where the chain is EVM", () => {
  const { chains: known } = define({ chains: { "eip155:1": chain, "cosmos:ixo-5": chain } });
  expect([...known.values()].map(({ policy }) => policy.gapTolerant)).toEqual([true, false]);
});

test("an account is signed for once", () => {
  const signer = { account: `eip155:1:${ADDRESS}`, key: { env: "KEY" } };
  expect(problemsOf(withChain({ signers: [signer, signer] }))).toContain(
    "chains.eip155:1.signers.1.account: is there twice",
  );
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
