import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach } from "vitest";

declare global {
  namespace Cloudflare {
    interface Env {
      TEST_MIGRATIONS: { name: string; queries: string[] }[];
    }
  }
}

// Storage is shared by the tests of one file; every test starts with empty lanes and an empty, migrated ledger.
beforeEach(async () => {
  await reset();
  await applyD1Migrations(env.LEDGER, env.TEST_MIGRATIONS);
});
