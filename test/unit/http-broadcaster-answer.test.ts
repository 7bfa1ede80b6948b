import { afterEach, describe, expect, it } from "vitest";
import { httpBroadcaster } from "../../consumers/broadcasters/http.ts";
import {
  answering,
  broadcasterOver,
  closeReceivers,
  delivered,
  delivery,
  KEY,
  messageOf,
  NOW,
  receiver,
  SECRET,
  target,
  type Answer,
} from "./http-broadcaster-fixture.ts";

afterEach(closeReceivers);

describe("a delivery that is answered", () => {
  it.each([200, 201, 202, 204, 409])("is delivered at %i", async (status) => {
    expect(await delivered(answering(status))).toEqual({ kind: "delivered", status, latencyMs: 0 });
  });

  it.each([
    [400, "bad_request"],
    [401, "unauthorized"],
    [403, "forbidden"],
    [404, "not_found"],
    [410, "gone"],
    [413, "payload_rejected"],
    [422, "payload_rejected"],
    [418, "delivery_refused"],
  ] as const)("is permanently failed at %i, as %s", async (status, code) => {
    expect(await delivered(answering(status, { "retry-after": "5" }, "no"))).toEqual({
      kind: "permanent",
      failure: { code, message: `the destination answered HTTP ${status}: no` },
      status,
      latencyMs: 0,
    });
  });

  it.each([
    [408, "endpoint_timeout"],
    [425, "endpoint_timeout"],
    [429, "rate_limited"],
    [500, "endpoint_error"],
    [503, "endpoint_error"],
  ] as const)("is to be tried again at %i, as %s", async (status, code) => {
    expect(await delivered(answering(status))).toEqual({
      kind: "transient",
      failure: { code, message: `the destination answered HTTP ${status}` },
      status,
      latencyMs: 0,
    });
  });

  it.each([
    ["in seconds", "120", 120],
    ["as a date", "Tue, 01 Jan 2030 00:01:30 GMT", 90],
    ["as a date that has passed", "Mon, 31 Dec 2029 00:00:00 GMT", 0],
    ["that nobody can read", "soon", undefined],
  ])("hands on a Retry-After %s", async (_, header, seconds) => {
    const outcome = await delivered(answering(429, { "retry-after": header }));
    expect(outcome.kind !== "delivered" && outcome.failure.retryAfterSeconds).toBe(seconds);
  });

  it.each([301, 302, 303, 307, 308])(
    "is permanently failed at %i, not followed, its place unsaid",
    async (status) => {
      const { url, received } = await receiver(
        answering(status, { location: "/elsewhere" }, "see /elsewhere"),
      );
      expect(await httpBroadcaster(target(url), { now: () => NOW }).deliver(delivery)).toEqual({
        kind: "permanent",
        failure: { code: "redirected", message: `the destination answered HTTP ${status}` },
        status,
        latencyMs: 0,
      });
      expect(received).toHaveLength(1);
    },
  );

  it("comes to what the destination's own statuses say", async () => {
    const statuses = { 404: "transient", 418: "success", 202: "permanent", 302: "transient" } as const;
    const kinds = await Promise.all(
      [404, 418, 202, 302, 500].map(
        async (status) => (await delivered(answering(status), { statuses })).kind,
      ),
    );
    expect(kinds).toEqual(["transient", "delivered", "permanent", "transient", "transient"]);
  });

  it("says how long the status took", async () => {
    const { url } = await receiver(answering(204));
    let nowMs = NOW;
    const broadcaster = httpBroadcaster(target(url), { now: () => (nowMs += 25) });
    expect(await broadcaster.deliver(delivery)).toMatchObject({ kind: "delivered", latencyMs: 25 });
  });
});

