import { problem } from "../domain/api.ts";
import { err, ok, type Result } from "../domain/result.ts";

/**
 * Reads the body of a request as JSON. Reads at most `maxBytes`, whatever the request says of its length.
 * Error: the answer to give: 415 (not application/json), 413 (larger), 400 (not UTF-8, not JSON).
 */
export async function readJson(request: Request, maxBytes: number): Promise<Result<unknown, Response>> {
  const mediaType = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (mediaType !== "application/json")
    return err(problem(415, "The content type must be application/json."));
  const bytes = await readBytes(request, maxBytes);
  if (bytes === null) return err(problem(413, `The body is larger than ${maxBytes} bytes.`));
  const text = decodeUtf8(bytes);
  if (text === null) return err(problem(400, "The body is not valid UTF-8."));
  try {
    const value: unknown = JSON.parse(text);
    return ok(value);
  } catch (error) {
    const position = error instanceof Error ? /at position \d+/.exec(error.message)?.[0] : undefined;
    return err(problem(400, `The body is not valid JSON${position === undefined ? "" : `: ${position}`}.`));
  }
}

/** Null when there are more than `maxBytes`: the rest is not read. */
async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array | null> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) return null;
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      return null;
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return null;
  }
}
