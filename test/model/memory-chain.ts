import type {
  Broadcaster,
  Candidate,
  Preflight,
  Signed,
  SignRequest,
  Verdict,
} from "../../consumers/broadcasters/broadcaster.ts";
import type { Failure } from "../../domain/failure.ts";
import type { Evidence } from "../../domain/lane.ts";
import type { Outcome } from "../../domain/outcome.ts";
import { ok, type Result } from "../../domain/result.ts";

interface Landed extends Signed {
  readonly sequence: number;
}

/**
 * A chain in memory for tests of consumers: it takes what comes in sequence order at once, and remembers every
 * send. `step` is called around each operation: a test crashes the consumer there. The real chain is in the
 * pipeline tests.
 */
export class MemoryChain implements Broadcaster<null> {
  readonly landed: Landed[] = [];
  readonly sends: string[] = [];
  readonly #pool = new Map<number, Landed>();
  readonly #bySequence = new Map<string, number>();
  readonly #step: (at: string) => void;
  outage: Failure | null = null;
  /** The node has pruned them, or not indexed them yet. */
  hideReceipts = false;
  /** By directive id. */
  readonly refusals = new Map<string, Failure>();
  /** Answers of the next sends, by position; undefined sends it for real. */
  answers: (Outcome | undefined)[] = [];

  constructor(step: (at: string) => void = () => undefined) {
    this.#step = step;
  }

  async preflight(candidates: readonly Candidate[]): Promise<Preflight<null>> {
    this.#step("preflight");
    if (this.outage !== null) return { kind: "outage", failure: this.outage };
    const verdicts = new Map(
      candidates.map(({ id }): [string, Verdict] => {
        const failure = this.refusals.get(id);
        return [id, failure === undefined ? { kind: "pass", gas: 21_000n } : { kind: "refused", failure }];
      }),
    );
    return { kind: "ready", reading: { sequence: this.landed.length }, terms: null, verdicts };
  }

  async sign(_terms: null, requests: readonly SignRequest[]): Promise<Result<readonly Signed[], Failure>> {
    this.#step("sign");
    return ok(
      requests.map(({ sequence, action }) => {
        const to = action?.action.type === "evm.transaction" ? action.action.to : "noop";
        const hash = `${sequence}:${to}`;
        this.#bySequence.set(hash, sequence);
        return { hash, raw: hash };
      }),
    );
  }

  async send(transactions: readonly Signed[]): Promise<ReadonlyMap<string, Outcome>> {
    const outcomes = new Map<string, Outcome>();
    this.#step("before send");
    for (const signed of transactions) {
      const answer = this.answers.shift();
      outcomes.set(signed.hash, answer ?? this.#take(signed));
      this.#step("after send of one");
    }
    return outcomes;
  }

  #take(signed: Signed): Outcome {
    this.sends.push(signed.hash);
    const sequence = this.#bySequence.get(signed.hash) ?? -1;
    if (sequence < this.landed.length) {
      if (this.landed[sequence]?.hash === signed.hash) return { kind: "accepted" };
      return { kind: "refused", failure: { code: "nonce_too_low", message: "memory" } };
    }
    this.#pool.set(sequence, { ...signed, sequence });
    for (
      let next = this.#pool.get(this.landed.length);
      next !== undefined;
      next = this.#pool.get(this.landed.length)
    )
      this.landed.push(next);
    return { kind: "accepted" };
  }

  async usersOf(sequences: readonly number[]) {
    return ok(
      this.landed
        .filter(({ sequence }) => sequences.includes(sequence))
        .map(({ sequence, hash }) => ({ sequence, hash })),
    );
  }

  async lookUp(hashes: readonly string[]): Promise<Result<Evidence, Failure>> {
    this.#step("lookUp");
    const receipts = this.landed
      .filter(({ hash }) => !this.hideReceipts && hashes.includes(hash))
      .map(({ hash }) => ({ hash, block: 1, success: true }));
    return ok({ block: 1, sequence: this.landed.length, looked: hashes, receipts, foreign: [] });
  }
}
