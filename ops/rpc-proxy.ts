import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { LOOPBACK } from "./ports.ts";

export interface RpcProxyOptions {
  /** The node. It may start later. */
  readonly target: string;
  /** A request whose body holds this address, in any spelling, is answered with 401. */
  readonly refuseAddress?: string;
}

export interface RpcProxy {
  readonly url: string;
  /** How many requests came to each end so far. */
  readonly counts: { readonly passed: number; readonly refused: number; readonly broken: number };
  /** While down, connections break without an answer, and the node hears nothing. */
  setDown(down: boolean): void;
  stop(): Promise<void>;
}

/** An RPC endpoint in front of a node that can be out of order: for demos and tests. */
export async function startRpcProxy({ target, refuseAddress }: RpcProxyOptions): Promise<RpcProxy> {
  const refused = refuseAddress?.replace(/^0x/, "").toLowerCase();
  const counts = { passed: 0, refused: 0, broken: 0 };
  let down = false;

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await textOf(request);
    if (down) {
      counts.broken += 1;
      request.socket.destroy();
    } else if (refused !== undefined && body.toLowerCase().includes(refused)) {
      counts.refused += 1;
      response.writeHead(401, { "content-type": "text/plain" }).end("the credential is not valid");
    } else {
      const answer = await fetch(target, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      const text = await answer.text();
      counts.passed += 1;
      response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
    }
  };
  const server = createServer((request, response) => {
    // The node is away, or the client is: either way the connection is of no more use.
    serve(request, response).catch(() => request.socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, LOOPBACK, resolve);
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the RPC proxy has no port");
  return {
    url: `http://${LOOPBACK}:${address.port}`,
    counts,
    setDown(next) {
      down = next;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
