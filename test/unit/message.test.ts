import fc from "fast-check";
import superjson from "superjson";
import { describe, expect, test } from "vitest";
import { digestOf, MAX_DIRECTIVE_BYTES } from "../../domain/directive.ts";
import {
  decodeMessage,
  directive,
  encodeMessage,
  InvalidDirectiveError,
  type Message,
} from "../../domain/message.ts";
import {
  ACCOUNT,
  ACCOUNT_CHECKSUMMED,
  anyDirectiveInput,
  anything,
  BAD_DIRECTIVES,
  nested,
  parsed,
  wire,
} from "./directive-fixture.ts";

const introduction = (fields: Record<string, unknown> = {}) => ({ v: 1, kind: "directive", ...wire(fields) });

/** What the queue delivers of a body that was sent as JSON. */
function delivered(body: unknown): unknown {
  return JSON.parse(JSON.stringify(body));
}

function decoded(body: unknown): Message {
  const read = decodeMessage(body);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.value;
}

function problemOf(body: unknown) {
  const read = decodeMessage(body);
  return read.ok ? null : read.error;
}

describe("what is sent is what is read", () => {
  test("every directive comes back from the queue as it went in, with its digest", () => {
    fc.assert(
      fc.property(anyDirectiveInput, (input) => {
        const sent = parsed(input);
        const received = decoded(delivered(encodeMessage({ kind: "directive", directive: sent })));
        expect(received).toEqual({ kind: "directive", directive: sent });
        expect(received.kind === "directive" && digestOf(received.directive)).toBe(digestOf(sent));
        expect(delivered(directive(input))).toEqual(
          delivered(encodeMessage({ kind: "directive", directive: sent })),
        );
      }),
    );
  });

  test("every rejection of an introduction brings the whole directive", () => {
    fc.assert(
      fc.property(anyDirectiveInput, fc.nat(), (input, attempts) => {
        const sent: Message = {
          kind: "rejection",
          origin: "introduction",
          sourceQueue: "directives",
          messageId: "m-1",
          code: "no_signer",
          message: "no signer",
          attempts,
          directive: parsed(input),
        };
        expect(decoded(delivered(encodeMessage(sent)))).toEqual(sent);
      }),
    );
  });

  test.each([
    { kind: "doorbell", account: parsed(wire()).account.id },
    { kind: "confirmation", account: parsed(wire()).account.id },
    {
      kind: "rejection",
      origin: "lane",
      account: parsed(wire()).account.id,
      id: "order-1",
      digest: "d",
      generation: 2,
    },
  ] as const)("a $kind comes back as it went in", (message) => {
    expect(decoded(delivered(encodeMessage(message)))).toEqual(message);
  });

  test("a body says its version and is readable without superjson", () => {
    const body = encodeMessage({
      kind: "directive",
      directive: parsed(wire({ expiresAt: "2030-01-01T00:00:00Z" })),
    });
    expect(delivered(body)).toMatchObject({
      json: { v: 1, kind: "directive", action: { value: "1" }, expiresAt: "2030-01-01T00:00:00.000Z" },
    });
  });

  test("the largest directive fits in a queue message of 128 KB", () => {
    const overhead = JSON.stringify({ action: wire().action, metadata: { note: "" } }).length + 30;
    const body = directive({
      id: "x".repeat(128),
      account: ACCOUNT,
      action: { type: "evm.transaction", to: ACCOUNT.slice(-42), value: 1n },
      metadata: { note: "x".repeat(MAX_DIRECTIVE_BYTES - overhead) },
    });
    expect(JSON.stringify(body).length).toBeLessThan(128_000);
  });
});

