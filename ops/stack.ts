import { mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { startAnvil } from "./anvil.ts";
import { ensureDevVars } from "./dev-vars.ts";
import { isFree, LOOPBACK, requireFree } from "./ports.ts";
import { childrenOf, listeningPorts } from "./process-table.ts";
import { waitUntil } from "./wait-until.ts";
import { PROJECT, runWrangler, startWrangler, type Wrangler } from "./wrangler.ts";

export interface StackOptions {
  /** Of the Worker's HTTP API. */
  readonly port: number;
  readonly chainPort: number;
  /** Holds the chain's and the Worker's state, and may be used again: by one stack at a time. */
  readonly stateDir: string;
  /** What the Worker is told as CHAIN_URL, such as a proxy. Default: the chain of `chainPort`. */
  readonly chainUrl?: string | undefined;
  /** Tokens and keys are added here where they are missing. Default: inside `stateDir`. */
  readonly devVars?: string | undefined;
  /** Forgets chain and Worker first. */
  readonly fresh: boolean;
  /** Starts a second Worker that has the queue `directives` bound: see `Stack.send`. */
  readonly withSender: boolean;
  /** False passes what the Worker logs to `log`. */
  readonly quiet: boolean;
  readonly log: (line: string) => void;
  /** Ends a start that is under way, and what it started. */
  readonly signal?: AbortSignal | undefined;
}

/** One message of the sender: a directive as a producer writes it, or any queue body. */
export type SenderItem = { readonly directive: unknown } | { readonly raw: unknown };

export interface Stack {
  readonly url: string;
  /** The chain itself, whatever the Worker was told. */
  readonly chainUrl: string;
  readonly producerToken: string;
  readonly operatorToken: string;
  /** Sends through the second Worker's queue binding. Throws without one, and when the queue refused. */
  send(items: readonly SenderItem[]): Promise<void>;
  /** The processes that run the Workers: not the one that holds the port and passes requests on. */
  workerdPids(): readonly number[];
  /**
   * Ends the Workers at once, as a power cut would: stored state stays, memory and the local queues are lost.
   * Resolves when the Worker answers again.
   */
  killWorker(): Promise<void>;
  /** The last lines that the Worker logged. */
  tail(): string;
  /** Ends every process of the stack and resolves when none is left. May be called again. */
  stop(): Promise<void>;
}

const MIGRATE_WITHIN_MS = 60_000;
const READY_WITHIN_MS = 60_000;
const PROBE_WITHIN_MS = 2000;
const SENDER = "lockstep-sender";

/**
 * Starts a local chain and the Worker with all its bindings.
 * Throws before anything is started when a port is taken; when a part does not come up, ends the others and says why.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { port, chainPort, log, signal } = options;
  const stateDir = resolve(options.stateDir);
  await requireFree(port, "PORT");
  // A CHAIN_URL together with a taken CHAIN_PORT means a chain that runs already.
  const ownChain = await isFree(chainPort, "CHAIN_PORT");
  if (!ownChain && options.chainUrl === undefined) await requireFree(chainPort, "CHAIN_PORT");
  signal?.throwIfAborted();

  if (options.fresh) forget(stateDir);
  mkdirSync(stateDir, { recursive: true });
  const devVars = options.devVars ?? join(stateDir, "dev.vars");
  const tokens = ensureDevVars(devVars);
  const chainUrl = `http://${LOOPBACK}:${chainPort}`;

  const parts: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    for (const part of parts.toReversed()) await part.stop();
  };
  try {
    const migrated = migrate(stateDir, signal);
    // Awaited below; until then its failure is nobody's unhandled rejection.
    migrated.catch(() => undefined);
    parts.push({ stop: () => migrated.catch(() => undefined) });
    if (ownChain) {
      const stateFile = join(stateDir, "chain", "anvil.json");
      parts.push(await startAnvil({ port: chainPort, stateFile, blockTimeSeconds: 1, quiet: true }));
      log(`chain   ${chainUrl}, a block each second`);
    } else log(`chain   ${chainUrl}, which runs already`);
    await migrated;
    const wrangler = startWrangler(devArguments(options, stateDir, devVars, options.chainUrl ?? chainUrl), {
      stateDir,
      ...(options.quiet ? {} : { line: log }),
    });
    parts.push(wrangler);
    const url = `http://${LOOPBACK}:${port}`;
    await ready(url, wrangler, signal);
    log(`worker  ${url}`);
    const workers = new Workers(wrangler, port, options.withSender);
    return {
      url,
      chainUrl,
      producerToken: tokens.producer,
      operatorToken: tokens.operator,
      send: (items) => workers.send(items),
      workerdPids: () => workers.pids(),
      async killWorker() {
        const killed = workers.kill();
        const another = () => (workers.pids().some((pid) => !killed.includes(pid)) ? true : undefined);
        await waitUntil(another, { ...waiting("a new workerd", wrangler), withinMs: READY_WITHIN_MS });
        await ready(url, wrangler, signal);
      },
      tail: wrangler.tail,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Only what a stack wrote: STATE_DIR may be a folder that holds other things. */
function forget(stateDir: string): void {
  for (const entry of ["chain", "v3", "registry", "cache", "logs"]) {
    rmSync(join(stateDir, entry), { recursive: true, force: true });
  }
}

function migrate(stateDir: string, signal: AbortSignal | undefined): Promise<void> {
  const args = ["d1", "migrations", "apply", "LEDGER", "--local", "--persist-to", stateDir];
  return runWrangler([...args, "-c", "wrangler.jsonc"], { stateDir, withinMs: MIGRATE_WITHIN_MS, signal });
}

function devArguments(
  { port, withSender }: StackOptions,
  stateDir: string,
  devVars: string,
  chainUrl: string,
): readonly string[] {
  const sender = withSender ? ["-c", join("ops", "sender", "wrangler.jsonc")] : [];
  const where = ["--local", "--ip", LOOPBACK, "--port", String(port), "--persist-to", stateDir];
  const inputs = ["--env-file", resolve(PROJECT, devVars), "--var", `CHAIN_URL:${chainUrl}`];
  // Inspector port 0 is any free one: two stacks would else meet on the default.
  const quiet = ["--show-interactive-dev-session", "false", "--inspector-port", "0"];
  return ["dev", "-c", "wrangler.jsonc", ...sender, ...where, ...inputs, ...quiet];
}

function waiting(what: string, wrangler: Wrangler) {
  return {
    what,
    tail: wrangler.tail,
    failed: () =>
      wrangler.exitCode() === null ? null : `wrangler dev ended before the Worker answered${wrangler.tail()}`,
  };
}

async function ready(url: string, wrangler: Wrangler, signal: AbortSignal | undefined): Promise<void> {
  const probe = async () => ((await statusOf(`${url}/healthz`)) === 200 ? true : undefined);
  await waitUntil(probe, { ...waiting(`${url}/healthz`, wrangler), withinMs: READY_WITHIN_MS, signal });
}

async function statusOf(url: string): Promise<number | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return null;
  }
}

