import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { env, exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { problemSchema } from "../../domain/api.ts";
import config from "../../lockstep.config.ts";

function signature(secret: string, body: Uint8Array): string {
  return `sha256=${bytesToHex(hmac(sha256, utf8ToBytes(secret), body))}`;
}

async function refused(body: BodyInit | null, headers: Record<string, string>): Promise<number> {
  const init = { method: "POST", headers, ...(body === null ? {} : { body }) };
  const response = await exports.default.fetch("https://lockstep.test/webhooks/github", init);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return problemSchema.parse(await response.json()).status;
}

const signed = (body: Uint8Array) => ({ "x-hub-signature-256": signature(env.GITHUB_WEBHOOK_SECRET, body) });

describe("in the Worker's own runtime, with the secrets of its environment", () => {
  test("an event that is not signed, or by somebody else, is 401", async () => {
    const body = utf8ToBytes('{"repository":{"full_name":"a/b"}}');
    expect(await refused(body, {})).toBe(401);
    expect(await refused(body, { "x-hub-signature-256": signature("another", body) })).toBe(401);
    expect(await refused(body, { "x-hub-signature-256": "sha256=" })).toBe(401);
    expect(await refused(utf8ToBytes("{}"), signed(body))).toBe(401);
  });

  test.each([
    ["empty", new Uint8Array()],
    ["not UTF-8", Uint8Array.of(0x22, 0xe9, 0x22)],
    ["no JSON", utf8ToBytes("{")],
    ["behind a byte order mark", utf8ToBytes("\uFEFF{}")],
    ["100,000 levels deep and not closed", utf8ToBytes("[".repeat(100_000))],
  ])("a signed body that is %s is 400", async (_, body) => {
    expect(await refused(body, signed(body))).toBe(400);
  });

  test("a signed body over 100 KB is 413", async () => {
    const body = new Uint8Array(100 * 1024 + 1).fill(0x20);
    expect(await refused(body, signed(body))).toBe(413);
  });

  test("an endless body is 413 after the limit's bytes", async () => {
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    expect(await refused(endless, {})).toBe(413);
    expect(pulled).toBeLessThan(50);
  });

  test("a key that is a whole number beyond 2^53 keeps its digits", () => {
    const text = '{"customer":1146234567890123456}';
    const json: unknown = JSON.parse(text);
    expect(config.sources.get("plain")?.keyOf({ text, json })).toBe("1146234567890123456");
  });

  test("an unknown source, and Lockstep's own, are 404", async () => {
    for (const name of ["nobody", "lockstep"]) {
      const response = await exports.default.fetch(`https://lockstep.test/webhooks/${name}`, {
        method: "POST",
      });
      expect(response.status).toBe(404);
    }
  });
});
