import { DurableObject } from "cloudflare:workers";
import type { CallersRun } from "../reports.ts";
import { faultsOf } from "./lane-runs.ts";

interface Entry {
  readonly sequence: number;
  readonly touchedMs: number;
}

interface Ask {
  readonly chainId: string;
  readonly accountNumber: number;
  /** The account's sequence as the caller read it from the chain. */
  readonly chainSequence: number;
}

const KEY = "sequences";
/** A stored sequence that was touched longer ago is not believed. */
const FRESH_MS = 7000;

/**
 * The algorithm that Lockstep is measured against: one object for all accounts, one mutex over all callers, a wait of
 * `staggerMs` inside it. The chain's sequence is given when nothing is stored, when what is stored was not touched for
 * 7 s, or when the chain is ahead; else the stored one. One JSON value holds every account. Written from a
 * description of its behaviour; it has the faults of the original, and serves as a baseline only.
 */
export class Stagger extends DurableObject {
  #last: Promise<unknown> = Promise.resolve();
  #givenMs = 0;

  /** Resolves with a sequence, when the turn of this caller has come. */
  getSignerData(ask: Ask, staggerMs: number): Promise<{ readonly sequence: number }> {
    const turn = this.#last.then(() => this.#give(ask, staggerMs));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #give({ chainId, accountNumber, chainSequence }: Ask, staggerMs: number) {
    const waitMs = this.#givenMs + staggerMs - Date.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const all = (await this.ctx.storage.get<Record<string, Entry>>(KEY)) ?? {};
    const account = `${chainId}/${accountNumber}`;
    const stored = all[account];
    const believed =
      stored !== undefined && Date.now() - stored.touchedMs <= FRESH_MS && chainSequence <= stored.sequence;
    const sequence = believed ? stored.sequence : chainSequence;
    await this.ctx.storage.put(KEY, { ...all, [account]: { sequence: sequence + 1, touchedMs: Date.now() } });
    this.#givenMs = Date.now();
    return { sequence };
  }
}

/** `callers` ask at the same time for one sequence each of one account whose transactions all stay pending. */
export async function askStagger(
  object: Pick<Stagger, "getSignerData">,
  { callers, staggerMs }: { readonly callers: number; readonly staggerMs: number },
): Promise<CallersRun> {
  const ask = { chainId: "eip155:31337", accountNumber: 7, chainSequence: 0 };
  // The very first caller waits for nobody.
  await object.getSignerData(ask, staggerMs);
  const begunMs = performance.now();
  const latencies: number[] = [];
  const given = await Promise.all(
    Array.from({ length: callers }, async () => {
      const { sequence } = await object.getSignerData(ask, staggerMs);
      latencies.push(performance.now() - begunMs);
      return sequence;
    }),
  );
  return { sequences: given.length, ms: performance.now() - begunMs, latencies, ...faultsOf(given) };
}
