/**
 * What lanes and inboxes may cost whoever asks many of them: one that hangs, or is slow, must hold up no other. Both
 * times together are less than a driver's grace.
 */
export interface CallBounds {
  /** One call is waited for so long. */
  readonly callMs: number;
  /** After so long no further call begins. */
  readonly spellMs: number;
  /** Nor after so many: others ask in the same invocation. */
  readonly calls: number;
}

export const CALL_BOUNDS: CallBounds = { callMs: 8000, spellMs: 4000, calls: 200 };
