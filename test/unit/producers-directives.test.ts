import { afterEach, describe, expect, test, vi } from "vitest";
import { directiveReceiptsSchema } from "../../domain/api.ts";
import { MAX_DIRECTIVE_BYTES } from "../../domain/directive.ts";
import { ACCOUNT, ACCOUNT_CHECKSUMMED, BAD_DIRECTIVES, OTHER_ACCOUNT, wire } from "./directive-fixture.ts";
import { call, errorFields, FakeBindings, problemOf, TOKENS, UNSIGNED_ACCOUNT } from "./producers-fixture.ts";

const post = (bindings: FakeBindings, body: unknown, headers: Record<string, string> = {}) =>
  call(bindings, "POST", "/v1/directives", { token: TOKENS.producer, body, headers });

const receipts = async (response: Response) =>
  directiveReceiptsSchema.parse(await response.json()).directives;

const many = (count: number) => Array.from({ length: count }, (_, index) => wire({ id: `order-${index}` }));

function expectUntouched(bindings: FakeBindings): void {
  expect(bindings.opened).toEqual([]);
  expect(bindings.doorbells).toEqual([]);
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a bad request is refused whole, with its fields, and no lane hears of it", () => {
  test.each(BAD_DIRECTIVES)("%s, alone", async (_, json, fields) => {
    const bindings = new FakeBindings();
    const response = await post(bindings, json);
    expect(response.status).toBe(400);
    expect((await errorFields(response)).toSorted()).toEqual(fields.toSorted());
    expectUntouched(bindings);
  });

  test.each(BAD_DIRECTIVES)("%s, the fourth of a batch", async (_, json, fields) => {
    const bindings = new FakeBindings();
    const good = many(3).map((directive) => JSON.stringify(directive));
    const response = await post(bindings, `{"directives":[${[...good, json].join(",")}]}`);
    expect(response.status).toBe(400);
    const expected = fields.map((field) => (field === "" ? "directives[3]" : `directives[3].${field}`));
    expect((await errorFields(response)).toSorted()).toEqual(expected.toSorted());
    expectUntouched(bindings);
  });

  test("the faults of every item are told at once", async () => {
    const bindings = new FakeBindings();
    const directives = [
      wire({}, { value: "-1" }),
      wire({ id: "ok" }),
      wire({ account: UNSIGNED_ACCOUNT }),
      5,
    ];
    expect(await errorFields(await post(bindings, { directives }))).toEqual([
      "directives[0].action.value",
      "directives[2].account",
      "directives[3]",
    ]);
    expectUntouched(bindings);
  });

  test.each([
    ["no signer", UNSIGNED_ACCOUNT, "has no signer configured"],
    [
      "a chain that is not configured",
      ACCOUNT.replace("31337", "1"),
      "is on eip155:1, which is not configured",
    ],
  ])("an account of %s", async (_, account, message) => {
    const bindings = new FakeBindings();
    const problem = await problemOf(await post(bindings, wire({ account })));
    expect(problem).toMatchObject({ status: 400, errors: [{ field: "account", message }] });
    expectUntouched(bindings);
  });

  test.each([
    ["no directives", { directives: [] }, ["directives"]],
    ["101 directives", { directives: many(101) }, ["directives"]],
    ["directives that are an object", { directives: wire() }, ["directives"]],
    ["directives that are null", { directives: null }, ["directives"]],
    ["a field beside directives", { directives: many(1), id: "x", atomic: true }, ["id", "atomic"]],
    ["__proto__ beside directives", '{"__proto__":{},"directives":[]}', ["__proto__"]],
    ["constructor beside directives", { constructor: 1, directives: many(1) }, ["constructor"]],
    ["directives only in the prototype", '{"__proto__":{"directives":[]}}', ["__proto__"]],
  ])("%s", async (_, body, fields) => {
    const bindings = new FakeBindings();
    const response = await post(bindings, body);
    expect(response.status).toBe(400);
    expect(await errorFields(response)).toEqual(fields);
    expectUntouched(bindings);
  });

  test("one id with two payloads, in two spellings of the account", async () => {
    const bindings = new FakeBindings();
    const directives = [
      wire(),
      wire({ id: "order-2" }),
      wire({ account: ACCOUNT_CHECKSUMMED }, { value: "2" }),
    ];
    const problem = await problemOf(await post(bindings, { directives }));
    expect(problem.errors).toEqual([
      { field: "directives[2].id", message: "is the id of directives[0] with another action" },
    ]);
    expectUntouched(bindings);
  });
});

