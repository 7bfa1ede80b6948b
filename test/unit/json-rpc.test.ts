import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { jsonRpc, plainText, splitBatches, type RpcCall } from "../../consumers/broadcasters/json-rpc.ts";
import { answerEach, startEndpoint, type Call, type Endpoint } from "./evm-endpoint.ts";

const NOW = Date.parse("2030-01-01T00:00:00Z");
const calls: readonly RpcCall[] = [
  { method: "first", params: [1] },
  { method: "second", params: ["2"] },
];
const open: Endpoint[] = [];

async function endpoint(
  answer: (batch: readonly Call[], response: ServerResponse) => void,
): Promise<Endpoint> {
  const started = await startEndpoint(answer);
  open.push(started);
  return started;
}

async function asked(
  answer: (batch: readonly Call[], response: ServerResponse) => void,
  options: { timeoutMs?: number; path?: string } = {},
) {
  const { url } = await endpoint(answer);
  return jsonRpc(url + (options.path ?? ""), () => NOW).batch(calls, options.timeoutMs ?? 5000);
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

describe("a batch that is answered", () => {
  it("gives each call its reply in the order of the calls, whatever the order of the answers", async () => {
    const answered = await asked((batch, response) =>
      response.end(
        JSON.stringify(
          batch.toReversed().map(({ id, method }) => ({ jsonrpc: "2.0", id, result: `${method} done` })),
        ),
      ),
    );
    expect(answered).toEqual({
      ok: true,
      value: [
        { kind: "result", value: "first done" },
        { kind: "result", value: "second done" },
      ],
    });
  });

  it("gives null as a result, and an error with its code, message and data", async () => {
    const answered = await asked(
      answerEach(({ method }) =>
        method === "first"
          ? { result: null }
          : { error: { code: -32000, message: "no\u0000 such\nthing", data: "0x01" } },
      ),
    );
    expect(answered).toEqual({
      ok: true,
      value: [
        { kind: "result", value: null },
        { kind: "error", error: { code: -32000, message: "no such thing", data: "0x01" } },
      ],
    });
  });

  it("says of a call without an answer that it is missing", async () => {
    const answered = await asked(
      answerEach(({ method }) => (method === "first" ? { result: 1 } : "missing")),
    );
    expect(answered.ok && answered.value.map(({ kind }) => kind)).toEqual(["result", "missing"]);
  });

  it("says missing of every call when the ids are of no call", async () => {
    const answered = await asked((batch, response) =>
      response.end(JSON.stringify(batch.map(({ id }) => ({ jsonrpc: "2.0", id: id + 100, result: 1 })))),
    );
    expect(answered.ok && answered.value.map(({ kind }) => kind)).toEqual(["missing", "missing"]);
  });

  it("says missing of a call with two answers, and of one with neither result nor error", async () => {
    const answered = await asked((_, response) =>
      response.end(
        JSON.stringify([
          { id: 0, result: 1 },
          { id: 0, error: { code: 1, message: "no" } },
          { id: 1 },
          7,
          null,
        ]),
      ),
    );
    expect(answered.ok && answered.value.map(({ kind }) => kind)).toEqual(["missing", "missing"]);
  });

  it("asks nothing for an empty batch", async () => {
    const server = await endpoint((_, response) => response.end("[]"));
    expect(await jsonRpc(server.url, () => NOW).batch([], 1000)).toEqual({ ok: true, value: [] });
    expect(server.batches).toEqual([]);
  });
});

describe("a batch that fails as a whole", () => {
  const statuses = [
    [400, "bad_request"],
    [401, "unauthorized"],
    [403, "forbidden"],
    [408, "endpoint_timeout"],
    [425, "endpoint_timeout"],
    [429, "rate_limited"],
    [500, "endpoint_error"],
    [503, "endpoint_error"],
  ] as const;
  it.each(statuses)("HTTP %i is %s, and its body is in no message", async (status, code) => {
    const answered = await asked((_, response) => {
      response.statusCode = status;
      response.end("the key s3cret is not allowed");
    });
    expect(answered).toEqual({
      ok: false,
      error: { began: true, failure: { code, message: `the endpoint answered HTTP ${status}` } },
    });
  });

  it("carries the seconds of Retry-After", async () => {
    const answered = await asked((_, response) => response.writeHead(429, { "retry-after": "17" }).end());
    expect(answered).toMatchObject({
      ok: false,
      error: { failure: { code: "rate_limited", retryAfterSeconds: 17 } },
    });
  });

  it("reads a date in Retry-After", async () => {
    const answered = await asked((_, response) =>
      response.writeHead(503, { "retry-after": "Tue, 01 Jan 2030 00:01:30 GMT" }).end(),
    );
    expect(answered).toMatchObject({
      ok: false,
      error: { failure: { code: "endpoint_error", retryAfterSeconds: 90 } },
    });
  });

  it("does not follow a redirect", async () => {
    const target = await endpoint(answerEach(() => ({ result: 1 })));
    const answered = await asked((_, response) => response.writeHead(307, { location: target.url }).end());
    expect(answered).toMatchObject({
      ok: false,
      error: { began: true, failure: { code: "endpoint_error" } },
    });
    expect(target.batches).toEqual([]);
  });

  it("is a network error, begun, when the connection breaks after the request", async () => {
    const answered = await asked((_, response) => response.destroy());
    expect(answered).toMatchObject({ ok: false, error: { began: true, failure: { code: "network_error" } } });
  });

  it("is a network error when nothing listens", async () => {
    const server = await startEndpoint(() => undefined);
    await server.close();
    const answered = await jsonRpc(server.url, () => NOW).batch(calls, 5000);
    expect(answered).toMatchObject({ ok: false, error: { began: true, failure: { code: "network_error" } } });
  });

  it("is a timeout when no answer comes", async () => {
    const answered = await asked(() => undefined, { timeoutMs: 50 });
    expect(answered).toMatchObject({
      ok: false,
      error: { began: true, failure: { code: "endpoint_timeout" } },
    });
  });

  it("is a timeout when the answer stops in the middle", async () => {
    const answered = await asked((_, response) => response.write("[{"), { timeoutMs: 50 });
    expect(answered).toMatchObject({
      ok: false,
      error: { began: true, failure: { code: "endpoint_timeout" } },
    });
  });

  it.each(["<html>", "", "{}", "7", '"text"'])("is an endpoint error when the answer is %j", async (body) => {
    const answered = await asked((_, response) => response.end(body));
    expect(answered).toMatchObject({
      ok: false,
      error: { began: true, failure: { code: "endpoint_error" } },
    });
  });

  it("is an endpoint error when one error answers the whole batch", async () => {
    const answered = await asked((_, response) =>
      response.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}'),
    );
    expect(answered).toEqual({
      ok: false,
      error: {
        began: true,
        failure: {
          code: "endpoint_error",
          message: "the endpoint refused the batch: Invalid request (-32600)",
        },
      },
    });
  });

  it("is an endpoint error when the answer is larger than 16 MB", async () => {
    const answered = await asked((_, response) => response.end(`[${" ".repeat(17 * 1024 * 1024)}]`), {
      timeoutMs: 60_000,
    });
    expect(answered).toMatchObject({
      ok: false,
      error: { began: true, failure: { code: "endpoint_error" } },
    });
  });

  it.each(["", "nonsense", "ftp://example.test/", "file:///etc/passwd"])(
    "has not begun when the URL is %j",
    async (url) => {
      const answered = await jsonRpc(url, () => NOW).batch(calls, 1000);
      expect(answered).toMatchObject({
        ok: false,
        error: { began: false, failure: { code: "network_error" } },
      });
    },
  );
});

