import type { z } from "zod";
import { problemSchema, type Problem } from "../domain/api.ts";
import { toWire } from "./wire.ts";

/** An answer of the API that is no success. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly url: string;
  readonly status: number;
  /** Null when no Worker of Lockstep answered: something in front of it, or in its place. */
  readonly problem: Problem | null;
  constructor(url: string, status: number, text: string) {
    super(`${url} answered ${status}: ${text.slice(0, 500)}`);
    this.url = url;
    this.status = status;
    this.problem = problemIn(text);
  }
}

/** No answer came: whether the Worker did what was asked is not known. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

/** The answer is not what this client knows: another version of Lockstep, or no Lockstep. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

export interface TransportOptions {
  /** Without a path. */
  readonly url: string;
  /** Null calls without one: only `/healthz` answers then. */
  readonly token: string | null;
  /** Aborts every call; they throw its reason. */
  readonly signal?: AbortSignal;
}

export type Query = Readonly<Record<string, string | number | null | undefined>>;

export interface Transport {
  readonly url: string;
  /** Whatever was answered. Throws `UnreachableError`. */
  readonly call: (
    path: string,
    init?: RequestInit,
  ) => Promise<{ readonly status: number; readonly text: string }>;
  /** Throws `ApiError` for what is no success, `AnswerError` for what does not fit the schema. */
  readonly get: <Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    query?: Query,
  ) => Promise<z.infer<Schema>>;
  readonly post: <Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    body: unknown,
  ) => Promise<z.infer<Schema>>;
}

const CALL_WITHIN_MS = 30_000;

export function transport({ url, token, signal }: TransportOptions): Transport {
  async function call(path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
    const timeout = AbortSignal.timeout(CALL_WITHIN_MS);
    try {
      const response = await fetch(`${url}${path}`, {
        ...init,
        headers: {
          "content-type": "application/json",
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        },
        // A redirect would take the token along, or lose the method.
        redirect: "manual",
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      signal?.throwIfAborted();
      const why = timeout.aborted ? `no answer within ${CALL_WITHIN_MS / 1000} s` : reasonOf(error);
      throw new UnreachableError(`${url} cannot be reached: ${why}`, { cause: error });
    }
  }

  async function read<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    init?: RequestInit,
  ): Promise<z.infer<Schema>> {
    const { status, text } = await call(path, init);
    if (status < 200 || status > 299) throw new ApiError(url, status, text);
    return parsed(url, text, schema);
  }

  return {
    url,
    call,
    get: (path, schema, query = {}) => read(`${path}${queryText(query)}`, schema),
    post: (path, schema, body) => read(path, schema, { method: "POST", body: toWire(body) }),
  };
}

/** Reads an answer of the URL. Throws `AnswerError`. */
export function parsed<Schema extends z.ZodType>(url: string, text: string, schema: Schema): z.infer<Schema> {
  const answer = schema.safeParse(jsonIn(text));
  if (answer.success) return answer.data;
  const fields = answer.error.issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.map(String).join(".")}: ${message}`);
  throw new AnswerError(`${url} answered what this client does not know (${fields.join("; ")})`);
}

function problemIn(text: string): Problem | null {
  return problemSchema.safeParse(jsonIn(text)).data ?? null;
}

/** Undefined for what is not JSON. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function queryText(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.set(name, String(value));
  }
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}

/** What `fetch` throws says "fetch failed", and the reason in its cause, which may be several. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof AggregateError) return reasonOf(cause.errors[0]);
  return cause instanceof Error ? reasonOf(cause) : error.message;
}
