import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import {
  httpBroadcaster,
  type Delivery,
  type DeliveryOutcome,
  type HttpTarget,
} from "../../consumers/broadcasters/http.ts";

/** A request as it arrived. */
export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  readonly close: () => Promise<void>;
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export const NOW = Date.parse("2030-01-01T00:00:00.900Z");
export const KEY = Buffer.from("a signing key of a destination..");
export const SECRET = `whsec_${KEY.toString("base64")}`;
export const delivery: Delivery = {
  webhookId: "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
  sequence: 7,
  source: "polar",
  key: "customer-1",
  attempt: 1,
  replayed: false,
  body: '{"type":"order.paid"}',
  contentType: "application/json",
  admittedAtMs: NOW - 5000,
};

/** Every receiver of the test that runs: see `closeReceivers`. */
const open: Receiver[] = [];

/** A loopback HTTP server in the place of a destination. `answer` writes the response. */
export async function receiver(answer: Answer): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks) });
      answer(response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no address");
  const started: Receiver = {
    url: `http://127.0.0.1:${address.port}/`,
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  open.push(started);
  return started;
}

/** A destination that may be on loopback. */
export function target(url: string, changes: Partial<HttpTarget> = {}): HttpTarget {
  return { url, secrets: [SECRET], timeoutSeconds: 20, allowPrivate: true, ...changes };
}

/** What one delivery comes to at a receiver that answers so. */
export async function delivered(
  answer: Answer,
  { path = "", ...changes }: Partial<HttpTarget> & { path?: string } = {},
): Promise<DeliveryOutcome> {
  const { url } = await receiver(answer);
  return httpBroadcaster(target(url + path, changes), { now: () => NOW }).deliver(delivery);
}

/** A broadcaster to loopback over another `fetch`. */
export function broadcasterOver(send: typeof fetch, changes: Partial<HttpTarget> = {}) {
  return httpBroadcaster(target("http://127.0.0.1/", changes), { now: () => NOW, fetch: send });
}

export function answering(status: number, headers: Record<string, string> = {}, body = ""): Answer {
  return (response) => response.writeHead(status, headers).end(body);
}

export function messageOf(outcome: DeliveryOutcome): string {
  return outcome.kind === "delivered" ? "" : outcome.failure.message;
}

export async function closeReceivers(): Promise<void> {
  await Promise.all(open.splice(0).map((server) => server.close()));
}
