import type { Failure } from "../../domain/failure.ts";
import type { Outcome } from "../../domain/outcome.ts";

const NONCE_LOW: Failure = { code: "nonce_too_low", message: "model" };
const MISMATCH: Failure = { code: "nonce_too_high", message: "model" };
const LATE: Failure = { code: "validity_expired", message: "model" };
const OCCUPIED: Failure = { code: "nonce_occupied", message: "model" };

export interface Tx {
  readonly hash: string;
  readonly sequence: number;
  /** Its directive; null for a no-op or a foreign one. */
  readonly id: string | null;
  /** The last block that may hold it. */
  readonly validUntil: number | null;
}

/** The how-manyth signature of the history; a foreign transaction cannot be outbid. */
function signed({ hash }: Tx): number {
  return hash.startsWith("foreign") ? Number.POSITIVE_INFINITY : Number(hash.slice(1));
}

interface Mined extends Tx {
  readonly success: boolean;
  readonly block: number;
}

/** Blocks on top of a block, itself included, that make it final. */
const DEPTH = 3;

/** One account's side of a chain, and the network before it: what is truly there, which no lane can see. */
export class ModelChain {
  readonly pool = new Map<number, Tx>();
  readonly mined = new Map<number, Mined>();
  /** Sends that were begun and may yet arrive. */
  readonly network: Tx[] = [];
  /** The next sequence as of the latest block. */
  nonce = 0;
  height = 0;
  /** As Cosmos: strict order in the pool, no replacement, and a height until which each transaction is valid. */
  readonly strict: boolean;
  #foreign = 0;
  readonly #pick: (count: number) => number;

  constructor(pick: (count: number) => number, strict: boolean) {
    this.#pick = pick;
    this.strict = strict;
  }

  get #finalBlock(): number {
    return this.height - (DEPTH - 1);
  }

  /** The next sequence as of the latest final block. */
  get finalSequence(): number {
    let sequence = 0;
    for (
      let mined = this.mined.get(0);
      mined !== undefined && mined.block <= this.#finalBlock;
      mined = this.mined.get(sequence)
    )
      sequence += 1;
    return sequence;
  }

  /** Everything as of the latest final block, as one node would tell it. */
  finalView(hashes: readonly string[]): {
    block: number;
    sequence: number;
    receipts: { hash: string; block: number; success: boolean }[];
  } {
    const block = this.#finalBlock;
    const final = [...this.mined.values()].filter((tx) => tx.block <= block && hashes.includes(tx.hash));
    return {
      block,
      sequence: this.finalSequence,
      receipts: final.map(({ hash, block: at, success }) => ({ hash, block: at, success })),
    };
  }

  /** Who used the final sequences up. */
  finalUsers(): { sequence: number; hash: string }[] {
    return [...this.mined.values()]
      .filter(({ block }) => block <= this.#finalBlock)
      .map(({ sequence, hash }) => ({ sequence, hash }));
  }

  arrive(tx: Tx): Outcome {
    if (this.mined.get(tx.sequence)?.hash === tx.hash) return { kind: "accepted" };
    if (tx.sequence < this.nonce) return { kind: "refused", failure: NONCE_LOW };
    const there = this.pool.get(tx.sequence);
    if (this.strict && there?.hash !== tx.hash) {
      const late = tx.validUntil !== null && tx.validUntil <= this.height;
      let expected = this.nonce;
      while (this.pool.has(expected)) expected += 1;
      if (late || tx.sequence !== expected) return { kind: "refused", failure: late ? LATE : MISMATCH };
    }
    // What is signed later for one number is signed at a higher fee.
    const outbids = there !== undefined && signed(tx) > signed(there);
    if (there !== undefined && there.hash !== tx.hash && !outbids)
      return { kind: "refused", failure: OCCUPIED };
    this.pool.set(tx.sequence, tx);
    return { kind: "accepted" };
  }

  /** Whether a transaction is on the chain, or could still come there. */
  mayLand({ hash, sequence, validUntil }: Tx): boolean {
    if (this.mined.get(sequence)?.hash === hash) return true;
    if (this.finalSequence > sequence || (validUntil !== null && validUntil <= this.#finalBlock))
      return false;
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
    this.pool.set(this.nonce, {
      hash: `foreign${this.#foreign}`,
      sequence: this.nonce,
      id: null,
      validUntil: null,
    });
    this.mine(1);
  }

  /** So many blocks, each with the account's next transaction if the pool has it. */
  mine(count: number): void {
    for (let mined = 0; mined < count; mined += 1) {
      this.height += 1;
      const tx = this.pool.get(this.nonce);
      if (tx === undefined) continue;
      this.pool.delete(this.nonce);
      if (tx.validUntil !== null && tx.validUntil < this.height) {
        // What follows an expired transaction fails its recheck, and leaves the pool too.
        this.pool.clear();
        continue;
      }
      this.mined.set(this.nonce, { ...tx, block: this.height, success: this.#pick(15) !== 0 });
      this.nonce += 1;
    }
  }

  /** The youngest blocks, less than final, are gone; what they held is back in the pool, or nowhere. */
  reorg(): void {
    const depth = 1 + this.#pick(DEPTH - 1);
    for (const [sequence, { hash, id, block, validUntil }] of this.mined) {
      if (block <= this.height - depth) continue;
      this.mined.delete(sequence);
      this.nonce = Math.min(this.nonce, sequence);
      if (this.#pick(2) === 0 && !this.pool.has(sequence))
        this.pool.set(sequence, { hash, sequence, id, validUntil });
    }
  }
}
