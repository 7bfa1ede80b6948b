import { unreachable } from "../domain/result.ts";
import type { IxoPair } from "./ixo-request.ts";
import type { IxoLane, IxoRefusal } from "./ixo-sequence-state.ts";

/** What the client reads: 200 `{ accountNumber, sequence, chainId }`. */
export function signerDataAnswer({ chainId, accountNumber }: IxoPair, sequence: number): Response {
  return Response.json({ accountNumber, sequence, chainId });
}

/** `data` is by chain id and account number, without pairs that were reset. */
export function statusAnswer(lanes: readonly (readonly [IxoPair, IxoLane])[], minDelayMs: number): Response {
  const chains = new Map<string, [string, unknown][]>();
  for (const [{ chainId, accountNumber }, lane] of lanes) {
    if (lane.counter === null) continue;
    const accounts = chains.get(chainId) ?? [];
    accounts.push([String(accountNumber), viewOf(lane, lane.counter)]);
    chains.set(chainId, accounts);
  }
  // Made of entries, never assigned: a chain may be called `__proto__`.
  const data = Object.fromEntries([...chains].map(([id, accounts]) => [id, Object.fromEntries(accounts)]));
  return Response.json({ data, minDelayMs });
}

function viewOf({ grantedAtMs }: IxoLane, counter: NonNullable<IxoLane["counter"]>): unknown {
  const { next, chain, chainSinceMs, oldestSinceMs } = counter;
  return {
    sequence: next,
    updated: new Date(Math.max(chainSinceMs, grantedAtMs ?? 0)).toISOString(),
    chainSequence: chain,
    unsettled: next - chain,
    oldestUnsettledSince: oldestSinceMs === null ? null : new Date(oldestSinceMs).toISOString(),
  };
}

export function refusedAnswer(why: IxoRefusal): Response {
  switch (why.kind) {
    case "early":
      return errorAnswer(503, `the next sequence is due in ${why.waitMs} ms`);
    case "implausible":
      return errorAnswer(
        409,
        `chainSequence is ${why.ahead} ahead of ${why.next}, the next sequence: more than an account can have made meanwhile. If the chain says so, POST /reset for this account`,
      );
    default:
      return unreachable(why);
  }
}

export function errorAnswer(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error }, { status, headers });
}
