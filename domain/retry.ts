/** Exponential backoff with full jitter, in seconds: `min(cap, base·2^(attempt−1))`, then a random part of it. */
export interface RetryPolicy {
  readonly baseSeconds: number;
  readonly capSeconds: number;
}

export const RETRY: RetryPolicy = { baseSeconds: 2, capSeconds: 3600 };

/** Cloudflare Queues refuses a longer delay. */
export const PLATFORM_MAX_DELAY_SECONDS = 86_400;

/**
 * Seconds until attempt `attempt + 1`.
 * @param attempt attempts made so far, from 1
 * @param random a number in [0, 1): full jitter, so that many lanes do not come back together
 * @param retryAfterSeconds the other side's own wish: never undercut, and capped by the platform alone
 */
export function retryDelaySeconds(
  attempt: number,
  random: number,
  retryAfterSeconds = 0,
  policy = RETRY,
): number {
  const ceiling = Math.min(
    policy.capSeconds,
    policy.baseSeconds * 2 ** Math.min(30, Math.max(0, attempt - 1)),
  );
  const jittered = Math.ceil(ceiling * random);
  const wished = Number.isFinite(retryAfterSeconds) ? Math.max(0, Math.ceil(retryAfterSeconds)) : 0;
  return Math.min(PLATFORM_MAX_DELAY_SECONDS, Math.max(1, jittered, wished));
}

/** Whole seconds for a queue's `delaySeconds`, from a delay in milliseconds. */
export function queueDelaySeconds(delayMs: number): number {
  return Math.min(PLATFORM_MAX_DELAY_SECONDS, Math.max(0, Math.ceil(delayMs / 1000)));
}

/**
 * Reads a `Retry-After` header: seconds, or an HTTP date. Source: RFC 9110 §10.2.3.
 * Undefined when it is missing or is neither.
 */
export function parseRetryAfterSeconds(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, Math.ceil((atMs - nowMs) / 1000));
}
