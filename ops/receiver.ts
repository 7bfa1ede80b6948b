import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { Webhook } from "standardwebhooks";
import { LOOPBACK } from "./ports.ts";

/** What came to a destination, as its headers and its body say. Only what is signed with the secret becomes one. */
export interface Delivery {
  readonly webhookId: string;
  readonly source: string;
  /** The ordering key; null where the event is unordered. */
  readonly key: string | null;
  readonly sequence: number;
  /** From 1. */
  readonly attempt: number;
  readonly replayed: boolean;
  readonly body: string;
}

/** A status to answer with, or no answer at all: the connection breaks. */
export type Reply = number | "hang-up";

/** May take its time: the delivery stays open until it resolves. */
export type Behaviour = (delivery: Delivery) => Reply | Promise<Reply>;

export interface Arrival extends Delivery {
  readonly reply: Reply;
  /** The first that was answered with success under its webhook-id: by the id a receiver knows all others. */
  readonly handled: boolean;
}

/** A destination of webhook events, for demos and tests. It keeps everything that came, in the order of its answers. */
export interface Receiver {
  readonly url: string;
  readonly arrivals: readonly Arrival[];
  /** So many requests had no valid signature. They are answered with 401. */
  unsigned(): number;
  /** From the next delivery on. Without one, each is answered with 204. */
  behave(behaviour: Behaviour): void;
  stop(): Promise<void>;
}

export interface ReceiverOptions {
  /** 0, the default, asks for a free one. */
  readonly port?: number;
  /** What Lockstep signs with: RECEIVER_WEBHOOK_SECRET. */
  readonly secret: string;
  /** Hears of each arrival. */
  readonly arrived?: (arrival: Arrival) => void;
}

const accepting: Behaviour = () => 204;

/** Verifies with the package of the Standard Webhooks project, which shares no code with Lockstep. */
export async function startReceiver({ port = 0, secret, arrived }: ReceiverOptions): Promise<Receiver> {
  const verifier = new Webhook(secret);
  const arrivals: Arrival[] = [];
  const handledIds = new Set<string>();
  let unsigned = 0;
  let behaviour = accepting;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await textOf(request);
    const delivery = readDelivery(request.headers, body);
    if (delivery === null || !isSigned(request.headers, body)) {
      unsigned += 1;
      response.writeHead(401).end("the signature is not valid");
      return;
    }
    const reply = await behaviour(delivery);
    const handled = reply !== "hang-up" && reply >= 200 && reply < 300 && !handledIds.has(delivery.webhookId);
    if (handled) handledIds.add(delivery.webhookId);
    const arrival = { ...delivery, reply, handled };
    arrivals.push(arrival);
    arrived?.(arrival);
    if (reply === "hang-up") request.socket.destroy();
    else response.writeHead(reply).end(reply < 300 ? undefined : `answered ${reply} on purpose`);
  }

  function isSigned(headers: IncomingHttpHeaders, body: string): boolean {
    const text = (name: string) => String(headers[name] ?? "");
    try {
      verifier.verify(
        body,
        {
          "webhook-id": text("webhook-id"),
          "webhook-timestamp": text("webhook-timestamp"),
          "webhook-signature": text("webhook-signature"),
        },
        { jsonParse: false },
      );
      return true;
    } catch {
      return false;
    }
  }

  const server = createServer((request, response) => {
    // The one who delivers is gone: there is nobody to answer.
    serve(request, response).catch(() => request.socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, LOOPBACK, resolve);
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the receiver has no port");
  return {
    url: `http://${LOOPBACK}:${address.port}/`,
    arrivals,
    unsigned: () => unsigned,
    behave(next) {
      behaviour = next;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Null where a header is missing that every delivery has. */
function readDelivery(headers: IncomingHttpHeaders, body: string): Delivery | null {
  const text = (name: string): string | null => {
    const value = headers[name];
    return typeof value === "string" && value !== "" ? value : null;
  };
  const webhookId = text("webhook-id");
  const source = text("lockstep-source");
  const sequence = text("lockstep-sequence");
  const attempt = text("lockstep-attempt");
  if (webhookId === null || source === null || sequence === null || attempt === null) return null;
  const key = text("lockstep-key");
  return {
    webhookId,
    source,
    key: key === null ? null : decodeURIComponent(key),
    sequence: Number(sequence),
    attempt: Number(attempt),
    replayed: text("lockstep-replayed") === "true",
    body,
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