describe("a body that another program wrote is read", () => {
  test("plain JSON without meta, with decimal strings and ISO times", () => {
    const message = decoded({ json: introduction({ expiresAt: "2030-01-01T00:00:00Z" }) });
    expect(message).toEqual({
      kind: "directive",
      directive: parsed(wire({ expiresAt: "2030-01-01T00:00:00Z" })),
    });
  });

  test("superjson with bigint, Date, undefined and shared objects", () => {
    const shared = { by: "billing" };
    const message = introduction({
      expiresAt: new Date("2030-01-01T00:00:00Z"),
      metadata: { one: shared, two: shared, big: 2n ** 70n, none: undefined, zero: -0 },
    });
    const body = superjson.serialize({
      ...message,
      action: { ...message.action, value: 10n ** 30n, gas: undefined },
    });
    const read = decoded(delivered(body));
    expect(read).toMatchObject({
      kind: "directive",
      directive: {
        action: { value: 10n ** 30n, gas: null },
        expiresAtMs: Date.UTC(2030, 0, 1),
        metadata: { one: shared, two: shared, big: (2n ** 70n).toString() },
      },
    });
  });

  test("an account of another spelling rings the lane of its one spelling", () => {
    const message = decoded({ json: { v: 1, kind: "doorbell", account: ACCOUNT_CHECKSUMMED } });
    expect(message).toEqual({ kind: "doorbell", account: ACCOUNT });
  });
});

describe("a body that is no message is refused, and says why", () => {
  // Those of the version and the kind decide what the message is at all: see below.
  const bad = BAD_DIRECTIVES.filter(
    ([, json, fields]) => json.startsWith("{") && !/^(v|kind)$/.test(fields.join()),
  );
  test.each(bad)("%s", (_, json, fields) => {
    const problem = problemOf({ json: { v: 1, kind: "directive", ...asObject(json) } });
    expect(problem?.code).toBe("malformed_message");
    expect(problem?.fields.map(({ field }) => field).toSorted()).toEqual(fields.toSorted());
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a string", "directive"],
    ["a number", 1],
    ["a list", []],
    ["an object without json", { v: 1 }],
    ["json that is null", { json: null }],
    ["json that is a list", { json: [] }],
    ["bytes", new Uint8Array(4)],
    ["a Map", new Map([["json", {}]])],
  ])("%s", (_, body) => {
    expect(problemOf(body)?.code).toBe("malformed_message");
  });

  test("another version is unsupported, not malformed, so that a replay after a deployment can succeed", () => {
    expect(problemOf({ json: { ...introduction(), v: 2 } })).toMatchObject({
      code: "unsupported_version",
      fields: [{ field: "v" }],
    });
  });

  test.each([undefined, null, "1", 1.5, {}])("version %s is malformed", (v) => {
    expect(problemOf({ json: { ...introduction(), v } })).toMatchObject({
      code: "malformed_message",
      fields: [{ field: "v" }],
    });
  });

  test("an unknown kind names the field", () => {
    expect(problemOf({ json: { v: 1, kind: "command" } })?.fields).toEqual([
      { field: "kind", message: "must be directive, doorbell, inbox-doorbell, confirmation or rejection" },
    ]);
  });

  test.each([
    ["a doorbell without account", { kind: "doorbell" }, ["account"]],
    ["a doorbell with more", { kind: "doorbell", account: ACCOUNT, at: 1 }, ["at"]],
    ["a doorbell of a wrong account", { kind: "doorbell", account: "x" }, ["account"]],
    [
      "a rejection without key",
      { kind: "rejection", origin: "lane", account: ACCOUNT },
      ["id", "digest", "generation"],
    ],
    [
      "a rejection of an unknown code",
      {
        kind: "rejection",
        origin: "introduction",
        sourceQueue: "q",
        messageId: "m",
        code: "x",
        message: "",
        attempts: 1,
      },
      ["code", "directive"],
    ],
  ])("%s is refused with its fields", (_, json, fields) => {
    expect(problemOf({ json: { v: 1, ...json } })?.fields.map(({ field }) => field)).toEqual(fields);
  });

  test("one that is too large is told apart", () => {
    const metadata = { note: "x".repeat(MAX_DIRECTIVE_BYTES) };
    expect(problemOf({ json: introduction({ metadata }) })?.code).toBe("payload_too_large");
  });

  test("the program that sends a wrong directive is stopped with every field named", () => {
    const send = () =>
      directive({
        id: "",
        account: "x",
        action: { type: "evm.transaction", to: ACCOUNT.slice(-42), value: -1 },
      });
    expect(send).toThrow(InvalidDirectiveError);
    expect(send).toThrow(/id must be .*account must be .*action\.value must not be negative/);
  });
});

