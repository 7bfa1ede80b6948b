/** A dead-letter queue, as far as consumers use it. */
export interface DeadLetterQueue {
  send(body: unknown, options?: { contentType: "json" | "bytes" | "v8" }): Promise<unknown>;
}

/** A body that cannot be read goes on whole: an envelope would not fit in a queue's message. */
export async function sendAsItCame(queue: DeadLetterQueue, body: unknown): Promise<void> {
  await queue.send(body, { contentType: contentTypeOf(body) });
}

/** JSON would silently empty bytes, maps and the like: what is not plain data keeps its own form. */
function contentTypeOf(body: unknown): "json" | "bytes" | "v8" {
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return "bytes";
  const stack: unknown[] = [body];
  for (let nodes = 0; stack.length > 0; nodes += 1) {
    const value = stack.pop();
    if (nodes > 200_000 || value === undefined || typeof value === "bigint" || typeof value === "function")
      return "v8";
    if (typeof value !== "object" || value === null) continue;
    const prototype: unknown = Object.getPrototypeOf(value);
    if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return "v8";
    for (const key of Object.keys(value)) stack.push(Reflect.get(value, key));
  }
  return "json";
}
