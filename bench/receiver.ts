import { createServer, type IncomingHttpHeaders } from "node:http";
import { LOOPBACK } from "../ops/ports.ts";

/** A destination that takes everything at once, and counts: it verifies nothing, and keeps no body. */
export interface CountingReceiver {
  readonly url: string;
  /** Deliveries of the source ever, each event once. */
  received(): number;
  /** Deliveries ever that were not the next of their key. */
  outOfOrder(): number;
  /** Deliveries ever of an event that had come before. */
  doubled(): number;
  /** Resolves when `events` have been received since the receiver began. */
  whenReceived(events: number, withinMs: number): Promise<void>;
  stop(): Promise<void>;
}

/** @param source whose events count: Lockstep delivers its own alerts too */
export async function startCountingReceiver(source: string): Promise<CountingReceiver> {
  const ids = new Set<string>();
  const lastOfKey = new Map<string, number>();
  let outOfOrder = 0;
  let doubled = 0;
  let waiting: { readonly events: number; readonly done: () => void } | null = null;

  function count(headers: IncomingHttpHeaders): void {
    if (headers["lockstep-source"] !== source) return;
    const id = String(headers["webhook-id"]);
    if (ids.has(id)) {
      doubled += 1;
      return;
    }
    ids.add(id);
    const key = String(headers["lockstep-key"]);
    const sequence = Number(headers["lockstep-sequence"]);
    const last = lastOfKey.get(key);
    if (last !== undefined && sequence !== last + 1) outOfOrder += 1;
    lastOfKey.set(key, sequence);
    if (waiting !== null && ids.size >= waiting.events) waiting.done();
  }

  const server = createServer((request, response) => {
    request.resume().once("end", () => {
      count(request.headers);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, LOOPBACK, resolve);
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the receiver has no port");
  return {
    url: `http://${LOOPBACK}:${address.port}/`,
    received: () => ids.size,
    outOfOrder: () => outOfOrder,
    doubled: () => doubled,
    async whenReceived(events, withinMs) {
      if (ids.size >= events) return;
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () =>
            reject(new Error(`the receiver has ${ids.size} of ${events} events after ${withinMs / 1000} s`)),
          withinMs,
        );
        waiting = {
          events,
          done: () => {
            clearTimeout(timer);
            waiting = null;
            resolve();
          },
        };
      });
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
