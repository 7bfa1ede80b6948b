// What webhook events are measured against: a Worker that verifies the signature, as Lockstep does, and keeps nothing.
// Local only.
import config from "../../../lockstep.config.ts";
import { verifySignature } from "../../../producers/signatures/signature.ts";

interface BareEnv {
  readonly PLAIN_WEBHOOK_SECRET: string;
}

const source = config.sources.get("plain");

export default {
  async fetch(request, env): Promise<Response> {
    if (request.method !== "POST" || source === undefined) return new Response("ok");
    const signed = await verifySignature(source.signature, {
      headers: request.headers,
      body: new Uint8Array(await request.arrayBuffer()),
      secrets: [env.PLAIN_WEBHOOK_SECRET],
      nowMs: Date.now(),
      toleranceSeconds: source.toleranceSeconds,
    });
    return Response.json({ ok: signed.ok }, { status: signed.ok ? 202 : 401 });
  },
} satisfies ExportedHandler<BareEnv>;
