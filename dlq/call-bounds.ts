/**
 * What lanes and inboxes may cost whoever asks many of them: one that hangs, or is slow, must hold up no other. Both
 * times together are less than a driver's grace.
 */
export interface CallBounds {
  /** One call is waited for so long. */
  readonly callMs: number;
  /** After so long no further call begins. */
  readonly spellMs: number;
  /** Nor after so many: an invocation has 1,000. */
  readonly calls: number;
}

export const CALL_BOUNDS: CallBounds = { callMs: 8000, spellMs: 4000, calls: 200 };

/** The answer, or an error when it does not come in time: the call itself may yet have its effect. */
export async function within<Answer>(callMs: number, call: Promise<Answer>): Promise<Answer> {
  const over = Promise.withResolvers<never>();
  const timer = setTimeout(() => over.reject(new Error(`no answer within ${callMs / 1000} s`)), callMs);
  try {
    return await Promise.race([call, over.promise]);
  } finally {
    clearTimeout(timer);
  }
}
