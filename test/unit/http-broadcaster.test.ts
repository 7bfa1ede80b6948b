import { createHmac } from "node:crypto";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { httpBroadcaster, type Delivery } from "../../consumers/broadcasters/http.ts";
import { isPermanent } from "../../domain/failure.ts";
import {
  answering,
  broadcasterOver,
  closeReceivers,
  delivery,
  KEY,
  NOW,
  receiver,
  SECRET,
  target,
  type Received,
} from "./http-broadcaster-fixture.ts";

/** What the receiver gets of a delivery. */
async function sent(
  changes: Partial<Delivery>,
  { secrets = [SECRET] }: { secrets?: string[] } = {},
): Promise<Received> {
  const { url, received } = await receiver((response) => response.end());
  const outcome = await httpBroadcaster(target(url, { secrets }), { now: () => NOW }).deliver({
    ...delivery,
    ...changes,
  });
  expect(outcome.kind).toBe("delivered");
  const [first] = received;
  if (first === undefined) throw new Error("nothing was received");
  return first;
}

function signature(key: Buffer | string, { headers, body }: Received): string {
  const hmac = createHmac("sha256", key);
  hmac.update(`${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.`).update(body);
  return `v1,${hmac.digest("base64")}`;
}

afterEach(closeReceivers);

const unasked: typeof fetch = () => Promise.reject(new Error("a request was made"));

describe("what the destination receives", () => {
  it("is a POST of the very bytes with the headers of the event", async () => {
    const body = Uint8Array.from([0, 255, 123, 128, 10]);
    const received = await sent({ body, contentType: "application/octet-stream" });
    expect([...received.body]).toEqual([...body]);
    expect(received.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": "5",
      "user-agent": "Lockstep-Webhooks/1",
      "webhook-id": delivery.webhookId,
      "webhook-timestamp": String(Math.floor(NOW / 1000)),
      "lockstep-source": "polar",
      "lockstep-sequence": "7",
      "lockstep-key": "customer-1",
      "lockstep-attempt": "1",
      "lockstep-admitted-at": String(Math.floor(NOW / 1000) - 5),
    });
    expect(received.headers).not.toHaveProperty("lockstep-replayed");
  });

  it("is signed over id, timestamp and bytes, whatever the id and the bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1, unit: "grapheme" }),
        fc.uint8Array(),
        async (webhookId, body) => {
          const received = await sent({ webhookId, body });
          expect(received.headers["webhook-signature"]).toBe(signature(KEY, received));
          expect(decodeURIComponent(String(received.headers["webhook-id"]))).toBe(webhookId);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("is signed over the UTF-8 of a body that is text", async () => {
    const received = await sent({ body: '{"name":"Zoë 🐑"}' });
    expect(received.body.toString("utf8")).toBe('{"name":"Zoë 🐑"}');
    expect(received.headers["webhook-signature"]).toBe(signature(KEY, received));
  });

  it("is signed with each secret of a rotation, in order, encoded or raw", async () => {
    const received = await sent({}, { secrets: [SECRET, "raw secret"] });
    expect(received.headers["webhook-signature"]).toBe(
      `${signature(KEY, received)} ${signature("raw secret", received)}`,
    );
  });

  it("has the same id at every attempt, and the timestamp of the attempt", async () => {
    const { url, received } = await receiver(answering(503));
    let nowMs = NOW;
    const broadcaster = httpBroadcaster(target(url), { now: () => nowMs });
    for (const attempt of [1, 2, 3]) {
      await broadcaster.deliver({ ...delivery, attempt, replayed: attempt === 3 });
      nowMs += 60_000;
    }
    const start = Math.floor(NOW / 1000);
    expect(
      received.map(({ headers }) => [
        headers["webhook-id"],
        headers["webhook-timestamp"],
        headers["lockstep-sequence"],
        headers["lockstep-attempt"],
        headers["lockstep-replayed"],
      ]),
    ).toEqual([
      [delivery.webhookId, String(start), "7", "1", undefined],
      [delivery.webhookId, String(start + 60), "7", "2", undefined],
      [delivery.webhookId, String(start + 120), "7", "3", "true"],
    ]);
    expect(received.every((each) => each.headers["webhook-signature"] === signature(KEY, each))).toBe(true);
  });

  it("has any ordering key percent-encoded, and none where the event is unordered", async () => {
    expect((await sent({ key: "a%b c\r\nx: y/ü" })).headers["lockstep-key"]).toBe(
      "a%25b%20c%0D%0Ax:%20y/%C3%BC",
    );
    expect((await sent({ key: null })).headers).not.toHaveProperty("lockstep-key");
  });
});

describe("a delivery that is not sent", () => {
  it("is permanently failed when the destination is forbidden", async () => {
    for (const url of [
      "http://example.com/",
      "https://127.0.0.1/",
      "https://metadata.google.internal/",
      "no",
    ]) {
      const broadcaster = broadcasterOver(unasked, { url, allowPrivate: false });
      expect(await broadcaster.deliver(delivery)).toMatchObject({
        kind: "permanent",
        failure: { code: "forbidden_target" },
        status: null,
      });
    }
  });

  it.each([[[]], [[""]], [["whsec_"]], [["whsec_not base64!"]], [[SECRET, ""]]])(
    "is to be tried again when a signing secret is missing or malformed: %j",
    async (secrets) => {
      const broadcaster = broadcasterOver(unasked, { secrets });
      expect(await broadcaster.deliver(delivery)).toMatchObject({
        kind: "transient",
        failure: { code: "signer_unavailable" },
        status: null,
      });
    },
  );
});

describe("a batch", () => {
  it("puts every delivery into one list, in order, and goes on after each failure", async () => {
    const statuses = [503, 200, 404, 409, 429, 401, 204];
    const { url, received } = await receiver((response, request) =>
      response.writeHead(statuses[Number(request.headers["lockstep-sequence"])] ?? 500).end(),
    );
    const batch = statuses.map((status, sequence) => ({
      ...delivery,
      sequence,
      webhookId: `event-${status}`,
    }));
    const { succeeded, failed, permanentlyFailed } = await httpBroadcaster(target(url), {
      now: () => NOW,
    }).deliverAll(batch);
    expect(received.map(({ headers }) => headers["webhook-id"])).toEqual(
      batch.map(({ webhookId }) => webhookId),
    );
    expect(succeeded).toEqual(["event-200", "event-409", "event-204"]);
    expect(failed.map(({ webhookId, status }) => [webhookId, status])).toEqual([
      ["event-503", 503],
      ["event-429", 429],
    ]);
    expect(permanentlyFailed.map(({ webhookId, failure }) => [webhookId, failure.code])).toEqual([
      ["event-404", "not_found"],
      ["event-401", "unauthorized"],
    ]);
    expect(failed.some(({ failure }) => isPermanent(failure.code))).toBe(false);
  });

  it("of none is three empty lists", async () => {
    expect(await broadcasterOver(unasked).deliverAll([])).toEqual({
      succeeded: [],
      failed: [],
      permanentlyFailed: [],
    });
  });
});
