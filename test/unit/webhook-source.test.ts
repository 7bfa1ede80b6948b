import { describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { webhookSource } from "../../domain/webhook-source.ts";

const order = z.object({ type: z.string(), data: z.object({ customer_id: z.string(), cents: z.number() }) });

function sourceOf(overrides: Partial<Parameters<typeof webhookSource<z.infer<typeof order>>>[0]> = {}) {
  return webhookSource({
    signature: { scheme: "github" },
    secrets: [{ env: "SECRET" }],
    eventId: "id",
    orderingKey: "data.customer_id",
    schema: order,
    handle: ({ data }) => ({ deliveries: [`cents-${data.data.cents}`] }),
    ...overrides,
  });
}

function bodyOf(json: unknown) {
  return { json, text: JSON.stringify(json) };
}

function parsed(text: string) {
  const json: unknown = JSON.parse(text);
  return { json, text };
}

function event(data: unknown) {
  return { source: "shop", id: "e-1", data, receivedAt: new Date(0) };
}

describe("the ordering key", () => {
  test.each([
    [{ data: { customer_id: "cus_1" } }, "cus_1"],
    [{ data: { customer_id: 17 } }, "17"],
    [{ data: { customer_id: "" } }, null],
    [{ data: { customer_id: 1.5 } }, null],
    [{ data: { customer_id: { id: 1 } } }, null],
    [{ data: null }, null],
    [{}, null],
    [[], null],
    ["text", null],
    [null, null],
  ])("of %j is %j", (body, key) => {
    expect(sourceOf().keyOf(bodyOf(body))).toBe(key);
  });

  test.each([
    ['{"data":{"customer_id":1146234567890123456}}', "1146234567890123456"],
    ['{"data":{"customer_id":1146234567890123457}}', "1146234567890123457"],
    ['{"data":{"customer_id":-98765432109876543210}}', "-98765432109876543210"],
    ['{"data":{"customer_id":9007199254740993}}', "9007199254740993"],
    ['{"data":{"customer_id":1,"customer_id":12345678901234567890}}', "12345678901234567890"],
    ['{"data":{"customer_id":1e400}}', null],
    ['{"data":{"customer_id":1.5e300}}', null],
    ['{"data":{"customer_id":42},"other":12345678901234567890}', "42"],
  ])("of a number is every digit of it: %s is %j", (text, key) => {
    expect(sourceOf().keyOf(parsed(text))).toBe(key);
    expect(sourceOf({ eventId: "data.customer_id" }).eventIdOf(parsed(text))).toBe(key);
  });

  test("is never found on a prototype", () => {
    expect(sourceOf({ orderingKey: "constructor.name" }).keyOf(bodyOf({}))).toBeNull();
    expect(sourceOf({ orderingKey: "__proto__.x" }).keyOf(parsed('{"__proto__":{"x":"own"}}'))).toBe("own");
  });

  test("may be a function, whose nothing means unordered", () => {
    const keyed = sourceOf({ orderingKey: (body) => (Array.isArray(body) ? "list" : undefined) });
    expect(keyed.keyOf(bodyOf([]))).toBe("list");
    expect(keyed.keyOf(bodyOf({}))).toBeNull();
  });
});

describe("the event's id", () => {
  test.each([
    [{ id: "evt_1" }, "evt_1"],
    [{ id: 42 }, "42"],
    [{ id: "with space" }, null],
    [{ id: "a".repeat(257) }, null],
    [{}, null],
  ])("of %j is %j", (body, id) => {
    expect(sourceOf().eventIdOf(bodyOf(body))).toBe(id);
  });
});

test("a function combines fields to an event's id, and one of another form is none", () => {
  const eventId = (body: unknown) => z.array(z.string()).parse(body).join("/");
  expect(sourceOf({ eventId }).eventIdOf(bodyOf(["a", "b"]))).toBe("a/b");
  expect(sourceOf({ eventId }).eventIdOf(bodyOf(["a b"]))).toBeNull();
});

describe("handle", () => {
  test("gets what the schema reads, typed", async () => {
    sourceOf({ handle: ({ data }) => (expectTypeOf(data).toEqualTypeOf<z.infer<typeof order>>(), {}) });
    const data = { type: "order.paid", data: { customer_id: "c", cents: 5 } };
    expect(await sourceOf().handle(event(data))).toEqual({ ok: true, value: { deliveries: ["cents-5"] } });
  });

  test("an event of another shape is a failure that names the field", async () => {
    const handled = await sourceOf().handle(
      event({ type: "order.paid", data: { customer_id: "c", cents: "5" } }),
    );
    expect(handled).toMatchObject({ ok: false, error: { code: "handler_failed" } });
    expect(JSON.stringify(handled)).toContain("data.cents");
  });

  test.each([
    ["an error", () => Promise.reject(new Error("no such product"))],
    [
      "at once",
      () => {
        throw new Error("no such product");
      },
    ],
  ])("what throws %s is a failure with its message", async (_, handle) => {
    const data = { type: "t", data: { customer_id: "c", cents: 1 } };
    const handled = await sourceOf({ handle }).handle(event(data));
    expect(handled).toEqual({
      ok: false,
      error: { code: "handler_failed", message: "handle threw: no such product" },
    });
  });
});
