import { z } from "zod";
import { defineConfig } from "./domain/config.ts";
import { webhookSource } from "./domain/webhook-source.ts";

const ANVIL_ACCOUNT_0 = "eip155:31337:0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/** What is read of an event of Polar. All other events pass as they are. */
const polarEvent = z.looseObject({
  type: z.string(),
  data: z.looseObject({
    metadata: z
      .looseObject({ lockstep_wei: z.string().optional(), lockstep_to: z.string().optional() })
      .optional(),
  }),
});
const anyEvent = z.looseObject({});

/** On one machine a consumer that died is soon missed. Leave this out where a destination may take its time. */
const policy = { leaseSeconds: 6 };

/** What a user edits. Values of `{ env: … }` are names of variables and secrets: see `wrangler secret put`. */
export default defineConfig({
  chains: {
    // The local chain: anvil, with its ten default accounts.
    "eip155:31337": {
      rpcUrl: { env: "CHAIN_URL" },
      signers: [
        { account: "eip155:31337:0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", key: { env: "ANVIL_KEY_0" } },
        { account: "eip155:31337:0x70997970C51812dc3A010C7d01b50e0d17dc79C8", key: { env: "ANVIL_KEY_1" } },
        { account: "eip155:31337:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", key: { env: "ANVIL_KEY_2" } },
        { account: "eip155:31337:0x90F79bf6EB2c4f870365E785982E1f101E93b906", key: { env: "ANVIL_KEY_3" } },
        { account: "eip155:31337:0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65", key: { env: "ANVIL_KEY_4" } },
        { account: "eip155:31337:0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc", key: { env: "ANVIL_KEY_5" } },
        { account: "eip155:31337:0x976EA74026E726554dB657fA54763abd0C3a0aa9", key: { env: "ANVIL_KEY_6" } },
        { account: "eip155:31337:0x14dC79964da2C08b23698B3D3cc7Ca32193d9955", key: { env: "ANVIL_KEY_7" } },
        { account: "eip155:31337:0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f", key: { env: "ANVIL_KEY_8" } },
        { account: "eip155:31337:0xa0Ee7A142d267C1f36714E4a8F75612F20a79720", key: { env: "ANVIL_KEY_9" } },
      ],
      policy: {
        confirmations: 1,
        confirmEverySeconds: 1,
        rebroadcastAfterSeconds: 5,
        maxUnconfirmed: 5000,
        leaseSeconds: 6,
        rpcTimeoutSeconds: 2,
        probeSeconds: 2,
      },
    },
  },

  sources: {
    // An order that is paid is also a transfer on the chain.
    polar: webhookSource({
      signature: { scheme: "standard-webhooks", secretForm: "either" },
      secrets: [{ env: "POLAR_WEBHOOK_SECRET" }],
      orderingKey: "data.customer_id",
      schema: polarEvent,
      handle: ({ data: { type, data } }) => {
        const { lockstep_to: to, lockstep_wei: value } = data.metadata ?? {};
        const isTransfer = type === "order.paid" && to !== undefined && value !== undefined;
        const action = isTransfer ? ({ type: "evm.transaction", to, value } as const) : undefined;
        return {
          deliveries: ["receiver"],
          directives: action === undefined ? [] : [{ account: ANVIL_ACCOUNT_0, action }],
        };
      },
      policy,
    }),
    stripe: webhookSource({
      signature: { scheme: "stripe" },
      secrets: [{ env: "STRIPE_WEBHOOK_SECRET" }],
      eventId: "id",
      orderingKey: "data.object.customer",
      schema: anyEvent,
      handle: () => ({ deliveries: ["receiver"] }),
      policy,
    }),
    github: webhookSource({
      signature: { scheme: "github" },
      secrets: [{ env: "GITHUB_WEBHOOK_SECRET" }],
      orderingKey: "repository.full_name",
      schema: anyEvent,
      handle: () => ({ deliveries: ["receiver"] }),
      policy,
    }),
    // A service of one's own: HMAC-SHA256 of the body, in hex, in one header.
    plain: webhookSource({
      signature: { scheme: "hmac-sha256", header: "x-signature", encoding: "hex" },
      secrets: [{ env: "PLAIN_WEBHOOK_SECRET" }],
      eventId: "id",
      orderingKey: "customer",
      schema: anyEvent,
      handle: () => ({ deliveries: ["receiver"] }),
      policy,
    }),
  },

  destinations: {
    receiver: {
      url: { env: "RECEIVER_URL" },
      secrets: [{ env: "RECEIVER_WEBHOOK_SECRET" }],
      // The local receiver is http on this machine. Leave this out for a destination on the Internet.
      allowPrivate: true,
    },
  },

  operations: { notify: "receiver" },
});
