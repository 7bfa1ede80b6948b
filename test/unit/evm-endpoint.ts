import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";

const callSchema = z.object({ id: z.number(), method: z.string(), params: z.array(z.unknown()) });
export type Call = z.infer<typeof callSchema>;

export interface Endpoint {
  readonly url: string;
  /** Every batch that arrived, oldest first. */
  readonly batches: Call[][];
  /** The headers of the last request. */
  headers: IncomingMessage["headers"];
  close(): Promise<void>;
}

/** A loopback HTTP server in the place of an RPC endpoint. `answer` gets each batch and writes the response. */
export async function startEndpoint(
  answer: (calls: readonly Call[], response: ServerResponse) => void,
): Promise<Endpoint> {
  const server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      const calls = z.array(callSchema).parse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
      endpoint.batches.push(calls);
      endpoint.headers = request.headers;
      answer(calls, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no address");
  const endpoint: Endpoint = {
    url: `http://127.0.0.1:${address.port}/`,
    batches: [],
    headers: {},
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
  return endpoint;
}

/** What `answerEach` puts in the place of one call's result. */
export type Item =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string; readonly data?: unknown } }
  | "missing";

/** An `answer` that decides call by call. */
export function answerEach(
  decide: (call: Call) => Item,
): (calls: readonly Call[], response: ServerResponse) => void {
  return (calls, response) => {
    const items = calls.flatMap((call) => {
      const item = decide(call);
      return item === "missing" ? [] : [{ jsonrpc: "2.0", id: call.id, ...item }];
    });
    response.setHeader("content-type", "application/json").end(JSON.stringify(items));
  };
}
