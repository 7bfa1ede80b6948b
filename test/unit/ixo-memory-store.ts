import type { IxoStore } from "../../durable-objects/ixo-protocol.ts";
import type { IxoPair } from "../../durable-objects/ixo-request.ts";
import { NEW_IXO_LANE, type IxoLane } from "../../durable-objects/ixo-sequence-state.ts";

/** What the object keeps in SQLite, in maps. */
export class MemoryIxoStore implements IxoStore {
  readonly #lanes = new Map<string, readonly [IxoPair, IxoLane]>();
  readonly #requests = new Map<string, number>();

  atomically<Answer>(work: () => Answer): Answer {
    return work();
  }
  lane(pair: IxoPair): IxoLane {
    return this.#lanes.get(JSON.stringify(pair))?.[1] ?? NEW_IXO_LANE;
  }
  putLane(pair: IxoPair, lane: IxoLane): void {
    this.#lanes.set(JSON.stringify(pair), [pair, lane]);
  }
  lanes(): readonly (readonly [IxoPair, IxoLane])[] {
    return [...this.#lanes.values()];
  }
  requested(pair: IxoPair, requestId: string): number | null {
    return this.#requests.get(JSON.stringify([pair, requestId])) ?? null;
  }
  putRequest(pair: IxoPair, requestId: string, sequence: number): void {
    this.#requests.set(JSON.stringify([pair, requestId]), sequence);
  }
  forgetRequests(pair: IxoPair): void {
    const prefix = JSON.stringify([pair]).slice(0, -1);
    for (const key of this.#requests.keys()) if (key.startsWith(prefix)) this.#requests.delete(key);
  }
}
