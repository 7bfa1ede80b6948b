import type { Failure } from "../../domain/failure.ts";
import type { Outcome } from "../../domain/outcome.ts";

const NONCE_LOW: Failure = { code: "nonce_too_low", message: "model" };
const OCCUPIED: Failure = { code: "nonce_occupied", message: "model" };

export interface Tx {
  readonly hash: string;
  readonly sequence: number;
  /** Its directive; null for a no-op or a foreign one. */
  readonly id: string | null;
}

/** The how-manyth signature of the history; a foreign transaction cannot be outbid. */
function signed({ hash }: Tx): number {
  return hash.startsWith("foreign") ? Number.POSITIVE_INFINITY : Number(hash.slice(1));
}

/** One account's side of a chain, and the network before it: what is truly there, which no lane can see. */
export class ModelChain {
  readonly pool = new Map<number, Tx>();
  readonly mined = new Map<number, Tx & { readonly success: boolean }>();
  /** Sends that were begun and may yet arrive. */
  readonly network: Tx[] = [];
  nonce = 0;
  #foreign = 0;
  readonly #pick: (count: number) => number;

  constructor(pick: (count: number) => number) {
    this.#pick = pick;
  }

  arrive(tx: Tx): Outcome {
    if (this.mined.get(tx.sequence)?.hash === tx.hash) return { kind: "accepted" };
    if (tx.sequence < this.nonce) return { kind: "refused", failure: NONCE_LOW };
    const there = this.pool.get(tx.sequence);
    // What is signed later for one number is signed at a higher fee.
    const outbids = there !== undefined && signed(tx) > signed(there);
    if (there !== undefined && there.hash !== tx.hash && !outbids)
      return { kind: "refused", failure: OCCUPIED };
    this.pool.set(tx.sequence, tx);
    return { kind: "accepted" };
  }

  mayLand({ hash, sequence }: Tx): boolean {
    if (this.mined.get(sequence)?.hash === hash) return true;
    if (this.nonce > sequence) return false;
    return this.pool.get(sequence)?.hash === hash || this.network.some((sent) => sent.hash === hash);
  }

  deliver(): void {
    const [tx] = this.network.splice(this.#pick(this.network.length), 1);
    if (tx !== undefined) this.arrive(tx);
  }

  lose(): void {
    this.network.splice(this.#pick(this.network.length), 1);
  }

  drop(): void {
    const sequences = [...this.pool.keys()];
    const sequence = sequences[this.#pick(sequences.length)];
    if (sequence !== undefined) this.pool.delete(sequence);
  }

  foreign(): void {
    this.#foreign += 1;
    this.pool.set(this.nonce, { hash: `foreign${this.#foreign}`, sequence: this.nonce, id: null });
    this.mine(1);
  }

  mine(count: number): void {
    for (let mined = 0; mined < count; mined += 1) {
      const tx = this.pool.get(this.nonce);
      if (tx === undefined) break;
      this.pool.delete(this.nonce);
      this.mined.set(this.nonce, { ...tx, success: this.#pick(15) !== 0 });
      this.nonce += 1;
    }
  }
}
