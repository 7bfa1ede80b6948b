import type { Evidence } from "../../domain/lane.ts";

export type BlockReceipt = Evidence["receipts"][number];

/** A block by which evidence is read: everything below it is what it is for as long as its hash is. */
export interface Anchor {
  readonly number: number;
  readonly hash: string;
}

/**
 * The receipts of blocks, read once for all lanes of a chain that are looked up together. They are kept by the anchor
 * above them: a lane that found another anchor, on the other side of a reorganization, reads its own.
 */
export class SharedBlocks {
  /** So many lanes share what one reads: the more there are, the sooner a whole block is cheaper than its hashes. */
  readonly lanes: number;
  readonly #receipts = new Map<string, Promise<readonly BlockReceipt[] | null>>();

  constructor(lanes: number) {
    this.lanes = Math.max(1, lanes);
  }

  /** Null where the block's receipts are not to be had. */
  receipts(
    anchor: Anchor,
    number: number,
    read: () => Promise<readonly BlockReceipt[] | null>,
  ): Promise<readonly BlockReceipt[] | null> {
    const key = `${anchor.hash}/${number}`;
    const known = this.#receipts.get(key);
    if (known !== undefined) return known;
    const reading = read();
    this.#receipts.set(key, reading);
    return reading;
  }
}
