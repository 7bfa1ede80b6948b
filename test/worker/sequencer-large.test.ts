import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { httpApi } from "../../http-api.ts";

const token = { name: "shop", scope: "producer", sha256: bytesToHex(sha256(utf8ToBytes("token"))) };
const bindings = { ...env, API_TOKENS: JSON.stringify([token]) };

test("a request of a hundred directives, each as large as one may be, is admitted", async () => {
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  const data = `0x${"ab".repeat(48_000)}`;
  const directives = Array.from({ length: 100 }, (_, index) => ({
    id: `d${index}`,
    account: "eip155:31337:0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    action: { type: "evm.transaction", to: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8", value: "1", data },
  }));
  const send = () =>
    httpApi.request(
      "/v1/directives",
      {
        method: "POST",
        headers: { "content-type": "application/json", authorization: "Bearer token" },
        body: JSON.stringify({ directives }),
      },
      bindings,
    );
  // More than one statement's bound value may hold.
  expect((await send()).status).toBe(202);
}, 60_000);
