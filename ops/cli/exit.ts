import { ApiError, AnswerError, UnreachableError } from "../client-transport.ts";
import type { Problem } from "../../domain/api.ts";

/** What the shell is told. `docs/cli.md` and `lockstep --help` list them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  conflict: 4,
  interrupted: 130,
  /** Whoever read standard output is gone, as `head` is. */
  brokenPipe: 141,
} as const;

/** A command's end that is no success. */
export class CliFailure extends Error {
  override readonly name = "CliFailure";
  readonly exitCode: number;
  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Ctrl-C and its relatives, as something thrown. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly exitCode: number;
  constructor(exitCode: number = EXIT.interrupted) {
    super("interrupted");
    this.exitCode = exitCode;
  }
}

export interface Ending {
  readonly exitCode: number;
  readonly message: string;
  readonly problem: Problem | null;
}

/** What is said of an error, and the exit code of it. Rethrows what is a bug. */
export function endingOf(error: unknown): Ending {
  if (error instanceof CliFailure || error instanceof Interrupted) {
    return { exitCode: error.exitCode, message: error.message, problem: null };
  }
  if (error instanceof ApiError) {
    const { problem, status, url } = error;
    if (problem !== null) return { exitCode: exitOfStatus(status), message: problem.detail, problem };
    // Whatever the status means there, it says nothing of what was asked for.
    const message = `${url} answered ${status}, and not as Lockstep does: check the URL`;
    return { exitCode: EXIT.unreachable, message, problem };
  }
  if (error instanceof UnreachableError) {
    return { exitCode: EXIT.unreachable, message: error.message, problem: null };
  }
  if (error instanceof AnswerError) return { exitCode: EXIT.failed, message: error.message, problem: null };
  throw error;
}

/** Whether the same call may be answered a moment later: nobody was there, or not yet. */
export function mayAnswerLater(error: unknown): boolean {
  if (error instanceof ApiError) return error.status >= 502 && error.status <= 504;
  return error instanceof UnreachableError;
}

/** 503 comes of a Worker that restarts or is overloaded: the same call again may work. */
function exitOfStatus(status: number): number {
  switch (status) {
    case 401:
    case 403:
    case 502:
    case 503:
    case 504:
      return EXIT.unreachable;
    case 404:
    case 409:
      return EXIT.conflict;
    default:
      return EXIT.failed;
  }
}
