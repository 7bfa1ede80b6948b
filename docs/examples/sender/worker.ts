import { directive, type Body } from "lockstep/directive";

interface Env {
  DIRECTIVES: { send(body: Body): Promise<unknown> };
}

const TREASURY = "eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

/** `POST /refunds/{order}?to=0x…`: one refund for each order, however often it is asked for. */
async function fetch(request: Request, env: Env): Promise<Response> {
  const url = new URL(request.url);
  const order = url.pathname.replace("/refunds/", "");
  await env.DIRECTIVES.send(
    directive({
      id: `refund:${order}`,
      account: TREASURY,
      action: { type: "evm.transaction", to: url.searchParams.get("to") ?? "", value: 25_000_000_000n },
      metadata: { order },
    }),
  );
  return Response.json({ order, status: "sent" }, { status: 202 });
}

export default { fetch };