/** `wrangler dev` runs two workerd: one holds the port, the other runs the Workers and is started again when it ends. */
class Workers {
  readonly #wrangler: Wrangler;
  readonly #port: number;
  readonly #withSender: boolean;
  #entry: { readonly pid: number; readonly url: string } | null = null;

  constructor(wrangler: Wrangler, port: number, withSender: boolean) {
    this.#wrangler = wrangler;
    this.#port = port;
    this.#withSender = withSender;
  }

  pids(): readonly number[] {
    const holdsPort = new RegExp(`--socket-addr=entry=[^ ]*:${this.#port}(?![0-9])`);
    return childrenOf(this.#wrangler.pid)
      .filter(({ command }) => command.includes("workerd serve ") && !holdsPort.test(command))
      .map(({ pid }) => pid);
  }

  /** Answers the processes that it ended. */
  kill(): readonly number[] {
    const pids = this.pids();
    for (const pid of pids) process.kill(pid, "SIGKILL");
    return pids;
  }

  async send(items: readonly SenderItem[]): Promise<void> {
    const { url } = await this.#senderEntry();
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...ROUTE },
      body: JSON.stringify(items),
    });
    const text = await response.text();
    if (response.status !== 202) throw new Error(`the sender answered ${response.status}: ${text}`);
  }

  /** The port passes requests to the first Worker only, so the sender is asked at workerd's own entry. */
  async #senderEntry(): Promise<{ readonly pid: number; readonly url: string }> {
    if (!this.#withSender) throw new Error("the stack was started without a sender: withSender");
    return waitUntil(
      async () => {
        const pids = this.pids();
        if (this.#entry !== null && pids.includes(this.#entry.pid)) return this.#entry;
        for (const pid of pids) {
          for (const port of listeningPorts(pid)) {
            const url = `http://${LOOPBACK}:${port}/`;
            if (await isSender(url)) return (this.#entry = { pid, url });
          }
        }
        return undefined;
      },
      { ...waiting("the sender", this.#wrangler), withinMs: READY_WITHIN_MS },
    );
  }
}

/** By this header workerd's entry takes the name of the Worker that is asked. */
const ROUTE = { "MF-Route-Override": SENDER };

async function isSender(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { headers: ROUTE, signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
    return (await response.text()).includes(SENDER);
  } catch {
    return false;
  }
}
