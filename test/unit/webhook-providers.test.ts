import { expect, test } from "vitest";
import config from "../../lockstep.config.ts";
import { startReceiver } from "../../ops/receiver.ts";
import { bodyOf, PROVIDERS, signed } from "../../ops/webhook-providers.ts";
import { httpBroadcaster, type Delivery } from "../../consumers/broadcasters/http.ts";
import { verifySignature } from "../../producers/signatures/signature.ts";

const SECRET = `whsec_${Buffer.alloc(24, 5).toString("base64")}`;
const OTHER = `whsec_${Buffer.alloc(24, 6).toString("base64")}`;
const AT = 1_700_000_000;

test.each(PROVIDERS)(
  "what %s signs is what its source verifies, with its id and its key in place",
  async (provider) => {
    const source = config.sources.get(provider);
    if (source === undefined) throw new Error("the local configuration has no such source");
    const body = bodyOf(provider, { id: "evt-1", key: "customer-1", type: "order.updated" });
    const verify = async (secret: string, sent: string) => {
      const { headers } = signed(provider, SECRET, { id: "evt-1", body }, AT);
      return verifySignature(source.signature, {
        headers: new Headers(headers),
        body: new TextEncoder().encode(sent),
        secrets: [secret],
        nowMs: AT * 1000,
      });
    };
    const verified = await verify(SECRET, body);
    expect(verified).toMatchObject({ ok: true });
    expect(await verify(OTHER, body)).toMatchObject({ ok: false, error: { kind: "bad-signature" } });
    expect(await verify(SECRET, `${body} `)).toMatchObject({ ok: false, error: { kind: "bad-signature" } });
    const json: unknown = JSON.parse(body);
    const read = { text: body, json };
    expect(source.keyOf(read)).toBe("customer-1");
    const idSigned = verified.ok ? verified.value.idSigned : null;
    expect(idSigned ?? source.eventIdOf(read)).toBe(provider === "github" ? null : "evt-1");
  },
);

test("the receiver takes what the broadcaster signs, knows a repetition by its id, and refuses another secret", async () => {
  const receiver = await startReceiver({ secret: SECRET });
  const deliver = (secret: string, delivery: Partial<Delivery> = {}) =>
    httpBroadcaster(
      { url: receiver.url, secrets: [secret], timeoutSeconds: 5, allowPrivate: true },
      { now: Date.now },
    ).deliver({
      webhookId: "id-1",
      sequence: 7,
      source: "plain",
      key: "Ümläut",
      attempt: 1,
      replayed: false,
      body: "{}",
      contentType: "application/json",
      admittedAtMs: AT * 1000,
      ...delivery,
    });
  try {
    receiver.behave(({ attempt }) => (attempt === 1 ? 503 : attempt === 2 ? "hang-up" : 200));
    const outcomes = [];
    for (const attempt of [1, 2, 3, 4]) outcomes.push((await deliver(SECRET, { attempt })).kind);
    expect(outcomes).toEqual(["transient", "transient", "delivered", "delivered"]);
    expect(
      receiver.arrivals.map(({ key, sequence, reply, handled }) => [key, sequence, reply, handled]),
    ).toEqual([
      ["Ümläut", 7, 503, false],
      ["Ümläut", 7, "hang-up", false],
      ["Ümläut", 7, 200, true],
      ["Ümläut", 7, 200, false],
    ]);
    expect(await deliver(OTHER)).toMatchObject({ kind: "permanent", failure: { code: "unauthorized" } });
    expect([receiver.unsigned(), receiver.arrivals.length]).toEqual([1, 4]);
  } finally {
    await receiver.stop();
  }
});
