/** The platform lets so many connections of one invocation wait for an answer; it queues the others out of our sight. */
const MAX_CONNECTIONS = 6;
/** Fewer than all, so that one destination that hangs leaves some to the others. The last is for one that has none. */
const MAX_PER_DESTINATION = 4;

interface Waiting {
  readonly destination: string;
  readonly begin: () => void;
}

/**
 * The connections of one invocation. A delivery waits here for its turn, where its timeout does not run yet and its
 * lease can still be looked at, and not in the platform's queue, where the time of one destination would be another's.
 */
export class Connections {
  readonly #busy = new Map<string, number>();
  readonly #waiting: Waiting[] = [];
  #total = 0;

  async run<Answer>(destination: string, work: () => Promise<Answer>): Promise<Answer> {
    await new Promise<void>((begin) => {
      this.#waiting.push({ destination, begin });
      this.#admit();
    });
    try {
      return await work();
    } finally {
      this.#count(destination, -1);
      this.#admit();
    }
  }

  #admit(): void {
    while (this.#total < MAX_CONNECTIONS) {
      const most = this.#total === MAX_CONNECTIONS - 1 ? 1 : MAX_PER_DESTINATION;
      const next = this.#waiting.findIndex(({ destination }) => (this.#busy.get(destination) ?? 0) < most);
      const [waiting] = next === -1 ? [] : this.#waiting.splice(next, 1);
      if (waiting === undefined) return;
      this.#count(waiting.destination, 1);
      waiting.begin();
    }
  }

  #count(destination: string, change: number): void {
    this.#total += change;
    this.#busy.set(destination, (this.#busy.get(destination) ?? 0) + change);
  }
}
