// In:  POST with a JSON array: `{ directive }` is a directive as a producer writes it, `{ raw }` any queue body.
// Out: one message each on the queue `directives`, in the order of the array; 202 `{ sent }`.
// On failure: 400 with what is wrong, and nothing sent; 500 when the queue refused a batch: earlier batches are sent.
import { z } from "zod";
import type { DirectiveInput } from "../../domain/directive.ts";
import { directive, InvalidDirectiveError, type Body } from "../../domain/message.ts";

interface Env {
  readonly DIRECTIVES: {
    sendBatch(
      messages: readonly { readonly body: unknown; readonly contentType: "json" }[],
    ): Promise<unknown>;
  };
}

/** A queue takes so many messages in one `sendBatch`. */
const MAX_BATCH = 100;

const items = z.array(
  z.union([z.strictObject({ directive: z.unknown() }), z.strictObject({ raw: z.json() })]),
);

async function fetch(request: Request, env: Env): Promise<Response> {
  if (request.method !== "POST") return Response.json({ worker: "lockstep-sender" });
  let bodies: unknown[];
  try {
    bodies = items
      .parse(await request.json())
      .map((item) => ("raw" in item ? item.raw : bodyOf(item.directive)));
  } catch (error) {
    return Response.json({ error: error instanceof Error ? error.message : String(error) }, { status: 400 });
  }
  for (let start = 0; start < bodies.length; start += MAX_BATCH) {
    const batch = bodies.slice(start, start + MAX_BATCH);
    await env.DIRECTIVES.sendBatch(batch.map((body) => ({ body, contentType: "json" })));
  }
  return Response.json({ sent: bodies.length }, { status: 202 });
}

function bodyOf(input: unknown): Body {
  if (!mayBeDirective(input)) throw new InvalidDirectiveError([{ field: "", message: "must be an object" }]);
  return directive(input);
}

/** `directive` checks every field itself. */
function mayBeDirective(input: unknown): input is DirectiveInput {
  return typeof input === "object" && input !== null;
}

export default { fetch };
