import { LOOPBACK } from "./ports.ts";
import { childrenOf, listeningPorts } from "./process-table.ts";
import { waitUntil } from "./wait-until.ts";
import { toWire } from "./wire.ts";
import type { Wrangler } from "./wrangler.ts";

/** One message of the sender: a directive as a producer writes it, or any queue body. */
export type SenderItem = { readonly directive: unknown } | { readonly raw: unknown };

/** The processes under `wrangler dev`: one holds the port, another runs the Workers and is started again when it ends. */
export interface Workers {
  /** Those that run the Workers. */
  pids(): readonly number[];
  /** Ends them at once and resolves when another runs in their place. It may not answer yet. */
  kill(): Promise<void>;
  /** Sends through the second Worker's queue binding. Throws when there is none, or when the queue refused. */
  send(items: readonly SenderItem[]): Promise<void>;
}

const SENDER = "lockstep-sender";
/** By this header workerd's entry takes the name of the Worker that is asked. */
const ROUTE = { "MF-Route-Override": SENDER };
const SENDER_WITHIN_MS = 10_000;
const RESTART_WITHIN_MS = 60_000;
const PROBE_WITHIN_MS = 2000;

export function workersOf(wrangler: Wrangler, port: number): Workers {
  let entry: { readonly pid: number; readonly url: string } | null = null;
  const holdsPort = new RegExp(`--socket-addr=entry=[^ ]*:${port}(?![0-9])`);

  const pids = (): readonly number[] =>
    childrenOf(wrangler.pid)
      .filter(({ command }) => command.includes("workerd serve ") && !holdsPort.test(command))
      .map(({ pid }) => pid);

  /** The port passes requests to the first Worker only, so the sender is asked at workerd's own entry. */
  const findEntry = async (): Promise<{ readonly pid: number; readonly url: string } | undefined> => {
    const running = pids();
    if (entry !== null && running.includes(entry.pid)) return entry;
    for (const pid of running) {
      for (const candidate of listeningPorts(pid)) {
        const url = `http://${LOOPBACK}:${candidate}/`;
        if (await isSender(url)) return (entry = { pid, url });
      }
    }
    return undefined;
  };

  return {
    pids,
    async kill() {
      const killed = pids();
      if (killed.length === 0) throw new Error("no workerd runs the Workers");
      for (const pid of killed) process.kill(pid, "SIGKILL");
      const another = () => (pids().some((pid) => !killed.includes(pid)) ? true : undefined);
      const { tail } = wrangler;
      await waitUntil(another, { what: "a new workerd", withinMs: RESTART_WITHIN_MS, tail });
    },
    async send(items) {
      const { tail } = wrangler;
      const failed = () => (wrangler.exitCode() === null ? null : `the sender is gone${tail()}`);
      const awaited = { what: "the sender", withinMs: SENDER_WITHIN_MS, failed, tail };
      const { url } = await waitUntil(findEntry, awaited);
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...ROUTE },
        body: toWire(
          items.map((item) => ("raw" in item ? { raw: item.raw } : { directive: item.directive })),
        ),
      });
      const text = await response.text();
      if (response.status !== 202) throw new Error(`the sender answered ${response.status}: ${text}`);
    },
  };
}

async function isSender(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { headers: ROUTE, signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
    return (await response.text()).includes(SENDER);
  } catch {
    return false;
  }
}
