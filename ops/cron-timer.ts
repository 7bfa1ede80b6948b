/** `wrangler dev` fires no cron by itself: it has a path for each of the platform's events. */
const SCHEDULED = "/cdn-cgi/local/scheduled?cron=*+*+*+*+*&format=json";
const CRON_WITHIN_MS = 60_000;

export interface CronTimer {
  stop(): Promise<void>;
}

/** Runs the Worker's cron once. Throws when it cannot be reached, or when the cron failed. */
export async function fireCron(url: string): Promise<void> {
  const response = await fetch(`${url}${SCHEDULED}`, { signal: AbortSignal.timeout(CRON_WITHIN_MS) });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`the cron answered ${response.status}: ${text}`);
}

/** Runs it again and again, never twice at once, and holds no process up. A Worker that restarts misses its turn. */
export function startCron(url: string, everySeconds: number): CronTimer {
  let running: Promise<void> | null = null;
  const timer = setInterval(() => {
    running ??= fireCron(url)
      .catch(() => undefined)
      .finally(() => (running = null));
  }, everySeconds * 1000);
  timer.unref();
  return {
    stop: () => {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}
