import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { LOOPBACK } from "../../ops/ports.ts";
import { chance } from "../model/history.ts";

/** What may happen to one request. Before it reached the node, nothing has happened; after it, everything has. */
export const RPC_FAULTS = [
  "drop-before",
  "status-401-before",
  "status-429-before",
  "status-500-before",
  "delay",
  "late",
  "stall-after",
  "hang-up-after",
  "status-401-after",
  "status-500-after",
  "truncate-after",
  "garble-after",
  "omit-after",
  "twice",
] as const;
export type RpcFault = (typeof RPC_FAULTS)[number];

/** The probability of each fault, per request. What is left of 1 is answered as the node does. */
export type RpcWeather = Readonly<Partial<Record<RpcFault, number>>>;

export interface FaultyRpc {
  readonly url: string;
  /** How often each fault was dealt so far. */
  readonly dealt: ReadonlyMap<RpcFault | "none", number>;
  /** From the next request on; null passes everything. What is held back already still comes late. */
  setWeather(weather: RpcWeather | null): void;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Shorter than the Worker waits for an answer. */
const DELAY_MS = 1200;
/** Longer than that, and than a lease: the request arrives when its sender has given up. */
const LATE_MS = { least: 3000, most: 12_000 } as const;

/**
 * An RPC endpoint between the Worker and its node that fails at random: a seed gives the same dice, but the order in
 * which requests come is not the same twice.
 */
export async function startFaultyRpc(target: string, seed: number): Promise<FaultyRpc> {
  const random = chance(seed);
  const dealt = new Map<RpcFault | "none", number>();
  const held = new Set<NodeJS.Timeout>();
  let weather: RpcWeather | null = null;

  function deal(): RpcFault | "none" {
    let point = random();
    for (const fault of RPC_FAULTS) {
      point -= weather?.[fault] ?? 0;
      if (point < 0) return fault;
    }
    return "none";
  }

  function hold(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        held.delete(timer);
        resolve();
      }, milliseconds);
      held.add(timer);
    });
  }

  async function forward(body: string): Promise<Answer> {
    const answer = await fetch(target, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    return { status: answer.status, text: await answer.text() };
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await textOf(request);
    const fault = deal();
    dealt.set(fault, (dealt.get(fault) ?? 0) + 1);
    switch (fault) {
      case "drop-before":
        return hangUp(response);
      case "status-401-before":
        return refuse(response, 401);
      case "status-429-before":
        return refuse(response, 429);
      case "status-500-before":
        return refuse(response, 500);
      case "delay":
        await hold(random() * DELAY_MS);
        return pass(response, await forward(body));
      case "late":
        await hold(LATE_MS.least + random() * (LATE_MS.most - LATE_MS.least));
        return pass(response, await forward(body));
      case "stall-after": {
        const answer = await forward(body);
        await hold(LATE_MS.least);
        return pass(response, answer);
      }
      case "hang-up-after":
        await forward(body);
        return hangUp(response);
      case "status-401-after":
        await forward(body);
        return refuse(response, 401);
      case "status-500-after":
        await forward(body);
        return refuse(response, 500);
      case "truncate-after":
        return breakOff(response, await forward(body));
      case "garble-after": {
        const { status, text } = await forward(body);
        return pass(response, { status, text: text.slice(0, Math.floor(text.length * random())) });
      }
      case "omit-after": {
        const { status, text } = await forward(body);
        return pass(response, { status, text: withoutSome(text, random) });
      }
      case "twice":
        await forward(body);
        return pass(response, await forward(body));
      case "none":
        return pass(response, await forward(body));
    }
  }

  const server = createServer((request, response) => {
    // The node is away, or the Worker is: either way the connection is of no more use.
    serve(request, response).catch(() => hangUp(response));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, LOOPBACK, resolve);
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the RPC proxy has no port");
  return {
    url: `http://${LOOPBACK}:${address.port}`,
    dealt,
    setWeather(next) {
      weather = next;
    },
    stop: () =>
      new Promise((resolve) => {
        for (const timer of held) clearTimeout(timer);
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function hangUp(response: ServerResponse): void {
  response.destroy();
}

function refuse(response: ServerResponse, status: 401 | 429 | 500): void {
  response.writeHead(status, status === 429 ? { "retry-after": "1" } : {}).end();
}

function pass(response: ServerResponse, { status, text }: Answer): void {
  response.writeHead(status, { "content-type": "application/json" }).end(text);
}

/** Announces the whole answer, and ends in the middle of it. */
function breakOff(response: ServerResponse, { status, text }: Answer): void {
  const bytes = Buffer.from(text);
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
  response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => hangUp(response));
}

/** A batch's answer that leaves calls out, in another order. What is no batch stays as it is. */
function withoutSome(text: string, random: () => number): string {
  const body: unknown = JSON.parse(text);
  if (!Array.isArray(body)) return text;
  return JSON.stringify(body.filter(() => random() < 0.8).toReversed());
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
