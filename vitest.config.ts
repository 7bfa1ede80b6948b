import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { toHex } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { defineConfig } from "vitest/config";

/** The keys of the accounts in lockstep.config.ts: anvil's defaults, known to everybody and of no value anywhere. */
const anvilKeys = Object.fromEntries(
  Array.from({ length: 10 }, (_, addressIndex) => {
    const { privateKey } = mnemonicToAccount(`${"test ".repeat(11)}junk`, { addressIndex }).getHdKey();
    return [`ANVIL_KEY_${addressIndex}`, toHex(privateKey ?? new Uint8Array())];
  }),
);

/** Of the tests alone. */
const webhookSecrets = {
  POLAR_WEBHOOK_SECRET: "whsec_cG9sYXItc2VjcmV0LW9mLXRoZS10ZXN0cw==",
  STRIPE_WEBHOOK_SECRET: "whsec_stripe_secret_of_the_tests",
  GITHUB_WEBHOOK_SECRET: "github secret of the tests",
  PLAIN_WEBHOOK_SECRET: "plain secret of the tests",
  RECEIVER_URL: "http://127.0.0.1:8799/",
  RECEIVER_WEBHOOK_SECRET: "whsec_cmVjZWl2ZXItc2VjcmV0LW9mLXRoZS10ZXN0cw==",
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          environment: "node",
          include: ["test/unit/**/*.test.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.jsonc" },
            miniflare: {
              bindings: {
                TEST_MIGRATIONS: await readD1Migrations("dlq/migrations"),
                API_TOKENS: "[]",
                CHAIN_URL: "http://127.0.0.1:8545",
                ...webhookSecrets,
                ...anvilKeys,
              },
            },
          })),
        ],
        test: {
          name: "worker",
          include: ["test/worker/**/*.test.ts"],
          setupFiles: ["test/worker/setup.ts"],
        },
      },
      {
        test: {
          name: "pipeline",
          environment: "node",
          include: ["test/pipeline/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "chaos",
          environment: "node",
          include: ["test/chaos/**/*.test.ts"],
          testTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