describe("a delivery that is not answered, or not to the end", () => {
  const broken = { kind: "transient", failure: { code: "network_error" }, status: null };

  it("is to be tried again when nobody listens", async () => {
    const { url } = await receiver(answering(200));
    await closeReceivers();
    expect(await httpBroadcaster(target(url), { now: () => NOW }).deliver(delivery)).toMatchObject(broken);
  });

  it("is to be tried again when the destination hangs up before the status", async () => {
    expect(await delivered((response) => response.destroy())).toMatchObject(broken);
  });

  it("is to be tried again when no status comes in time", async () => {
    expect(await delivered(() => {}, { timeoutSeconds: 0.05 })).toMatchObject({
      kind: "transient",
      failure: { code: "endpoint_timeout", message: "the destination did not answer within 0.05 s" },
      status: null,
    });
  });

  it.each([
    [200, "delivered"],
    [422, "permanent"],
    [500, "transient"],
  ])("counts by its status %i when the destination hangs up after it", async (status, kind) => {
    const hangUp: Answer = (response) => {
      response.writeHead(status, { "content-length": "1000" });
      response.write("a part", () => response.destroy());
    };
    expect(await delivered(hangUp)).toMatchObject({ kind, status });
  });

  it.each([
    [200, "delivered"],
    [500, "transient"],
  ])("counts by its status %i when the body does not end in time", async (status, kind) => {
    const stalled: typeof fetch = (_, init) => {
      const body = new ReadableStream({
        start: (controller) =>
          init?.signal?.addEventListener("abort", () => controller.error(new Error("aborted"))),
      });
      return Promise.resolve(new Response(body, { status }));
    };
    const broadcaster = broadcasterOver(stalled, { timeoutSeconds: 0.01 });
    expect(await broadcaster.deliver(delivery)).toMatchObject({ kind, status });
  });

  it.each([200, 500])("reads a little of a body without end after %i, and hangs up", async (status) => {
    let closed: Promise<unknown> = Promise.resolve();
    const endless: Answer = (response) => {
      closed = new Promise((resolve) => response.on("close", resolve));
      response.writeHead(status);
      const chunk = "x".repeat(65_536);
      const pour = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", pour);
      pour();
    };
    const outcome = await delivered(endless);
    await closed;
    expect(outcome).toMatchObject({ status });
    expect(messageOf(outcome).length).toBeLessThan(400);
  });
});

describe("a message", () => {
  it("repeats no part of the path, query or secrets that the destination sends back", async () => {
    const path = "hooks/T0001-secret-path?token=q%2Fery-token&k=abc";
    const echo: Answer = (response, request) => {
      const { url, headers } = request;
      response.writeHead(422).end(
        JSON.stringify({
          error: `no\u0000 such\n${String(url)}`,
          at: `http://127.0.0.1${String(url)}`.replaceAll("/", "\\/"),
          parts: ["T0001-secret-path", "q/ery-token", "q%2Fery-token", "abc", SECRET, KEY.toString("base64")],
          signature: headers["webhook-signature"],
        }).replaceAll("\\\\/", "\\/"),
      );
    };
    const message = messageOf(await delivered(echo, { path }));
    expect(message).toContain("the destination answered HTTP 422: ");
    expect(message).toContain("[redacted]");
    for (const part of ["T0001", "ery-token", "abc", KEY.toString("base64").slice(0, 12), "127.0.0.1"])
      expect(message).not.toContain(part);
  });

  it("repeats no half of a secret that the 4 KB cut through", async () => {
    const message = messageOf(await delivered(answering(422, {}, `${" ".repeat(4096 - 20)}${SECRET}`)));
    expect(message).toBe("the destination answered HTTP 422");
  });

  it("says nothing of the URL when the connection fails", async () => {
    const failing: typeof fetch = () => Promise.reject(new Error("connect ECONNREFUSED token-in-error"));
    const broadcaster = broadcasterOver(failing, { url: "http://127.0.0.1/?token-in-error" });
    expect(messageOf(await broadcaster.deliver(delivery))).toBe(
      "the destination could not be reached, or the connection broke",
    );
  });
});
