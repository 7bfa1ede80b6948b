import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anvilAccount, type AnvilAccount } from "../../ops/anvil-accounts.ts";
import { lockstepClient, type Client } from "../../ops/client.ts";
import { freePort } from "../../ops/ports.ts";
import { startStack, type Stack } from "../../ops/stack.ts";
import { chance } from "../model/history.ts";
import { startChaosChain, type ChaosChain } from "./chaos-chain.ts";
import { startFaultyRpc, type FaultyRpc } from "./faulty-rpc.ts";
import { createWorkload, type Workload } from "./workload.ts";

/** A whole Lockstep with its chain, a faulty endpoint between the two, and directives to push through. */
export interface Arena {
  readonly accounts: readonly AnvilAccount[];
  readonly stack: Stack;
  readonly client: Client;
  readonly chain: ChaosChain;
  readonly endpoint: FaultyRpc;
  readonly workload: Workload;
  /** One die for everything that this program decides; the endpoint has its own. */
  readonly random: () => number;
  /** Continues a lane that its breaker paused. Throws when the Worker does not answer. */
  resume(account: AnvilAccount): Promise<void>;
  /** With `keep`, the state and the log of the run stay on disk. */
  close(keep: boolean): Promise<void>;
  /** Where state and logs are. */
  readonly stateDir: string;
}

const ACCOUNTS = 3;

export async function openArena(seed: number): Promise<Arena> {
  const stateDir = mkdtempSync(join(tmpdir(), "lockstep-chaos-"));
  const opened: { readonly stop: () => Promise<void> }[] = [];
  const close = async (keep: boolean): Promise<void> => {
    for (const part of opened.toReversed()) await part.stop();
    if (!keep) rmSync(stateDir, { recursive: true, force: true });
  };
  try {
    const chain = await startChaosChain(await freePort(), join(stateDir, "anvil", "state.json"));
    opened.push(chain);
    const endpoint = await startFaultyRpc(chain.url, seed);
    opened.push(endpoint);
    const stack = await startStack({
      port: await freePort(),
      chainPort: null,
      chainUrl: endpoint.url,
      stateDir,
      fresh: false,
      withSender: true,
      quiet: true,
      log: () => undefined,
    });
    opened.push(stack);
    const client = lockstepClient({ url: stack.url, token: stack.operatorToken });
    const random = chance(seed ^ 0x5bd1e995);
    const accounts = Array.from({ length: ACCOUNTS }, (_, index) => anvilAccount(index));
    return {
      accounts,
      stack,
      client,
      chain,
      endpoint,
      random,
      workload: createWorkload({ run: 1, accounts, stack, client, random }),
      async resume({ id }) {
        const answer = await fetch(`${stack.url}/v1/accounts/${encodeURIComponent(id)}/resume`, {
          method: "POST",
          headers: { authorization: `Bearer ${stack.operatorToken}`, "content-type": "application/json" },
          body: JSON.stringify({ reason: "the endpoint's 401 was part of the test" }),
        });
        if (answer.status !== 200)
          throw new Error(`resume answered ${answer.status}: ${await answer.text()}`);
      },
      close,
      stateDir,
    };
  } catch (error) {
    await close(false);
    throw error;
  }
}
