/** The answer of everything that may fail in an expected way. A throw is a bug, or the platform. */
export type Result<Value, Failure> = Ok<Value> | Err<Failure>;

export interface Ok<Value> {
  readonly ok: true;
  readonly value: Value;
}

export interface Err<Failure> {
  readonly ok: false;
  readonly error: Failure;
}

export function ok<Value>(value: Value): Ok<Value> {
  return { ok: true, value };
}

export function err<Failure>(error: Failure): Err<Failure> {
  return { ok: false, error };
}

/** Placed in the default branch of a switch over a union: it compiles only while every member has its branch. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
