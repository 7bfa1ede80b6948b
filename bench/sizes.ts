/** How much is measured. Counts of directives, transactions, events, letters or requests; durations follow from them. */
export interface Sizes {
  readonly laneSequences: number;
  readonly laneSingles: number;
  readonly callerRounds: number;
  readonly staggerCallers: number;
  readonly oneAccount: number;
  readonly tenAccountsEach: number;
  /** Cases of which the median is taken. */
  readonly repeats: number;
  readonly viemSequential: number;
  readonly viemConcurrent: number;
  /** On a chain whose blocks are never full. */
  readonly wideCeiling: number;
  readonly postedSingles: number;
  readonly postedHundreds: number;
  readonly costed: number;
  readonly settledRows: number;
  readonly laneSequencesPerTurn: number;
  readonly turns: number;
  readonly events: number;
  readonly costedEvents: number;
  /** Letters of unreadable messages. */
  readonly recorded: number;
  /** Letters in the ledger beside those that are recorded and replayed. */
  readonly letters: number;
  /** Of each list, and of depth. */
  readonly asked: number;
  /** Letters of each of five accounts. */
  readonly replayedEach: number;
}

/** Under fifteen minutes. */
export const FULL: Sizes = {
  laneSequences: 30_000,
  laneSingles: 2000,
  callerRounds: 30,
  staggerCallers: 25,
  oneAccount: 4000,
  tenAccountsEach: 400,
  repeats: 3,
  viemSequential: 400,
  viemConcurrent: 2000,
  wideCeiling: 12_000,
  postedSingles: 2000,
  postedHundreds: 40,
  costed: 3000,
  settledRows: 1_000_000,
  laneSequencesPerTurn: 5000,
  turns: 3,
  events: 1000,
  costedEvents: 1000,
  recorded: 5000,
  letters: 1_000_000,
  asked: 100,
  replayedEach: 1000,
};

/** Under four minutes. */
export const QUICK: Sizes = {
  laneSequences: 6000,
  laneSingles: 500,
  callerRounds: 10,
  staggerCallers: 8,
  oneAccount: 3000,
  tenAccountsEach: 200,
  repeats: 1,
  viemSequential: 150,
  viemConcurrent: 1000,
  wideCeiling: 6000,
  postedSingles: 500,
  postedHundreds: 10,
  costed: 1000,
  settledRows: 100_000,
  laneSequencesPerTurn: 2000,
  turns: 2,
  events: 500,
  costedEvents: 300,
  recorded: 1000,
  letters: 100_000,
  asked: 30,
  replayedEach: 200,
};
