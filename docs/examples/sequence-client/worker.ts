/** What the SDK's `createDOStoreFunctions` takes: a stub, or anything with the same `fetch`. */
interface SequenceManager {
  fetch(request: Request): Promise<Response>;
}

interface Env {
  SEQUENCE_MANAGER: DurableObjectNamespace;
}

/**
 * A stub that knows the job it works for. The same job gets the same sequence again, so a retry after a crash leaves
 * no gap; and after `timeoutMs` it stops waiting, so that no sequence is given to nobody.
 */
function forJob(stub: DurableObjectStub, job: string, timeoutMs: number): SequenceManager {
  return {
    async fetch(request) {
      const asked: Record<string, unknown> = await request.json();
      return stub.fetch(request.url, {
        method: "POST",
        body: JSON.stringify({ ...asked, requestId: job }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    },
  };
}

/** What the SDK sends before it signs. */
function getSignerData(manager: SequenceManager, params: object): Promise<Response> {
  return manager.fetch(
    new Request("http://do/getSignerData", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(params),
    }),
  );
}

/** `POST /?accountNumber=7&chainSequence=100`, with `&job=…` when the call may be repeated: the signer data. */
async function fetch(request: Request, env: Env): Promise<Response> {
  const { searchParams } = new URL(request.url);
  const job = searchParams.get("job");
  const stub = env.SEQUENCE_MANAGER.get(env.SEQUENCE_MANAGER.idFromName("global"));
  // With the SDK: createSigningClient(rpc, wallet, false, options, createDOStoreFunctions(manager))
  const manager = job === null ? stub : forJob(stub, job, 60_000);
  return getSignerData(manager, {
    chainId: "ixo-5",
    accountNumber: Number(searchParams.get("accountNumber")),
    chainSequence: Number(searchParams.get("chainSequence")),
  });
}

export default { fetch };
