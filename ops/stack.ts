import { mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { startAnvil } from "./anvil.ts";
import { fireCron, startCron } from "./cron-timer.ts";
import { ensureDevVars, type WebhookSecrets } from "./dev-vars.ts";
import { LOOPBACK, requireFree } from "./ports.ts";
import { waitUntil } from "./wait-until.ts";
import { workersOf, type SenderItem } from "./workers.ts";
import { runWrangler, startWrangler, type Wrangler } from "./wrangler.ts";

/** A chain that the stack starts; or, where `chainPort` is null, none, since one runs already at `chainUrl`. */
export type ChainOptions =
  | {
      readonly chainPort: number;
      /** What the Worker is told as CHAIN_URL, such as a proxy. Default: the chain of `chainPort`. */
      readonly chainUrl?: string | undefined;
    }
  | { readonly chainPort: null; readonly chainUrl: string };

interface Options {
  /** Of the Worker's HTTP API. */
  readonly port: number;
  /** Holds the chain's and the Worker's state, and may be used again: by one stack at a time. */
  readonly stateDir: string;
  /** What the Worker is told as RECEIVER_URL. Default: what the environment or `devVars` says. */
  readonly receiverUrl?: string | undefined;
  /** A file to which tokens and keys are added where they are missing. Default: one inside `stateDir`. */
  readonly devVars?: string | undefined;
  /** Forgets chain and Worker first. */
  readonly fresh: boolean;
  /** Starts a second Worker that has the queue `directives` bound: see `Stack.send`. */
  readonly withSender: boolean;
  /** How often the Worker's cron runs. Default: each minute, as deployed. */
  readonly cronEverySeconds?: number | undefined;
  /** False passes what the Worker logs to `log`. */
  readonly quiet: boolean;
  readonly log: (line: string) => void;
  /** Ends a start that is under way, and what it started. */
  readonly signal?: AbortSignal | undefined;
}

export type StackOptions = Options & ChainOptions;

export interface Stack {
  readonly url: string;
  /** The chain of `chainPort` itself, whatever the Worker was told; without one, `chainUrl`. */
  readonly chainUrl: string;
  readonly producerToken: string;
  readonly operatorToken: string;
  readonly webhookSecrets: WebhookSecrets;
  /** Sends through the second Worker's queue binding. Throws without one, and when the queue refused. */
  readonly send: (items: readonly SenderItem[]) => Promise<void>;
  /** Runs the Worker's cron now. Throws when it failed. */
  readonly runCron: () => Promise<void>;
  /** The processes that run the Workers: not the one that holds the port and passes requests on. */
  readonly workerdPids: () => readonly number[];
  /**
   * Ends the Workers at once, as a power cut would: stored state stays, memory and the local queues are lost.
   * Resolves when the Worker answers again.
   */
  readonly killWorker: () => Promise<void>;
  /** Why a part of the stack ended by itself, or null while all of them run. */
  readonly failure: () => string | null;
  /** The last lines that the Worker logged. */
  readonly tail: () => string;
  /** Ends every process of the stack and resolves when none is left. May be called again. */
  readonly stop: () => Promise<void>;
}

const MIGRATE_WITHIN_MS = 60_000;
const READY_WITHIN_MS = 60_000;
const PROBE_WITHIN_MS = 2000;
const CRON_EVERY_SECONDS = 60;

/**
 * Starts the Worker with all its bindings, and a local chain unless one runs already.
 * Throws before anything is started when a port is taken; when a part does not come up, ends the others and says why.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { port, log } = options;
  const stateDir = resolve(options.stateDir);
  await requireFree(port, "PORT");
  if (options.chainPort !== null) await requireFree(options.chainPort, "CHAIN_PORT");
  options.signal?.throwIfAborted();

  if (options.fresh) forget(stateDir);
  mkdirSync(stateDir, { recursive: true });
  const devVars = resolve(options.devVars ?? join(stateDir, "dev.vars"));
  const tokens = ensureDevVars(devVars);
  const url = `http://${LOOPBACK}:${port}`;
  const chainUrl = options.chainPort === null ? options.chainUrl : `http://${LOOPBACK}:${options.chainPort}`;

  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const parts: { readonly stop: () => Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    ending.abort(new Error("the stack is being stopped"));
    for (const part of parts.toReversed()) await part.stop();
  };
  let chainEnded: string | null = null;
  try {
    const migrated = migrate(stateDir, signal);
    parts.push({ stop: () => migrated.catch(() => undefined) });
    if (options.chainPort !== null) {
      const stateFile = join(stateDir, "chain", "anvil.json");
      const anvil = await startAnvil({
        port: options.chainPort,
        stateFile,
        blockTimeSeconds: 1,
        quiet: true,
      });
      parts.push({ stop: () => anvil.stop() });
      void anvil.ended.then((sentence) => (chainEnded = sentence));
    }
    log(
      `chain   ${chainUrl}${options.chainPort === null ? ", which runs already" : ", a block each second"}`,
    );
    await migrated;
    const wrangler = startWrangler(devArguments(options, stateDir, devVars), {
      stateDir,
      env: {
        CHAIN_URL: options.chainUrl ?? chainUrl,
        ...(options.receiverUrl === undefined ? {} : { RECEIVER_URL: options.receiverUrl }),
      },
      ...(options.quiet ? {} : { line: log }),
    });
    parts.push(wrangler);
    await ready(url, wrangler, signal);
    parts.push(startCron(url, options.cronEverySeconds ?? CRON_EVERY_SECONDS));
    log(`worker  ${url}`);
    const workers = workersOf(wrangler, port);
    return {
      url,
      chainUrl,
      producerToken: tokens.producer,
      operatorToken: tokens.operator,
      webhookSecrets: tokens.webhookSecrets,
      async send(items) {
        if (!options.withSender) throw new Error("the stack was started without a sender: withSender");
        await workers.send(items);
      },
      runCron: () => fireCron(url),
      workerdPids: () => workers.pids(),
      async killWorker() {
        await workers.kill();
        await ready(url, wrangler, signal);
      },
      failure: () => chainEnded ?? endOf(wrangler),
      tail: wrangler.tail,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Only what a stack wrote: the folder may hold other things. */
function forget(stateDir: string): void {
  for (const entry of ["chain", "v3", "registry", "cache", "logs"]) {
    rmSync(join(stateDir, entry), { recursive: true, force: true });
  }
}

/** Whoever awaits the answer hears of a failure; nobody has to. */
function migrate(stateDir: string, signal: AbortSignal): Promise<void> {
  const args = ["d1", "migrations", "apply", "LEDGER", "--local", "--persist-to", stateDir];
  const run = runWrangler([...args, "-c", "wrangler.jsonc"], {
    stateDir,
    withinMs: MIGRATE_WITHIN_MS,
    signal,
  });
  run.catch(() => undefined);
  return run;
}

function devArguments(
  { port, withSender }: StackOptions,
  stateDir: string,
  devVars: string,
): readonly string[] {
  const sender = withSender ? ["-c", join("ops", "sender", "wrangler.jsonc")] : [];
  const where = ["--local", "--ip", LOOPBACK, "--port", String(port), "--persist-to", stateDir];
  // Inspector port 0 is any free one: two stacks would meet on the default.
  const quiet = ["--show-interactive-dev-session", "false", "--inspector-port", "0"];
  return ["dev", "-c", "wrangler.jsonc", ...sender, ...where, "--env-file", devVars, ...quiet];
}

async function ready(url: string, wrangler: Wrangler, signal: AbortSignal): Promise<void> {
  await waitUntil(async () => ((await isHealthy(url)) ? true : undefined), {
    what: `an answer of ${url}/healthz`,
    withinMs: READY_WITHIN_MS,
    signal,
    failed: () => endOf(wrangler),
    tail: wrangler.tail,
  });
}

function endOf(wrangler: Wrangler): string | null {
  const code = wrangler.exitCode();
  return code === null ? null : `wrangler dev ended with exit code ${code}${wrangler.tail()}`;
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
