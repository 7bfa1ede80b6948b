/** One effect on its way to where it happens. */
export interface Delivery {
  readonly sequence: number;
  readonly index: number;
  /** What the handler asked for: another run of it would ask for something else. */
  readonly destination: string;
}

export type Answer = "done" | "transient" | "permanent";

/** Where effects happen. Its side is the truth that the inbox cannot see: invariants are checked against it. */
export class ModelReceiver {
  /** Successes, by delivery, in the order in which they happened. */
  readonly successes = new Map<string, number>();
  readonly violations: string[] = [];
  readonly #destinations = new Map<string, string>();
  #clock = 0;

  handle({ sequence, index, destination }: Delivery, answer: Answer): void {
    const key = `${sequence}/${index}`;
    const known = this.#destinations.get(key) ?? destination;
    this.#destinations.set(key, known);
    if (known !== destination)
      this.violations.push(`effect ${key} was ${known}, and in another attempt ${destination}`);
    this.#clock += 1;
    if (answer === "done" && !this.successes.has(key)) this.successes.set(key, this.#clock);
  }

  has(sequence: number, index: number): boolean {
    return this.successes.has(`${sequence}/${index}`);
  }
}
