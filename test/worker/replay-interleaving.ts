import type { LedgerDatabase } from "../../dlq/ledger.ts";
import type { ReplayTargets } from "../../dlq/replay-send.ts";

/** What becomes of a call: it works, its answer is lost, it never arrives, or the caller dies before it or after it. */
export type Fate = "works" | "lost" | "refused" | "dies before" | "dies after";

/**
 * One caller among several, each of whose calls waits until it is let through: the interleaving, and every crash, is
 * the test's choice. A dead one never goes on.
 */
export class Caller {
  #ended = false;
  #dead = false;
  /** Calls that wait to be let through, and how many were let through and have not answered. */
  readonly #waiting: ((fate: Fate) => void)[] = [];
  #underWay = 0;
  #changed: () => void = () => undefined;

  get isWaiting(): boolean {
    return !this.#dead && this.#waiting.length > 0;
  }

  start(work: (caller: Caller) => Promise<unknown>): void {
    const end = () => {
      this.#ended = true;
      this.#changed();
    };
    void work(this).then(end, end);
  }

  /** Until the caller can go no further by itself. */
  async rest(): Promise<void> {
    for (;;) {
      // What an answer sets in motion without a call of its own.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (this.#dead || this.#ended || (this.#underWay === 0 && this.#waiting.length > 0)) return;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  async let(fate: Fate): Promise<void> {
    this.#waiting.shift()?.(fate);
    await this.rest();
  }

  async call<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const fate = await new Promise<Fate>((resolve) => {
      this.#waiting.push(resolve);
      this.#changed();
    });
    this.#underWay += 1;
    try {
      return await this.#meet(fate, work);
    } finally {
      this.#underWay -= 1;
      this.#changed();
    }
  }

  async #meet<Answer>(fate: Fate, work: () => Promise<Answer>): Promise<Answer> {
    switch (fate) {
      case "works":
        return work();
      case "lost":
        await work();
        throw new Error("the answer is lost");
      case "refused":
        throw new Error("the call never arrives");
      case "dies after":
        await work();
        return this.#die();
      case "dies before":
        return this.#die();
    }
  }

  #die(): Promise<never> {
    this.#dead = true;
    this.#changed();
    return new Promise(() => undefined);
  }
}

/** D1 whose every call goes through the caller. */
export function interleavedLedger(db: LedgerDatabase, caller: Caller): LedgerDatabase {
  const raw = new WeakMap<object, D1PreparedStatement>();
  const wrap = (statement: D1PreparedStatement): D1PreparedStatement => {
    const wrapped = {
      bind: (...values: unknown[]) => wrap(statement.bind(...values)),
      all: () => caller.call(() => statement.all()),
      run: () => caller.call(() => statement.run()),
    };
    raw.set(wrapped, statement);
    return wrapped as unknown as D1PreparedStatement;
  };
  return {
    prepare: (sql) => wrap(db.prepare(sql)),
    batch: (statements) =>
      caller.call(() => db.batch(statements.map((statement) => raw.get(statement) ?? statement))),
  };
}

/** Lanes whose every call goes through the caller. */
export function interleavedLanes(
  lanes: ReplayTargets["SEQUENCER"],
  caller: Caller,
): ReplayTargets["SEQUENCER"] {
  return {
    getByName: (account) => {
      const lane = lanes.getByName(account);
      return {
        readmitAll: (keys) => caller.call(() => lane.readmitAll(keys)),
        directives: (ids) => caller.call(() => lane.directives(ids)),
        admit: (given, admissions) => caller.call(() => lane.admit(given, admissions)),
      };
    },
  };
}
