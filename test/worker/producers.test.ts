import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { directiveReceiptsSchema, directiveReportSchema, laneReportSchema } from "../../domain/api.ts";
import { decodeMessage } from "../../domain/message.ts";
import config from "../../lockstep.config.ts";
import { createApp } from "../../producers/http.ts";
import { ACCOUNT, ACCOUNT_CHECKSUMMED, OTHER_ACCOUNT, wire } from "../unit/directive-fixture.ts";

const TOKEN = "operator-token";
const LANE = `/v1/accounts/${encodeURIComponent(ACCOUNT)}`;
const app = createApp(config, { listLanes: async () => [], listInboxes: async () => [] });

/** The Worker's own lanes, and a queue that only records: no consumer takes the work away. */
function worker() {
  const rung: string[] = [];
  const bindings = {
    API_TOKENS: JSON.stringify([
      { name: "ada", scope: "operator", sha256: bytesToHex(sha256(utf8ToBytes(TOKEN))) },
    ]),
    SEQUENCER: env.SEQUENCER,
    WEBHOOK_INBOX: env.WEBHOOK_INBOX,
    WEBHOOK_INDEX: env.WEBHOOK_INDEX,
    WEBHOOK_EVENTS: env.WEBHOOK_EVENTS,
    DIRECTIVES: {
      sendBatch: async (messages: readonly { readonly body: unknown }[]) => {
        for (const { body } of messages) {
          const message = decodeMessage(body);
          if (message.ok && message.value.kind === "doorbell") rung.push(message.value.account);
        }
      },
    },
  };
  const request = async (path: string, body?: BodyInit): Promise<Response> => {
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    return app.request(path, body === undefined ? { headers } : { method: "POST", headers, body }, bindings);
  };
  return { request, rung };
}

const post = (request: ReturnType<typeof worker>["request"], body: unknown) =>
  request("/v1/directives", JSON.stringify(body));

const statuses = async (response: Response) =>
  directiveReceiptsSchema.parse(await response.json()).directives.map(({ status }) => status);

describe("a directive on its way from HTTP to its lane", () => {
  test("is admitted once, whatever the spelling, and can be asked for at its Location", async () => {
    const { request, rung } = worker();
    const first = await post(request, wire());
    expect(first.status).toBe(202);
    const again = await post(request, wire({ account: ACCOUNT_CHECKSUMMED }, { value: 1 }));
    expect(again.status).toBe(200);
    expect(rung).toEqual([ACCOUNT]);
    const report = directiveReportSchema.parse(
      await (await request(first.headers.get("location") ?? "")).json(),
    );
    expect(report).toMatchObject({
      id: "order-1",
      account: ACCOUNT,
      status: "queued",
      attempts: 0,
      transactions: [],
    });
    const lane = laneReportSchema.parse(await (await request(LANE)).json());
    expect(lane.counts).toEqual({ admitted: 1, settled: 0, dead: 0, inFlight: 1 });
  });

  test("is a conflict with another payload, and the first stays", async () => {
    const { request } = worker();
    await post(request, wire());
    expect((await post(request, wire({}, { value: "2" }))).status).toBe(409);
    const batch = await post(request, {
      directives: [wire({}, { value: "2" }), wire({ id: "new" }), wire({ id: "new" })],
    });
    expect(batch.status).toBe(202);
    expect(await statuses(batch)).toEqual(["conflict", "queued", "queued"]);
    const lane = laneReportSchema.parse(await (await request(LANE)).json());
    expect(lane.counts.admitted).toBe(2);
  });

  test("shares its request with 99 others on two lanes", async () => {
    const { request, rung } = worker();
    const directives = Array.from({ length: 100 }, (_, index) =>
      wire({ id: `order-${index}`, account: index % 2 === 0 ? ACCOUNT : OTHER_ACCOUNT }),
    );
    const response = await post(request, { directives });
    expect(new Set(await statuses(response))).toEqual(new Set(["queued"]));
    expect(rung.toSorted()).toEqual([ACCOUNT, OTHER_ACCOUNT].toSorted());
  });

  test("is admitted to a paused lane too, and the lane says who paused it and why", async () => {
    const { request } = worker();
    const paused = await request(`${LANE}/pause`, JSON.stringify({ reason: "node upgrade" }));
    const report = laneReportSchema.parse(await paused.json());
    expect(report.status).toBe("paused");
    expect(JSON.stringify(report.events)).toContain("node upgrade");
    expect(JSON.stringify(report.events)).toContain("ada");
    expect((await post(request, wire())).status).toBe(202);
    const resumed = await request(`${LANE}/resume`, JSON.stringify({ reason: "done" }));
    expect(laneReportSchema.parse(await resumed.json()).status).not.toBe("paused");
  });
});

describe("in the Worker's own runtime", () => {
  test("an endless body is 413 after the largest batch's bytes", async () => {
    const { request } = worker();
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(1024 * 1024).fill(0x20));
      },
    });
    expect((await request("/v1/directives", endless)).status).toBe(413);
    expect(pulled).toBeLessThan(15);
  });

  test("a body that is not UTF-8 is 400", async () => {
    const { request } = worker();
    const response = await request("/v1/directives", Uint8Array.of(0x22, 0xe9, 0x22));
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("UTF-8");
  });

  test("a body 100,000 levels deep is 400", async () => {
    const { request } = worker();
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const response = await request(
      "/v1/directives",
      JSON.stringify(wire({ metadata: "deep" })).replace('"deep"', deep),
    );
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('"field":"metadata');
  });
});