describe("no annotation of superjson gets through that a message does not need", () => {
  const metadata = { list: [1, 2, 3], text: "x", size: 2_000_000_000, record: { a: 1 } };

  test.each([
    ["a typed array of 2 GB", { values: { "metadata.size": [["typed-array", "Uint8Array"]] } }],
    ["a Set", { values: { "metadata.list": ["set"] } }],
    ["a Map with inner annotations", { values: { "metadata.list": ["map", { "0.0": ["Date"] }] } }],
    ["an Error", { values: { "metadata.record": ["Error"] } }],
    ["a pattern", { values: { "metadata.text": ["regexp"] } }],
    ["a URL", { values: { "metadata.text": ["URL"] } }],
    ["a class", { values: { "metadata.record": [["class", "Directive"]] } }],
    ["a symbol", { values: { "metadata.text": [["symbol", "x"]] } }],
    ["a custom type", { values: { "metadata.text": [["custom", "x"]] } }],
    ["an unknown type", { values: { "metadata.text": ["decimal"] } }],
    ["the whole message as a Date", { values: ["Date"] }],
    ["the id as undefined", { values: { id: ["undefined"] } }],
    ["a bigint that is none", { values: { "metadata.text": ["bigint"] } }],
    ["an amount that is not a number", { values: { "action.value": ["Date"] } }],
    ["a list made four billion long", { values: { "metadata.list.4294967294": ["undefined"] } }],
    ["a path to a prototype", { values: { "metadata.__proto__.x": ["undefined"] } }],
    ["an escaped path to a prototype", { v: 1, values: { "constructor.prototype.x": ["undefined"] } }],
    ["the message within itself", { referentialEqualities: [["metadata.list"]] }],
    ["metadata within itself", { referentialEqualities: { metadata: ["metadata.record.a"] } }],
    ["a function of every object", { referentialEqualities: { "metadata.toString": ["metadata.text"] } }],
    ["the action as its own value", { referentialEqualities: { action: ["action.value"] } }],
    ["equalities that are a string", { referentialEqualities: { metadata: "id" } }],
    ["values that are a number", { values: 5 }],
    ["values that are a string", { values: "x" }],
    ["values that are null", { values: null }],
    ["values 1,000 levels deep", { values: nested(1000) }],
    ["meta that is a string", "x"],
    ["meta that is a list", [1]],
  ])("%s is refused", (_, meta) => {
    expect(problemOf({ json: introduction({ metadata }), meta })?.code).toBe("malformed_message");
    expect(problemOf(delivered({ json: introduction({ metadata }), meta }))?.code).toBe("malformed_message");
  });

  test("the field is named", () => {
    const meta = { values: { metadata: { list: ["set"] } } };
    expect(problemOf({ json: introduction({ metadata }), meta })?.fields[0]?.field).toBe("metadata.list");
  });

  test("Object.prototype stays as it was", () => {
    for (const path of [
      "__proto__.polluted",
      "metadata.__proto__.polluted",
      "constructor.prototype.polluted",
    ]) {
      problemOf({ json: introduction({ metadata }), meta: { values: { [path]: ["undefined"] } } });
      problemOf({ json: introduction({ metadata }), meta: { referentialEqualities: { id: [path] } } });
    }
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect("polluted" in {}).toBe(false);
  });
});

describe("nothing makes the reader throw", () => {
  test("not a cycle, a sparse array, deep nesting or a bigint in a structured clone", () => {
    const cycle: Record<string, unknown> = {};
    cycle["json"] = cycle;
    const sparse: unknown[] = [];
    sparse[4_000_000_000] = 1;
    for (const json of [cycle, sparse, nested(100_000), 1n, Symbol("x"), () => 1, { v: 1n }]) {
      expect(problemOf({ json })?.code).toBe("malformed_message");
      expect(problemOf({ json: introduction(), meta: json })?.code).toBe("malformed_message");
    }
  });

  test("not any value, anywhere", () => {
    fc.assert(
      fc.property(anything, anything, (json, meta) => {
        decodeMessage(json);
        decodeMessage({ json, meta });
        decodeMessage({ json: introduction({ metadata: { json } }), meta: { values: { metadata: meta } } });
        decodeMessage({ json: introduction(), meta: { values: meta, referentialEqualities: json } });
        decodeMessage({ json: { v: 1, kind: "rejection", origin: "introduction", directive: json } });
      }),
    );
  });
});

function asObject(json: string): object {
  const value: unknown = JSON.parse(json);
  return typeof value === "object" && value !== null ? value : {};
}
