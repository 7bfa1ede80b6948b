import { expect, test } from "vitest";
import { chainOf } from "../../ops/chain-setting.ts";
import { greeting } from "../../ops/greeting.ts";
import { isNoise } from "../../ops/wrangler-noise.ts";

test("CHAIN_URL names a chain that runs already: none is started, whatever CHAIN_PORT says", () => {
  const chainUrl = "http://127.0.0.1:8600";
  expect(chainOf({ CHAIN_URL: chainUrl, CHAIN_PORT: "8545" })).toEqual({ chainPort: null, chainUrl });
});

test("without CHAIN_URL a chain is started at CHAIN_PORT, or at 8545", () => {
  expect(chainOf({ CHAIN_PORT: "8601" })).toEqual({ chainPort: 8601 });
  expect([chainOf({}), chainOf({ CHAIN_URL: "" })]).toEqual([{ chainPort: 8545 }, { chainPort: 8545 }]);
});

test.each(["8600", "127.0.0.1:8600", "ws://127.0.0.1:8600"])("CHAIN_URL=%s is refused by its name", (url) => {
  expect(() => chainOf({ CHAIN_URL: url })).toThrow(`CHAIN_URL=${url}`);
});

test("the greeting names the chain that is used, and each of its commands works in a shell of its own", () => {
  const text = greeting({ url: "http://127.0.0.1:8787", chainUrl: "http://127.0.0.1:8600" });
  expect(text).toContain("its chain at http://127.0.0.1:8600.");
  const commands = text.split("\n\n").filter((part) => part.includes("curl"));
  expect(commands).toHaveLength(3);
  expect(commands.filter((command) => !command.startsWith("  . ./.dev.vars; "))).toEqual([]);
});

test("of wrangler's start nothing is shown but where it listens", () => {
  const said = [
    "Using secrets defined in .dev.vars",
    "Your Worker has access to the following bindings:",
    "Binding                                  Resource                  Mode",
    "env.SEQUENCER (Sequencer)                Durable Object            local",
    'env.CHAIN_URL ("(hidden)")               Environment Variable      local',
    "",
    "\u001B[33m▲ [43;33m[\u001B[43;30mWARNING\u001B[43;33m]\u001B[0m \u001B[1mScheduled Workers are not automatically triggered during local development.\u001B[0m",
    "  To manually trigger a scheduled event, run:",
    '    curl "http://127.0.0.1:8787/cdn-cgi/local/scheduled"',
    "  For more details, see \u001B[4mhttps://developers.cloudflare.com/workers/configuration/cron-triggers/#test-cron-triggers-locally\u001B[0m",
    "⎔ Starting local server...",
    "[wrangler:info] GET /healthz 200 OK (641ms)",
    "[wrangler:info] Ready on http://127.0.0.1:8787",
  ];
  expect(said.filter((line) => !isNoise(line))).toEqual(["[wrangler:info] Ready on http://127.0.0.1:8787"]);
});

test.each([
  '{"at":"producers.http","error":"TypeError"}',
  "\u001B[31m✘ [41;31m[\u001B[41;97mERROR\u001B[41;31m]\u001B[0m Could not resolve ./x.ts",
  "▲ [WARNING] Missing required secrets: API_TOKENS",
  "[wrangler:info] POST /v1/directives 202 Accepted (9ms)",
  "[wrangler:info] GET /healthz 500 Internal Server Error (9ms)",
])("what the Worker logs, errors and other warnings are shown: %s", (line) => {
  expect(isNoise(line)).toBe(false);
});