describe("a body that cannot be read is refused, and no lane hears of it", () => {
  test.each([
    ["empty", "", 400],
    ["cut off", '{"id":', 400],
    ["followed by more", "{} {}", 400],
    ["not JSON", "id=1", 400],
  ])("%s", async (_, body, status) => {
    const bindings = new FakeBindings();
    expect((await problemOf(await post(bindings, body))).status).toBe(status);
    expectUntouched(bindings);
  });

  test("the place of a fault in JSON is told", async () => {
    const problem = await problemOf(await post(new FakeBindings(), `{"id": "order-1",, ${" ".repeat(100)}}`));
    expect(problem.detail).toContain("at position 17");
  });

  test.each([
    ["none", ""],
    ["text", "text/plain"],
    ["a form", "application/x-www-form-urlencoded"],
    ["one that begins like JSON", "application/json-patch+json"],
  ])("a content type of %s is 415", async (_, type) => {
    const bindings = new FakeBindings();
    expect((await problemOf(await post(bindings, wire(), { "content-type": type }))).status).toBe(415);
    expectUntouched(bindings);
  });

  test("a content type with parameters, in any case, is taken", async () => {
    const response = await post(new FakeBindings(), wire(), {
      "content-type": "Application/JSON; charset=utf-8",
    });
    expect(response.status).toBe(202);
  });
});

describe("a directive over 96 KB is 413, and nothing of its request is admitted", () => {
  const large = wire({ metadata: { note: "x".repeat(MAX_DIRECTIVE_BYTES) } });

  test("alone", async () => {
    const bindings = new FakeBindings();
    expect((await problemOf(await post(bindings, large))).status).toBe(413);
    expectUntouched(bindings);
  });

  test("in a batch", async () => {
    const bindings = new FakeBindings();
    const problem = await problemOf(await post(bindings, { directives: [...many(2), large] }));
    expect(problem).toMatchObject({ status: 413, errors: [{ field: "directives[2]" }] });
    expectUntouched(bindings);
  });

  test("beside another fault it is 400, since a smaller one would be refused too", async () => {
    const problem = await problemOf(
      await post(new FakeBindings(), { directives: [large, wire({ id: "" })] }),
    );
    expect(problem).toMatchObject({
      status: 400,
      errors: [{ field: "directives[0]" }, { field: "directives[1].id" }],
    });
  });

  test("white space does not count", async () => {
    const body = `${" ".repeat(2 * MAX_DIRECTIVE_BYTES)}${JSON.stringify(wire())}`;
    expect((await post(new FakeBindings(), body)).status).toBe(202);
  });
});

describe("a repeated request repeats nothing", () => {
  test("a new directive is 202 with its place, and its lane is rung once", async () => {
    const bindings = new FakeBindings();
    const response = await post(bindings, wire({ account: ACCOUNT_CHECKSUMMED, id: "a:b.c" }));
    expect(response.status).toBe(202);
    expect(response.headers.get("location")).toBe(
      `/v1/accounts/${encodeURIComponent(ACCOUNT)}/directives/${encodeURIComponent("a:b.c")}`,
    );
    expect(await receipts(response)).toEqual([{ id: "a:b.c", account: ACCOUNT, status: "queued" }]);
    expect(bindings.opened).toEqual([ACCOUNT]);
    expect(bindings.doorbells).toEqual([{ kind: "doorbell", account: ACCOUNT }]);
  });

  test("the same again is 200 with its place and its status now, and rings nobody", async () => {
    const bindings = new FakeBindings();
    await post(bindings, wire());
    const again = await post(
      bindings,
      wire({ account: ACCOUNT_CHECKSUMMED, metadata: { attempt: 2 } }, { value: 1 }),
    );
    expect(again.status).toBe(200);
    expect(again.headers.get("location")).toContain("/directives/order-1");
    expect(await receipts(again)).toEqual([{ id: "order-1", account: ACCOUNT, status: "broadcast" }]);
    expect(bindings.doorbells).toHaveLength(1);
    expect(bindings.directives.size).toBe(1);
  });

  test("another payload under the id is 409 and names the id", async () => {
    const bindings = new FakeBindings();
    await post(bindings, wire());
    const problem = await problemOf(await post(bindings, wire({}, { value: "2" })));
    expect(problem).toMatchObject({
      status: 409,
      errors: [{ field: "id" }],
      directives: [{ id: "order-1", account: ACCOUNT, status: "conflict" }],
    });
    expect(bindings.doorbells).toHaveLength(1);
  });

  test("the same directive twice in one request is one directive", async () => {
    const bindings = new FakeBindings();
    const response = await post(bindings, { directives: [wire(), wire({ metadata: { again: true } })] });
    expect(response.status).toBe(202);
    expect((await receipts(response)).map(({ status }) => status)).toEqual(["queued", "broadcast"]);
    expect(bindings.directives.size).toBe(1);
  });

  test("one id on two accounts is two directives", async () => {
    const bindings = new FakeBindings();
    const response = await post(bindings, {
      directives: [wire(), wire({ account: OTHER_ACCOUNT }, { value: "2" })],
    });
    expect(response.status).toBe(202);
    expect(bindings.directives.size).toBe(2);
  });
});

