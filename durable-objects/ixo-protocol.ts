// In:  requests of clients of the ixo SDK, which bind this class as their SEQUENCE_MANAGER: see docs/ixo.md.
// Out: numbers. Such a client signs and broadcasts by itself, and never says what became of a number.
// On failure: { error } with 400, 404, 405, 409, 500 or 503, on all of which the client throws. No number is used up.
import type { Config } from "../domain/config.ts";
import { unreachable, type Result } from "../domain/result.ts";
import {
  transition,
  type IxoEvent,
  type IxoLane,
  type IxoRefusal,
  type IxoStep,
} from "./ixo-sequence-state.ts";
import {
  readResetRequest,
  readSignerDataRequest,
  type IxoPair,
  type IxoSettings,
  type SignerDataRequest,
} from "./ixo-request.ts";
import type { IxoStore } from "./ixo-storage.ts";

/** Time, from outside. `wait` resolves after so many milliseconds. */
export interface IxoClock {
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<void>;
}

/** So many calls may wait for one pair: more are refused rather than kept in memory. */
const MAX_WAITING = 1000;

const METHODS: ReadonlyMap<string, string> = new Map([
  ["/getSignerData", "POST"],
  ["/reset", "POST"],
  ["/status", "GET"],
]);

/**
 * Serves the wire protocol of the ixo SDK's sequence manager from any object: a pair's numbers are in the object
 * that its clients chose. Pairs share nothing but the object, and no state is touched across an `await`.
 */
export class IxoProtocol {
  readonly #store: IxoStore;
  readonly #settings: Result<IxoSettings, string>;
  readonly #signers: Config["signers"];
  readonly #clock: IxoClock;
  /** First come, first served within a pair: the last of each line, and its length. */
  readonly #lines = new Map<string, { last: Promise<unknown>; length: number }>();

  constructor(
    store: IxoStore,
    settings: Result<IxoSettings, string>,
    signers: Config["signers"],
    clock: IxoClock,
  ) {
    this.#store = store;
    this.#settings = settings;
    this.#signers = signers;
    this.#clock = clock;
  }

