import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPublicClient, http, type PublicClient } from "viem";
import { z } from "zod";
import { lockstepClient, type Client } from "../../ops/client.ts";
import { ensureDevVars } from "../../ops/dev-vars.ts";
import { freePort } from "../../ops/ports.ts";
import { startReceiver, type Receiver } from "../../ops/receiver.ts";
import { startStack, type Stack } from "../../ops/stack.ts";
import { waitUntil } from "../../ops/wait-until.ts";

const directiveSchema = z.object({
  id: z.string(),
  status: z.string(),
  sequence: z.number().nullish(),
  transactions: z.array(z.object({ hash: z.string(), status: z.string() })),
});
const laneSchema = z.object({
  status: z.string(),
  nextSequence: z.number(),
  open: z.number(),
  counts: z.object({ admitted: z.number(), settled: z.number(), dead: z.number(), inFlight: z.number() }),
});
const letterSchema = z.object({
  id: z.string(),
  kind: z.string(),
  state: z.string(),
  code: z.string(),
  lane: z.string().nullable(),
  directiveId: z.string(),
  sourceQueue: z.string(),
  resolution: z.string().nullish(),
  transactions: z.array(z.object({ hash: z.string() })),
});
const pageSchema = z.object({ letters: z.array(letterSchema), nextCursor: z.string().nullable() });
const rpcAnswerSchema = z.object({ result: z.unknown().optional(), error: z.unknown().optional() });
const receiptsSchema = z.object({ directives: z.array(z.object({ id: z.string(), status: z.string() })) });

export type LetterReport = z.infer<typeof letterSchema>;

/** Lockstep with its chain, as a test uses it. Every log line and every answer's text is kept in `said`. */
export interface Lockstep {
  readonly stack: Stack;
  readonly chain: PublicClient;
  /** Asks the chain itself, past any proxy; throws what it refuses. */
  rpc(method: string, ...params: readonly unknown[]): Promise<unknown>;
  /** The destination of webhook events. */
  readonly receiver: Receiver;
  readonly operator: Client;
  readonly said: string[];
  call(
    path: string,
    init?: { method?: string; body?: unknown; token?: string },
  ): Promise<{ status: number; text: string }>;
  post(directives: readonly unknown[]): Promise<{ status: number; statuses: readonly string[] }>;
  directive(account: string, id: string): Promise<z.infer<typeof directiveSchema>>;
  lane(account: string): Promise<z.infer<typeof laneSchema>>;
  letters(): Promise<readonly LetterReport[]>;
  /** Resolves when the lane has admitted so many, and none is in flight. */
  settled(account: string, admitted: number, withinMs?: number): Promise<z.infer<typeof laneSchema>>;
  close(): Promise<void>;
}

export async function startLockstep(
  options: { chainUrl?: (anvilPort: number) => Promise<string>; cronEverySeconds?: number } = {},
): Promise<Lockstep> {
  const stateDir = mkdtempSync(join(tmpdir(), "lockstep-test-"));
  const said: string[] = [];
  const [port, chainPort] = [await freePort(), await freePort()];
  const devVars = join(stateDir, "dev.vars");
  const receiver = await startReceiver({ secret: ensureDevVars(devVars).webhookSecrets.receiver });
  const stack = await startStack({
    port,
    chainPort,
    stateDir,
    chainUrl: await options.chainUrl?.(chainPort),
    receiverUrl: receiver.url,
    devVars,
    fresh: true,
    withSender: true,
    cronEverySeconds: options.cronEverySeconds,
    quiet: false,
    log: (line) => void said.push(line),
  });
  const call: Lockstep["call"] = async (path, { method = "GET", body, token = stack.operatorToken } = {}) => {
    const answer = await fetch(`${stack.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    said.push(text);
    return { status: answer.status, text };
  };
  const lane: Lockstep["lane"] = async (account) =>
    laneSchema.parse(JSON.parse((await call(`/v1/accounts/${encodeURIComponent(account)}`)).text));
  return {
    stack,
    chain: createPublicClient({
      transport: http(stack.chainUrl, { batch: { batchSize: 200 } }),
      cacheTime: 0,
    }),
    async rpc(method, ...params) {
      const answer = await fetch(stack.chainUrl, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
      });
      const { result, error } = rpcAnswerSchema.parse(await answer.json());
      if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
      return result;
    },
    receiver,
    operator: lockstepClient({ url: stack.url, token: stack.operatorToken }),
    said,
    call,
    lane,
    async post(directives) {
      const { status, text } = await call("/v1/directives", { method: "POST", body: { directives } });
      return {
        status,
        statuses: receiptsSchema.parse(JSON.parse(text)).directives.map((each) => each.status),
      };
    },
    async directive(account, id) {
      const { text } = await call(
        `/v1/accounts/${encodeURIComponent(account)}/directives/${encodeURIComponent(id)}`,
      );
      return directiveSchema.parse(JSON.parse(text));
    },
    async letters() {
      const letters: LetterReport[] = [];
      for (let cursor: string | null = ""; cursor !== null;) {
        const { text } = await call(
          `/v1/dlq/letters?limit=100${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
        );
        const page = pageSchema.parse(JSON.parse(text));
        letters.push(...page.letters);
        cursor = page.nextCursor;
      }
      return letters;
    },
    settled(account, admitted, withinMs = 60_000) {
      let last: unknown;
      return waitUntil(
        async () => {
          const now = await lane(account);
          last = now;
          return now.counts.admitted >= admitted && now.counts.inFlight === 0 ? now : undefined;
        },
        {
          what: `${admitted} directives of ${account} settled`,
          withinMs,
          everyMs: 200,
          tail: () => `\n${JSON.stringify(last)}\n${stack.tail()}`,
        },
      );
    },
    async close() {
      await stack.stop();
      await receiver.stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** The n-th of anvil's default accounts. */
export const ACCOUNTS = [
  "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
  "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
  "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
  "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
].map((address) => ({ address, account: `eip155:31337:${address}` }));

/** An address that nothing else pays: its balance says how often a directive took effect. */
export function recipient(group: number, index: number): `0x${string}` {
  return `0x${(0xabc000000000 + group * 1_000_000 + index).toString(16).padStart(40, "0")}`;
}

export function transfer(account: string, id: string, to: string, wei = "1000") {
  return { id, account, action: { type: "evm.transaction", to, value: wei } };
}