describe("a batch", () => {
  test("of 100 over two accounts asks each lane once, in order, and rings each once", async () => {
    const bindings = new FakeBindings();
    const directives = Array.from({ length: 100 }, (_, index) =>
      wire({ id: `order-${index}`, account: index % 2 === 0 ? ACCOUNT : OTHER_ACCOUNT }),
    );
    const response = await post(bindings, { directives });
    expect(response.status).toBe(202);
    expect(response.headers.get("location")).toBeNull();
    expect((await receipts(response)).map(({ id }) => id)).toEqual(
      directives.map((directive) => directive["id"]),
    );
    expect(bindings.admitted).toHaveLength(2);
    expect(bindings.admitted[0]?.ids).toEqual(Array.from({ length: 50 }, (_, index) => `order-${2 * index}`));
    expect(bindings.doorbells).toHaveLength(2);
  });

  test("of new, repeated and conflicting directives is 202 and says which is which", async () => {
    const bindings = new FakeBindings();
    await post(bindings, { directives: [wire({ id: "old" }), wire({ id: "taken" })] });
    const response = await post(bindings, {
      directives: [wire({ id: "old" }), wire({ id: "taken" }, { value: "2" }), wire({ id: "new" })],
    });
    expect(response.status).toBe(202);
    expect(await receipts(response)).toMatchObject([
      { id: "old", status: "broadcast" },
      {
        id: "taken",
        status: "conflict",
        error: "has another payload in its lane: send this one under a new id",
      },
      { id: "new", status: "queued" },
    ]);
  });

  test("of repeated and conflicting directives is 409", async () => {
    const bindings = new FakeBindings();
    await post(bindings, { directives: [wire({ id: "old" }), wire({ id: "taken" })] });
    const problem = await problemOf(
      await post(bindings, { directives: [wire({ id: "old" }), wire({ id: "taken" }, { value: "2" })] }),
    );
    expect(problem).toMatchObject({
      status: 409,
      errors: [{ field: "directives[1].id" }],
      directives: [{ status: "broadcast" }, { status: "conflict" }],
    });
    expect(bindings.doorbells).toHaveLength(1);
  });

  test("of repeated directives alone is 200", async () => {
    const bindings = new FakeBindings();
    await post(bindings, { directives: many(3) });
    expect((await post(bindings, { directives: many(3) })).status).toBe(200);
    expect(bindings.doorbells).toHaveLength(1);
  });
});

describe("when the platform fails", () => {
  test("a lane that does not answer is 503 for its directives, and the same request again succeeds", async () => {
    const logged = vi.spyOn(console, "error").mockReturnValue();
    const bindings = new FakeBindings();
    bindings.failing.set(ACCOUNT, new Error("Durable Object reset"));
    const response = await post(bindings, wire());
    expect(response.headers.get("retry-after")).toBe("1");
    expect(await problemOf(response)).toMatchObject({
      status: 503,
      errors: [{ field: "id" }],
      directives: [{ status: "unavailable" }],
    });
    expect(bindings.doorbells).toEqual([]);
    expect(logged).toHaveBeenCalledOnce();
    bindings.failing.clear();
    expect((await post(bindings, wire())).status).toBe(202);
  });

  test("one lane of two leaves the other admitted, rung and 202", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const bindings = new FakeBindings();
    bindings.failing.set(ACCOUNT, new Error("Durable Object reset"));
    const response = await post(bindings, { directives: [wire(), wire({ account: OTHER_ACCOUNT })] });
    expect(response.status).toBe(202);
    expect((await receipts(response)).map(({ status }) => status)).toEqual(["unavailable", "queued"]);
    expect(bindings.doorbells).toEqual([{ kind: "doorbell", account: OTHER_ACCOUNT }]);
  });

  test("a doorbell that cannot be sent is logged and changes no answer", async () => {
    const logged = vi.spyOn(console, "warn").mockReturnValue();
    const bindings = new FakeBindings();
    bindings.queueFails = true;
    expect((await post(bindings, wire())).status).toBe(202);
    expect(JSON.parse(String(logged.mock.calls[0]?.[0]))).toMatchObject({
      at: "producers.ring",
      lanes: 1,
    });
  });
});
