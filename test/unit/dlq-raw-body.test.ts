import superjson from "superjson";
import { describe, expect, test } from "vitest";
import { rawBody } from "../../dlq/raw-body.ts";

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level += 1) value = [value];
  return value;
}

describe("rawBody", () => {
  test.each([
    ["null", null],
    ["a boolean", false],
    ["a number", -1.5e300],
    ["a string with quotes, newlines and a lone surrogate", `"\n\u0000\ud800é`],
    ["an empty array and an empty object", [[], {}]],
    ["nested data", { a: [1, { b: null, "": "x" }], "1": true, c: [[["deep"]]] }],
  ])("holds %s as JSON.stringify writes it", (_, body) => {
    expect(rawBody(body)).toEqual({ format: "json", text: JSON.stringify(body) });
  });

  test("keeps __proto__, constructor and prototype keys as data", () => {
    const text = '{"json":{"__proto__":{"admin":true},"constructor":{"prototype":1}}}';
    expect(rawBody(JSON.parse(text))).toEqual({ format: "json", text });
  });

  test("holds JSON nested 60,000 levels deep, whole", () => {
    expect(rawBody(nested(60_000))).toEqual({
      format: "json",
      text: "[".repeat(60_000) + "]".repeat(60_000),
    });
  });

  test("holds 128 KB of control characters, whole", () => {
    const body = "\u0001".repeat(128 * 1024);
    expect(rawBody(body)).toEqual({ format: "json", text: JSON.stringify(body) });
  });

  test("holds an array of 64,000 small parts, whole", () => {
    const body = Array.from({ length: 64_000 }, () => 0);
    expect(rawBody(body)).toEqual({ format: "json", text: JSON.stringify(body) });
  });

  test("holds bytes and views of bytes as base64", () => {
    const bytes = new Uint8Array([0, 255, 1, 254]);
    expect(rawBody(bytes.buffer)).toEqual({ format: "base64", text: "AP8B/g==" });
    expect(rawBody(bytes.subarray(1, 3))).toEqual({ format: "base64", text: "/wE=" });
  });

  test.each([
    ["a bigint", { wei: 10n ** 30n }],
    ["a date", { at: new Date(0) }],
    ["undefined and numbers that JSON cannot write", [undefined, Number.NaN, -0, Number.POSITIVE_INFINITY]],
    ["maps and sets", new Map([["a", new Set([1n])]])],
  ])("holds %s as superjson, which reads it back whole", (_, body) => {
    const { format, text } = rawBody(body);
    expect(format).toBe("superjson");
    expect(superjson.parse(text)).toEqual(body);
  });

  test("holds bytes inside an object in base64", () => {
    const { format, text } = rawBody({ data: new Uint8Array([7, 8]).buffer });
    expect(format).toBe("superjson");
    expect(JSON.parse(text)).toMatchObject({ json: { data: "Bwg=" } });
  });

  const cycle: unknown[] = [];
  cycle.push(cycle);
  const laughs = Array.from({ length: 12 }).reduce<unknown>(
    (inner) => Array.from({ length: 20 }, () => inner),
    "ha",
  );
  const sharedBytes = new ArrayBuffer(100_000);
  const sparse: unknown[] = [];
  sparse.length = 4_000_000_000;
  const controls = ["\u0001".repeat(64_000)];
  const wide = ["\u20ac".repeat(64_000)];
  const forbidden: unknown = JSON.parse('{"__proto__":1}');
  test.each([
    ["a cycle", cycle],
    ["parts shared a quadrillion times", laughs],
    ["bytes shared 20,000 times", Array.from({ length: 20_000 }, () => sharedBytes)],
    ["a long key shared 20,000 times", Array.from({ length: 20_000 }, () => ({ ["k".repeat(100)]: 1 }))],
    ["an array of four billion holes", { json: sparse }],
    ["control characters shared 15 times", Array.from({ length: 15 }, () => controls)],
    ["letters of three bytes shared 12 times", Array.from({ length: 12 }, () => wide)],
    ["a bigint beside a key that superjson refuses", [1n, forbidden]],
    ["an error", new TypeError("x")],
  ])("describes %s in a few bytes instead of failing", (_, body) => {
    const { format, text } = rawBody(body);
    expect(format).toBe("text");
    expect(text).toMatch(/^\[object \w+\]$/);
  });
});
