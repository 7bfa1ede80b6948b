// In:  requests of clients of the ixo SDK, which bind this class as their SEQUENCE_MANAGER: see docs/ixo.md.
// Out: numbers. Such a client signs and broadcasts by itself, and never says what became of a number.
// On failure: { error } with 400, 404, 405, 409, 500 or 503, on all of which the client throws. No number is used up.
import type { Config } from "../domain/config.ts";
import { ok, type Result } from "../domain/result.ts";
import { errorAnswer, refusedAnswer, signerDataAnswer, statusAnswer } from "./ixo-answer.ts";
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

/** What the protocol keeps. Each method costs a few rows, however many pairs and numbers there are. */
export interface IxoStore {
  /** Runs the work as one transaction, synchronously. */
  atomically<Answer>(work: () => Answer): Answer;
  lane(pair: IxoPair): IxoLane;
  putLane(pair: IxoPair, lane: IxoLane): void;
  lanes(): readonly (readonly [IxoPair, IxoLane])[];
  /** The number that the request was given, if it was seen within the retention. */
  requested(pair: IxoPair, requestId: string): number | null;
  putRequest(pair: IxoPair, requestId: string, sequence: number, nowMs: number): void;
  forgetRequests(pair: IxoPair): void;
}

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
    if (!this.#settings.ok) return errorAnswer(500, this.#settings.error);
    const settings = this.#settings.value;
    const { pathname } = new URL(request.url);
    const method = METHODS.get(pathname);
    if (method === undefined) return errorAnswer(404, `there is nothing at ${pathname}`);
    if (request.method !== method) {
      return errorAnswer(405, `${pathname} takes ${method}`, { allow: method });
    }
    switch (pathname) {
      case "/getSignerData":
        return this.#getSignerData(await request.text(), request.signal, settings);
      case "/reset":
        return this.#reset(await request.text(), settings);
      default:
        return statusAnswer(this.#store.lanes(), settings.minDelayMs);
    }
  }

  async #getSignerData(text: string, caller: AbortSignal, settings: IxoSettings): Promise<Response> {
    const read = readSignerDataRequest(text);
    if (!read.ok) return errorAnswer(400, read.error);
    const asked = read.value;
    const { pair, chainSequence, requestId } = asked;
    if (this.#signsOn(pair.chainId)) {
      return errorAnswer(
        409,
        `Lockstep signs for an account on ${pair.chainId} itself: send it directives instead`,
      );
    }
    const waiting = this.#lines.get(keyOf(pair))?.length ?? 0;
    if (waiting >= MAX_WAITING) return errorAnswer(503, `${waiting} calls wait for this account already`);

    // At once, even if the call then waits: what the reading says of the chain holds now, not after the wait.
    const known = this.#store.atomically((): Result<number | null, IxoRefusal> => {
      const step = this.#step(pair, { kind: "reading", chainSequence }, settings);
      if (!step.ok) return step;
      return ok(requestId === null ? null : this.#store.requested(pair, requestId));
    });
    if (!known.ok) return refusedAnswer(known.error);
    if (known.value !== null) return signerDataAnswer(pair, known.value);
    return this.#queue(pair, () => this.#inTurn(asked, caller, settings));
  }

  /** Runs the work when all that came earlier for the pair has ended, however it ended. */
  #queue(pair: IxoPair, work: () => Promise<Response>): Promise<Response> {
    const key = keyOf(pair);
    const line = this.#lines.get(key) ?? { last: Promise.resolve(), length: 0 };
    this.#lines.set(key, line);
    line.length += 1;
    const answer = line.last.then(work);
    const leave = (): void => {
      line.length -= 1;
      if (line.length === 0) this.#lines.delete(key);
    };
    line.last = answer.then(leave, leave);
    return answer;
  }

  /** The head of the line: nobody else is given a number of this pair until it resolves. */
  async #inTurn(asked: SignerDataRequest, caller: AbortSignal, settings: IxoSettings): Promise<Response> {
    for (;;) {
      // Who has gone uses no number up: from here to the answer nothing is awaited.
      if (caller.aborted) return errorAnswer(499, "the caller has gone");
      const granted = this.#store.atomically(() => this.#grant(asked, settings));
      if (granted.ok) return signerDataAnswer(asked.pair, granted.value);
      if (granted.error.kind !== "early") return refusedAnswer(granted.error);
      await this.#clock.wait(granted.error.waitMs);
    }
  }

  #grant(
    { pair, chainSequence, requestId }: SignerDataRequest,
    settings: IxoSettings,
  ): Result<number, IxoRefusal> {
    // The same request may have waited in front of this one.
    const known = requestId === null ? null : this.#store.requested(pair, requestId);
    if (known !== null) return ok(known);
    const step = this.#step(pair, { kind: "grant", chainSequence }, settings);
    if (!step.ok) return step;
    const { sequence } = step.value;
    if (sequence === null) throw new Error("a grant gives a number");
    if (requestId !== null) this.#store.putRequest(pair, requestId, sequence, this.#clock.now());
    return ok(sequence);
  }

  #reset(text: string, settings: IxoSettings): Response {
    const read = readResetRequest(text);
    if (!read.ok) return errorAnswer(400, read.error);
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
}

/** No chain id has a space. */
function keyOf({ chainId, accountNumber }: IxoPair): string {
  return `${accountNumber} ${chainId}`;
}