  async fetch(request: Request): Promise<Response> {
    if (!this.#settings.ok) return refusal(500, this.#settings.error);
    const settings = this.#settings.value;
    const { pathname } = new URL(request.url);
    const method = METHODS.get(pathname);
    if (method === undefined) return refusal(404, `there is nothing at ${pathname}`);
    if (request.method !== method) {
      return refusal(405, `${pathname} takes ${method}`, { allow: method });
    }
    switch (pathname) {
      case "/getSignerData":
        return this.#getSignerData(await request.text(), request.signal, settings);
      case "/reset":
        return this.#reset(await request.text(), settings);
      default:
        return this.#status(settings);
    }
  }

  async #getSignerData(text: string, caller: AbortSignal, settings: IxoSettings): Promise<Response> {
    const read = readSignerDataRequest(text);
    if (!read.ok) return refusal(400, read.error);
    const asked = read.value;
    const { pair, chainSequence, requestId } = asked;
    if (this.#signsOn(pair.chainId)) {
      return refusal(409, `Lockstep signs for an account on ${pair.chainId} itself: send it directives instead`);
    }
    const line = this.#line(pair);
    if (line.length >= MAX_WAITING) return refusal(503, `${MAX_WAITING} calls wait for this account already`);

    // At once, even if the call then waits: what the reading says of the chain holds now, not after the wait.
    const known = this.#store.atomically(() => {
      const step = this.#step(pair, { kind: "reading", chainSequence }, settings);
      if (!step.ok) return step;
      const sequence = requestId === null ? null : this.#store.requested(pair, requestId);
      return { ok: true, value: sequence } as const;
    });
    if (!known.ok) return refused(known.error);
    if (known.value !== null) return signerData(pair, known.value);

    line.length += 1;
    const answer = line.last.then(() => this.#inTurn(asked, caller, settings));
    line.last = answer.then(
      () => this.#leave(pair),
      () => this.#leave(pair),
    );
    return answer;
  }

  /** The head of the line: nobody else is given a number of this pair until it resolves. */
  async #inTurn(asked: SignerDataRequest, caller: AbortSignal, settings: IxoSettings): Promise<Response> {
    for (;;) {
      // Who has gone uses no number up: from here to the answer nothing is awaited.
      if (caller.aborted) return refusal(499, "the caller has gone");
      const granted = this.#store.atomically(() => this.#grant(asked, settings));
      if (granted.ok) return signerData(asked.pair, granted.value);
      if (granted.error.kind !== "early") return refused(granted.error);
      await this.#clock.wait(granted.error.waitMs);
    }
  }

  #grant(
    { pair, chainSequence, requestId }: SignerDataRequest,
    settings: IxoSettings,
  ): Result<number, IxoRefusal> {
    // The same request may have waited in front of this one.
    const known = requestId === null ? null : this.#store.requested(pair, requestId);
    if (known !== null) return { ok: true, value: known };
    const step = this.#step(pair, { kind: "grant", chainSequence }, settings);
    if (!step.ok) return step;
    const { sequence } = step.value;
    if (sequence === null) throw new Error("a grant gives a number");
    if (requestId !== null) this.#store.putRequest(pair, requestId, sequence, this.#clock.now());
    return { ok: true, value: sequence };
  }

  #reset(text: string, settings: IxoSettings): Response {
    const read = readResetRequest(text);
    if (!read.ok) return refusal(400, read.error);
    const { value } = read;
    const pairs = this.#store.atomically(() => {
      const chosen = value === "every pair" ? this.#store.lanes().map(([pair]) => pair) : [value];
      for (const pair of chosen) {
        this.#step(pair, { kind: "reset" }, settings);
        this.#store.forgetRequests(pair);
      }
      return chosen.length;
    });
    return Response.json({ message: "Sequence data reset", pairs });
  }

  /** `data` is by chain id and account number. Built from entries: a chain may have the name of a property. */
  #status({ minDelayMs }: IxoSettings): Response {
    const chains = new Map<string, [string, unknown][]>();
    for (const [{ chainId, accountNumber }, lane] of this.#store.lanes()) {
      if (lane.counter === null) continue;
      const accounts = chains.get(chainId) ?? [];
      accounts.push([String(accountNumber), viewOf(lane, lane.counter)]);
      chains.set(chainId, accounts);
    }
    const data = Object.fromEntries([...chains].map(([id, accounts]) => [id, Object.fromEntries(accounts)]));
    return Response.json({ data, minDelayMs });
  }

  #step(pair: IxoPair, event: IxoEvent, settings: IxoSettings): Result<IxoStep, IxoRefusal> {
    const before = this.#store.lane(pair);
    const step = transition(before, event, { nowMs: this.#clock.now(), ...settings });
    if (!step.ok) return step;
    const { lane, fellBack } = step.value;
    if (lane !== before) this.#store.putLane(pair, lane);
    if (fellBack !== null) console.warn(JSON.stringify({ at: "ixo.fell-back", ...pair, ...fellBack }));
    return step;
  }

  #signsOn(chainId: string): boolean {
    for (const { account } of this.#signers.values()) {
      if (account.chain === `cosmos:${chainId}`) return true;
    }
    return false;
  }

  #line(pair: IxoPair): { last: Promise<unknown>; length: number } {
    const key = keyOf(pair);
    const line = this.#lines.get(key) ?? { last: Promise.resolve(), length: 0 };
    this.#lines.set(key, line);
    return line;
  }

  #leave(pair: IxoPair): void {
    const line = this.#line(pair);
    line.length -= 1;
    if (line.length === 0) this.#lines.delete(keyOf(pair));
  }
}

/** No chain id has a space. */
function keyOf({ chainId, accountNumber }: IxoPair): string {
  return `${accountNumber} ${chainId}`;
}

function viewOf({ grantedAtMs }: IxoLane, counter: NonNullable<IxoLane["counter"]>): unknown {
  const updatedMs = Math.max(counter.chainSinceMs, grantedAtMs ?? 0);
  return {
    sequence: counter.next,
    updated: new Date(updatedMs).toISOString(),
    chainSequence: counter.chain,
    unsettled: counter.next - counter.chain,
    oldestUnsettledSince:
      counter.oldestSinceMs === null ? null : new Date(counter.oldestSinceMs).toISOString(),
  };
}

function signerData({ chainId, accountNumber }: IxoPair, sequence: number): Response {
  return Response.json({ accountNumber, sequence, chainId });
}

function refused(why: IxoRefusal): Response {
  switch (why.kind) {
    case "early":
      return refusal(503, `the next number is due in ${why.waitMs} ms`);
    case "implausible":
      return refusal(
        409,
        `chainSequence is ${why.ahead} ahead of the next sequence ${why.next}, more than an account can have made meanwhile: if the chain says so, POST /reset for this account`,
      );
    default:
      return unreachable(why);
  }
}

function refusal(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error }, { status, headers });
}
