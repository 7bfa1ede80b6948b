import type { z } from "zod";
import { problem, reasonSchema } from "./api.ts";
import { fieldProblems } from "./directive.ts";
import { err, ok, type Result } from "./result.ts";

/**
 * Reads the body of a request as JSON. Reads at most `maxBytes`, whatever the request says of its length.
 * Error: the answer to give: 415 (not application/json), 413 (larger), 400 (not UTF-8, not JSON).
 */
export async function readJson(request: Request, maxBytes: number): Promise<Result<unknown, Response>> {
  const mediaType = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (mediaType !== "application/json")
    return err(problem(415, "The content type must be application/json."));
  const bytes = await readBytes(request, maxBytes);
  if (!bytes.ok) return bytes;
  const text = decodeUtf8(bytes.value);
  return text.ok ? parseJson(withoutByteOrderMark(text.value)) : text;
}

const MAX_ACTION_BYTES = 16 * 1024;

/** Reads the body of an operator's action, `{ reason }`. Error: the answer to give. */
export async function readReason(request: Request): Promise<Result<string, Response>> {
  const action = await readAction(request, reasonSchema, "{ reason }");
  return action.ok ? ok(action.value.reason) : action;
}

/** Reads the body of an operator's action. Error: the answer to give, which names the `form` it must have. */
export async function readAction<Action>(
  request: Request,
  schema: z.ZodType<Action>,
  form: string,
  maxBytes = MAX_ACTION_BYTES,
): Promise<Result<Action, Response>> {
  const body = await readJson(request, maxBytes);
  if (!body.ok) return body;
  const parsed = schema.safeParse(body.value, { reportInput: true });
  if (parsed.success) return ok(parsed.data);
  return err(problem(400, `The body must be ${form}.`, { errors: fieldProblems(parsed.error) }));
}

/** The body as it came. Error: the answer to give: 413 when there are more than `maxBytes`, and the rest is not read. */
export async function readBytes(
  request: Request,
  maxBytes: number,
): Promise<Result<Uint8Array<ArrayBuffer>, Response>> {
  const tooLarge = () => err(problem(413, `The body is larger than ${maxBytes} bytes.`));
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) return tooLarge();
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = request.body?.getReader();
  if (reader === undefined) return ok(new Uint8Array());
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      return tooLarge();
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return ok(bytes);
}

/** Every byte of it: a byte order mark is a character of the text. Error: the answer to give, 400. */
export function decodeUtf8(bytes: Uint8Array): Result<string, Response> {
  try {
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return err(problem(400, "The body is not valid UTF-8."));
  }
}

/** Error: the answer to give, 400, which holds nothing of the text. */
export function parseJson(text: string): Result<unknown, Response> {
  try {
    const value: unknown = JSON.parse(text);
    return ok(value);
  } catch (error) {
    const position = error instanceof Error ? /at position \d+/.exec(error.message)?.[0] : undefined;
    return err(problem(400, `The body is not valid JSON${position === undefined ? "" : `: ${position}`}.`));
  }
}

function withoutByteOrderMark(text: string): string {
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}
