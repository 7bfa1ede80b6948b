import { describe, expect, test } from "vitest";
import { MAX_DIRECTIVE_BYTES } from "../../domain/directive.ts";
import { createApp } from "../../producers/http.ts";
import { ACCOUNT, wire } from "./directive-fixture.ts";
import { config, FakeBindings, NO_REGISTRY, problemOf, TOKENS } from "./producers-fixture.ts";

const LIMIT = 100 * MAX_DIRECTIVE_BYTES;
const CHUNK = 256 * 1024;
const app = createApp(config, NO_REGISTRY);

/** A POST whose body is a stream: no length is known beforehand, and whatever is said of it is only said. */
async function post(
  bindings: FakeBindings,
  chunks: Iterable<Uint8Array>,
  headers: Record<string, string> = {},
): Promise<{ readonly response: Response; readonly pulled: number }> {
  let pulled = 0;
  const source = chunks[Symbol.iterator]();
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const next = source.next();
        if (next.done === true) return controller.close();
        pulled += next.value.length;
        controller.enqueue(next.value);
      },
    },
    { highWaterMark: 0 },
  );
  const init = {
    method: "POST",
    body,
    duplex: "half",
    headers: { authorization: `Bearer ${TOKENS.producer}`, "content-type": "application/json", ...headers },
  } as const;
  const response = await app.request("/v1/directives", init, bindings.env);
  return { response, pulled };
}

const bytes = (text: string) => new TextEncoder().encode(text);

function* endless(): Generator<Uint8Array> {
  for (;;) yield new Uint8Array(CHUNK).fill(0x20);
}

describe("a body larger than the largest batch is 413", () => {
  test("by its content-length, before a byte of it is read", async () => {
    const bindings = new FakeBindings();
    const length = { "content-length": String(LIMIT + 1) };
    const { response, pulled } = await post(bindings, [bytes(JSON.stringify(wire()))], length);
    expect((await problemOf(response)).status).toBe(413);
    expect(pulled).toBe(0);
    expect(bindings.opened).toEqual([]);
  });

  test.each([
    ["without content-length", {}],
    ["with one that is too small", { "content-length": "10" }],
    ["with one that is no number", { "content-length": "many" }],
    ["with a negative one", { "content-length": "-1" }],
  ])("by its bytes, %s, and the rest is not read", async (_, headers) => {
    const bindings = new FakeBindings();
    const { response, pulled } = await post(bindings, endless(), headers);
    expect((await problemOf(response)).status).toBe(413);
    expect(pulled).toBeLessThanOrEqual(LIMIT + CHUNK);
    expect(bindings.opened).toEqual([]);
  });
});

describe("a body in pieces is read as one", () => {
  test("when a character is cut in two", async () => {
    const whole = bytes(JSON.stringify(wire({ metadata: { note: "€".repeat(10) } })));
    const pieces = Array.from(whole, (byte) => Uint8Array.of(byte));
    expect((await post(new FakeBindings(), pieces)).response.status).toBe(202);
  });
});

describe("a body that is not UTF-8 is 400", () => {
  test.each([
    ["a lone byte of Latin-1", [0xe9]],
    ["a character that is cut off", [0xe2, 0x82]],
    ["a character in too many bytes", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("for %s", async (_, wrong) => {
    const bindings = new FakeBindings();
    const [before = "", after = ""] = JSON.stringify(wire({ metadata: { note: "HERE" } })).split("HERE");
    const { response } = await post(bindings, [bytes(before), Uint8Array.from(wrong), bytes(after)]);
    expect((await problemOf(response)).detail).toBe("The body is not valid UTF-8.");
    expect(response.status).toBe(400);
    expect(bindings.opened).toEqual([]);
  });

  test("and a byte order mark is no fault", async () => {
    const bindings = new FakeBindings();
    const { response } = await post(bindings, [
      Uint8Array.of(0xef, 0xbb, 0xbf),
      bytes(JSON.stringify(wire())),
    ]);
    expect(response.status).toBe(202);
    expect(bindings.opened).toEqual([ACCOUNT]);
  });
});
