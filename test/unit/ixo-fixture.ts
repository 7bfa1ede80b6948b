import type { Config } from "../../domain/config.ts";
import { IxoProtocol, type IxoClock } from "../../durable-objects/ixo-protocol.ts";
import { readIxoSettings, type IxoEnv, type IxoPair } from "../../durable-objects/ixo-request.ts";
import { MemoryIxoStore } from "./ixo-memory-store.ts";

/** A clock that stands still until it is told. */
export class FakeClock implements IxoClock {
  nowMs = 1_700_000_000_000;
  #waiting: { dueMs: number; resolve: () => void }[] = [];

  readonly now = (): number => this.nowMs;
  readonly wait = (ms: number): Promise<void> =>
    new Promise((resolve) => this.#waiting.push({ dueMs: this.nowMs + ms, resolve }));

  /** Lets everything happen that is due within so long, in its order. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await idle();
    for (;;) {
      const next = this.#waiting.toSorted((left, right) => left.dueMs - right.dueMs)[0];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#waiting = this.#waiting.filter((each) => each !== next);
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.resolve();
      await idle();
    }
    this.nowMs = untilMs;
  }
}

/** Resolves when all that can go on without time has gone on. */
export function idle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

export interface Answer {
  readonly status: number;
  readonly sequence?: number;
  readonly error?: string;
}

/** The object as a client sees it, with its clock and its memory in the test's hand. */
export class IxoBench {
  readonly clock = new FakeClock();
  readonly store = new MemoryIxoStore();
  readonly #env: IxoEnv;
  readonly #signers: Config["signers"];
  #protocol: IxoProtocol;

  constructor(env: IxoEnv = {}, signers: Config["signers"] = new Map()) {
    this.#env = env;
    this.#signers = signers;
    this.#protocol = this.#start();
  }

  #start(): IxoProtocol {
    return new IxoProtocol(this.store, readIxoSettings(this.#env), this.#signers, this.clock);
  }

  /** A new object over the same rows. */
  evict(): void {
    this.#protocol = this.#start();
  }

  async fetch(path: string, init: RequestInit = {}): Promise<{ status: number; body: unknown }> {
    const response = await this.#protocol.fetch(new Request(`http://do${path}`, init));
    return { status: response.status, body: await response.json() };
  }

  async call(body: unknown, signal?: AbortSignal): Promise<Answer> {
    const answer = await this.fetch("/getSignerData", {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    return { status: answer.status, ...(answer.body as object) };
  }

  /** The number that a caller of account 7 on ixo-5 gets. Throws what the client of the SDK would throw. */
  async sequence(chainSequence: number, signal?: AbortSignal): Promise<number> {
    const answer = await this.call({ ...PAIR, chainSequence }, signal);
    if (answer.status !== 200 || answer.sequence === undefined) throw new Error(answer.error);
    return answer.sequence;
  }

  async reset(body?: unknown): Promise<number> {
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    return (await this.fetch("/reset", { method: "POST", ...init })).status;
  }
}

export const PAIR: IxoPair = { chainId: "ixo-5", accountNumber: 7 };
