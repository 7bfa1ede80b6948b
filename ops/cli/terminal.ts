/** A stream that a person or another program reads. */
export interface Sink {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Of a terminal; undefined elsewhere. */
  readonly columns: number | undefined;
}

/** All of the outside that the command line sees, beside the Worker. */
export interface Terminal {
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Everything that comes on standard input. */
  readInput(): Promise<string>;
  /** Whether a person is at standard input. */
  readonly interactive: boolean;
  /** Asks on standard error, and reads one line. */
  ask(question: string): Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where a `.dev.vars` may be: the working directory, and the checkout of this program. */
  readonly projects: readonly string[];
  readonly home: string;
  readonly now: () => number;
  /** Rejects with the signal's reason when that is first. */
  pause(milliseconds: number): Promise<void>;
  /** Aborted by ctrl-C with `Interrupted`. */
  readonly signal: AbortSignal;
}
