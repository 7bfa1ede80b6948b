import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LOOPBACK } from "../ops/ports.ts";
import { waitUntil } from "../ops/wait-until.ts";
import { startWrangler } from "../ops/wrangler.ts";

export interface DevWorker {
  readonly url: string;
  /** The last lines that it wrote, for an error's end. */
  readonly tail: () => string;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;

/**
 * Starts a Worker of the bench as `npm start` starts Lockstep, so that what lies around the two is the same. Resolves
 * when `/healthz` answers.
 */
export async function startDevWorker(options: {
  /** Beside this file. */
  readonly config: string;
  readonly port: number;
  /** Of which no other Worker may have the same objects open. */
  readonly stateDir: string;
  readonly devVars: string;
  readonly env?: Readonly<Record<string, string>>;
}): Promise<DevWorker> {
  const { config, port, stateDir, devVars, env = {} } = options;
  mkdirSync(stateDir, { recursive: true });
  const where = ["--local", "--ip", LOOPBACK, "--port", String(port), "--persist-to", stateDir];
  const quiet = ["--show-interactive-dev-session", "false", "--inspector-port", "0"];
  const wrangler = startWrangler(
    ["dev", "-c", join("bench", config), ...where, "--env-file", devVars, ...quiet],
    { stateDir, env },
  );
  const url = `http://${LOOPBACK}:${port}`;
  try {
    await waitUntil(async () => ((await isHealthy(url)) ? true : undefined), {
      what: `an answer of ${url}/healthz`,
      withinMs: READY_WITHIN_MS,
      failed: () => (wrangler.exitCode() === null ? null : `wrangler dev ended${wrangler.tail()}`),
      tail: wrangler.tail,
    });
  } catch (error) {
    await wrangler.stop();
    throw error;
  }
  return { url, tail: wrangler.tail, stop: () => wrangler.stop() };
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
