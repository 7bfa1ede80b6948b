import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { LOOPBACK } from "./ports.ts";

export interface RpcProxyOptions {
  /** The node. It may start later. */
  readonly target: string;
  /** As `refuse`, from the start. */
  readonly refuseAddresses?: readonly string[];
}

export interface RpcProxy {
  readonly url: string;
  /** How many requests came to each end so far. */
  readonly counts: { readonly passed: number; readonly refused: number; readonly broken: number };
  /** While down, connections break without an answer, and the node hears nothing. */
  setDown(down: boolean): void;
  /** From now on a request whose body holds one of these addresses, in any spelling, is answered with 401. */
  refuse(addresses: readonly string[]): void;
  /** From now on a request with a call of this method reaches the node, and is answered with 401 all the same. Null: none. */
  disown(method: string | null): void;
  stop(): Promise<void>;
}

/** An RPC endpoint in front of a node that can be out of order: for demos and tests. */
export async function startRpcProxy({ target, refuseAddresses = [] }: RpcProxyOptions): Promise<RpcProxy> {
  let refused = refuseAddresses.map(bare);
  const counts = { passed: 0, refused: 0, broken: 0 };
  let down = false;
  let disowned: string | null = null;

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await textOf(request);
    if (down) {
      counts.broken += 1;
      request.socket.destroy();
    } else if (refused.some((address) => body.toLowerCase().includes(address))) {
      counts.refused += 1;
      refuse(response);
    } else {
      const answer = await fetch(target, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      const text = await answer.text();
      counts.passed += 1;
      if (disowned !== null && body.includes(`"${disowned}"`)) refuse(response);
      else response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
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
    refuse(addresses) {
      refused = addresses.map(bare);
    },
    disown(method) {
      disowned = method;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function refuse(response: ServerResponse): void {
  response.writeHead(401, { "content-type": "text/plain" }).end("the credential is not valid");
}

function bare(address: string): string {
  return address.replace(/^0x/, "").toLowerCase();
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
