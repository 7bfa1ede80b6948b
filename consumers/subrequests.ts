/**
 * Calls of Durable Objects, sends to queues, statements of D1 and fetches of one invocation. The paid plan gives it
 * 10,000, https://developers.cloudflare.com/workers/platform/limits/#subrequests, and refuses all that come after,
 * the settlement of what was done too. Fewer, for what the platform counts besides.
 */
const MAX_SUBREQUESTS = 9000;

/**
 * The subrequests of one invocation. Whoever begins what must be ended takes what ends it too, so that whatever was
 * done can be settled.
 */
export class Subrequests {
  #left: number;

  /** @param kept what the invocation needs at its end */
  constructor(kept: number) {
    this.#left = MAX_SUBREQUESTS - kept;
  }

  /** All of them, or none: then nothing may begin. */
  take(count: number): boolean {
    if (count > this.#left) return false;
    this.#left -= count;
    return true;
  }
}