describe("the credential in an RPC URL", () => {
  it("is redacted from what the endpoint says", async () => {
    const said =
      "project abcdef0123456789 at https://user:pw@backend.test/v3/abcdef0123456789 is over quota, try tok%2Fen1 or tok/en1";
    const answered = await asked(
      answerEach(() => ({ error: { code: -32000, message: said } })),
      { path: "v3/abcdef0123456789?token=tok%2Fen1" },
    );
    const text = JSON.stringify(answered);
    expect(text).toContain("is over quota");
    for (const secret of ["abcdef0123456789", "tok%2Fen1", "tok/en1", "user:pw", "backend.test"])
      expect(text).not.toContain(secret);
  });

  it("is redacted from an error that answers the whole batch", async () => {
    const answered = await asked(
      (_, response) => response.end('{"error":{"code":1,"message":"abcdef0123456789 is unknown"}}'),
      { path: "abcdef0123456789" },
    );
    expect(JSON.stringify(answered)).not.toContain("abcdef0123456789");
  });

  it("travels as a header when it is a user name and a password", async () => {
    const server = await endpoint(answerEach(() => ({ result: 1 })));
    const answered = await jsonRpc(server.url.replace("//", "//name:pass%3Aword@"), () => NOW).batch(
      calls,
      5000,
    );
    expect(answered.ok).toBe(true);
    expect(server.headers.authorization).toBe(`Basic ${Buffer.from("name:pass:word").toString("base64")}`);
  });

  it("is in no message when the endpoint cannot be reached", async () => {
    const server = await startEndpoint(() => undefined);
    await server.close();
    const answered = await jsonRpc(`${server.url}abcdef0123456789`, () => NOW).batch(calls, 5000);
    expect(JSON.stringify(answered)).not.toContain("abcdef0123456789");
  });
});

describe("plainText", () => {
  it("keeps 300 characters at the most, without half of a surrogate pair", () => {
    const text = plainText(`${"x".repeat(298)}😀😀`);
    expect(text.length).toBeLessThanOrEqual(300);
    expect(text.isWellFormed()).toBe(true);
  });

  it("turns control characters and line breaks into one space", () => {
    expect(plainText("a\u001b[31m\r\n\tb\u202e c ")).toBe("a [31m b c");
  });
});

describe("splitBatches", () => {
  it("keeps the order, at most 100 calls and about a megabyte in each", () => {
    const many = Array.from({ length: 250 }, (_, index) => ({ method: "m", params: [index] }));
    expect(splitBatches(many).map((batch) => batch.length)).toEqual([100, 100, 50]);
    expect(splitBatches(many).flat()).toEqual(many);
    const large = Array.from({ length: 5 }, () => ({ method: "m", params: ["x".repeat(400_000)] }));
    expect(splitBatches(large).map((batch) => batch.length)).toEqual([2, 2, 1]);
  });

  it("sends a call that is larger than a batch alone", () => {
    const calls3 = ["a", "x".repeat(2_000_000), "b"].map((text) => ({ method: "m", params: [text] }));
    expect(splitBatches(calls3).map((batch) => batch.length)).toEqual([1, 1, 1]);
  });
});
