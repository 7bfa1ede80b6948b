import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { consumeDeadLetters } from "../../dlq/consumer.ts";
import { encodeMessage } from "../../domain/message.ts";
import worker from "../../worker.ts";
import { around, consume, CONTEXT, directive, FakeMessage, onlyLetter, rows } from "./dlq-fixture.ts";

function nested(levels: number): unknown {
  const parsed: unknown = JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);
  return parsed;
}

const large = { json: { v: 1, kind: "nonsense", text: 'é\u0001"'.repeat(26_000) } };
const proto: unknown = JSON.parse('{"json":{"v":1,"__proto__":{"admin":true}}}');

describe("an unreadable body", () => {
  test.each([
    ["null", null, "null", "json"],
    ["a number", 42, "42", "json"],
    ["a string", 'say "hi"', '"say \\"hi\\""', "json"],
    ["an array", [1, 2], "[1,2]", "json"],
    ["of 128 KB", large, JSON.stringify(large), "json"],
    ["with a __proto__ key", proto, '{"json":{"v":1,"__proto__":{"admin":true}}}', "json"],
    [
      "nested 60,000 levels deep",
      { json: nested(60_000) },
      `{"json":${"[".repeat(60_000)}${"]".repeat(60_000)}}`,
      "json",
    ],
    ["that is an ArrayBuffer", new Uint8Array([1, 2, 255]).buffer, "AQL/", "base64"],
    [
      "that is a structured clone",
      { value: 10n },
      '{"json":{"value":"10"},"meta":{"values":{"value":["bigint"]},"v":1}}',
      "superjson",
    ],
  ])("%s is recorded whole, as it came", async (_, body, text, bodyFormat) => {
    expect(await consume([new FakeMessage(body)])).toEqual(["ack"]);
    const { letter } = await onlyLetter();
    expect(letter.body).toBe(text);
    expect(letter).toMatchObject({
      kind: "raw",
      code: "malformed_message",
      bodyFormat,
      directiveId: "m1",
      lane: null,
      sourceQueue: "directives",
      attempts: 1,
    });
  });

  test("that would not fit into a row of D1 is recorded as a description", async () => {
    // D1's own limit, which the local one does not keep: https://developers.cloudflare.com/d1/platform/limits/
    const rowBytes = 2_000_000;
    // A structured clone of 64 KB, as any Worker with the binding may send it (contentType "v8"): one part of it, named 15 times.
    const part = ["\u0001".repeat(64_000)];
    const body = structuredClone(Array.from({ length: 15 }, () => part));
    expect(await consume([new FakeMessage(body)])).toEqual(["ack"]);
    const [letter] = await rows("SELECT kind, code, body_format, octet_length(body) AS bytes FROM letters");
    expect(letter).toMatchObject({ kind: "raw", code: "malformed_message", body_format: "text" });
    expect(letter?.["bytes"]).toBeLessThan(rowBytes);
  });

  test("is named field by field in the letter's message", async () => {
    await consume([
      new FakeMessage({
        json: {
          v: 1,
          kind: "directive",
          id: "d1",
          account: "nobody",
          action: { type: "evm.transaction", to: "0x1", value: "-5" },
        },
      }),
    ]);
    const { letter } = await onlyLetter();
    expect(letter.message).toMatch(
      /account must be a CAIP-10 account.*action\.to must be an EVM address.*action\.value/,
    );
  });

  test("with thousands of unknown fields is recorded whole under a message of bounded length", async () => {
    const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`field${index}`, index]));
    const body = { json: { v: 1, kind: "directive", ...fields } };
    expect(await consume([new FakeMessage(body)])).toEqual(["ack"]);
    const { letter } = await onlyLetter();
    expect(letter.message).toHaveLength(2000);
    expect(letter.body).toBe(JSON.stringify(body));
  });

  test("of another version says so", async () => {
    await consume([new FakeMessage({ json: { v: 2, kind: "directive" } })]);
    expect((await onlyLetter()).letter).toMatchObject({ code: "unsupported_version" });
  });

  test("that holds too large a directive says so", async () => {
    const body = encodeMessage({
      kind: "directive",
      directive: { ...directive(), metadata: { text: "x".repeat(97 * 1024) } },
    });
    await consume([new FakeMessage(body)]);
    expect((await onlyLetter()).letter).toMatchObject({
      code: "payload_too_large",
      body: JSON.stringify(body),
    });
  });

  test("delivered twice is one letter; the same body in another message is another", async () => {
    await consume([new FakeMessage(null, "m1"), new FakeMessage(null, "m1")]);
    await consume([new FakeMessage(null, "m1"), new FakeMessage(null, "m2")]);
    expect(await rows("SELECT directive_id FROM letters ORDER BY 1")).toEqual([
      { directive_id: "m1" },
      { directive_id: "m2" },
    ]);
    expect(await rows("SELECT 1 FROM letter_history")).toHaveLength(2);
  });
});

test("a parked message that somebody brings back is recorded whole, as of the queue that others send to", async () => {
  const body = { json: { v: 1, kind: "nonsense", text: "x".repeat(120_000) } };
  const message = new FakeMessage(body);
  await consumeDeadLetters({ queue: "dead-letters-parking", messages: [message] }, around(), CONTEXT);
  expect(message.ends).toEqual(["ack"]);
  expect((await onlyLetter()).letter).toMatchObject({
    body: JSON.stringify(body),
    sourceQueue: "directives",
  });
});

test("a parked message finds the Worker's consumer", async () => {
  const batch = createMessageBatch("dead-letters-parking", [
    { id: "m1", timestamp: new Date(1000), attempts: 1, body: "poison" },
  ]);
  const context = createExecutionContext();
  await worker.queue(batch, env);
  expect((await getQueueResult(batch, context)).explicitAcks).toEqual(["m1"]);
  expect((await onlyLetter()).letter.kind).toBe("raw");
});
