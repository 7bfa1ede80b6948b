import { createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";
import {
  planRequestSchema,
  replayRequestSchema,
  resolveRequestSchema,
  resubmitRequestSchema,
} from "../../domain/api-letters.ts";
import { reasonSchema, type Problem } from "../../domain/api.ts";
import { skipSchema } from "../../domain/api-webhooks.ts";
import { runCommandLine } from "../../ops/cli/program.ts";
import { Interrupted } from "../../ops/cli/exit.ts";
import type { Terminal } from "../../ops/cli/terminal.ts";
import { NOW } from "./cli-answers.ts";

export const TOKEN = "operator-token-of-the-test";

export interface Request {
  /** Method, path and query, as they came. */
  readonly line: string;
  readonly body: unknown;
  readonly authorization: string | undefined;
}

export type Answer =
  | { readonly status?: number; readonly body: unknown }
  /** The connection is cut without an answer. */
  | "hang-up"
  /** Nothing is answered, and the connection stays. */
  | "silence";

export interface FakeWorker extends AsyncDisposable {
  readonly url: string;
  readonly requests: Request[];
  /** The lines of all requests. */
  lines(): readonly string[];
  /** What a request is answered from now on: the last answer stays. `line` is a method and a path without its query. */
  answer(line: string, ...answers: readonly (Answer | (() => Answer))[]): void;
}

/** What the API takes: a body that does not fit is the command line's fault, and answered 400. */
const BODIES: readonly (readonly [RegExp, z.ZodType])[] = [
  [/^POST \/v1\/dlq\/plans$/, planRequestSchema],
  [/^POST \/v1\/dlq\/replays$/, replayRequestSchema],
  [/^POST \/v1\/dlq\/letters\/[^/]+\/resolve$/, resolveRequestSchema],
  [/^POST \/v1\/dlq\/letters\/[^/]+\/resubmit$/, resubmitRequestSchema],
  [/^POST \/v1\/dlq\/reconcile$/, z.strictObject({ ids: z.array(z.string()).optional() })],
  [/^POST .*\/(pause|resume|repair|cancel|discard)$/, reasonSchema],
  [/^POST .*\/inbox\/skip$/, skipSchema],
];

export async function startFakeWorker(): Promise<FakeWorker> {
  const requests: Request[] = [];
  const scripts = new Map<string, (Answer | (() => Answer))[]>();

  function answerTo(line: string, body: unknown): Answer {
    const [path = ""] = line.split("?");
    const schema = BODIES.find(([pattern]) => pattern.test(path))?.[1];
    const checked = schema?.safeParse(body);
    if (checked?.success === false) return problemAnswer(400, z.prettifyError(checked.error));
    const script = scripts.get(path) ?? [];
    const next = script.length > 1 ? script.shift() : script[0];
    if (next === undefined) return problemAnswer(404, `the test has no answer for ${line}`);
    return typeof next === "function" ? next() : next;
  }

  async function take(request: IncomingMessage): Promise<Answer> {
    const line = `${request.method} ${request.url}`;
    const written = await text(request);
    const body: unknown = written === "" ? undefined : JSON.parse(written);
    requests.push({ line, body, authorization: request.headers.authorization });
    return answerTo(line, body);
  }

  const server = createServer((request, response) => {
    void take(request).then((answer) => {
      if (answer === "silence") return undefined;
      if (answer === "hang-up") return request.socket.destroy();
      response.writeHead(answer.status ?? 200, { "content-type": "application/json" });
      return response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    lines: () => requests.map(({ line }) => line),
    answer: (line, ...answers) => void scripts.set(line, [...answers]),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function problemAnswer(status: number, detail: string, more: Partial<Problem> = {}): Answer {
  return { status, body: { type: "about:blank", title: "Title", status, detail, ...more } };
}

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds of every pause. */
  readonly pauses: readonly number[];
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Whether the three streams are terminals, and how wide. */
  readonly terminal?: { readonly columns: number };
  /** What a person says when asked; nobody is there when it is missing. */
  readonly says?: string;
  /** Called at every pause; the pause itself takes no time. `interrupt` is ctrl-C. */
  readonly onPause?: (interrupt: () => void) => void;
  readonly home?: string;
  readonly projects?: readonly string[];
}

/** Runs a command line in this process, against the Worker of the environment variable LOCKSTEP_URL. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Run> {
  const { terminal, says, input, onPause } = options;
  const written = { stdout: "", stderr: "" };
  const pauses: number[] = [];
  const controller = new AbortController();
  const sink = (name: keyof typeof written) => ({
    write: (part: string) => void (written[name] += part),
    isTTY: terminal !== undefined,
    columns: terminal?.columns,
  });
  let nowMs = Date.parse(NOW);
  const outside: Terminal = {
    stdout: sink("stdout"),
    stderr: sink("stderr"),
    readInput: async () => input ?? "",
    interactive: says !== undefined,
    ask: async (question) => {
      written.stderr += question;
      return says ?? "";
    },
    env: options.env ?? {},
    projects: options.projects ?? [],
    home: options.home ?? "/nonexistent",
    now: () => nowMs,
    async pause(milliseconds) {
      pauses.push(milliseconds);
      nowMs += milliseconds;
      onPause?.(() => controller.abort(new Interrupted()));
      controller.signal.throwIfAborted();
    },
    signal: controller.signal,
  };
  const code = await runCommandLine(argv, outside);
  return { code, ...written, pauses };
}

/** The environment of a command line that talks to the Worker. */
export function envOf(worker: FakeWorker): Record<string, string> {
  return { LOCKSTEP_URL: worker.url, LOCKSTEP_TOKEN: TOKEN };
}
