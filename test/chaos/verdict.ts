import { z } from "zod";
import type { DirectiveReport, LaneReport } from "../../domain/api.ts";
import { waitUntil } from "../../ops/wait-until.ts";
import type { Arena } from "./arena.ts";
import { admitAll, awaitLanes, isLanded, isSettled } from "./settled.ts";
import type { RoundReport } from "./round.ts";
import { PAYMENT, type Order } from "./workload.ts";

/** What the chain, the lanes and the ledger say after a storm. */
export type Verdict = Pick<
  RoundReport,
  "faults" | "directives" | "sends" | "confirmed" | "dead" | "recoverySeconds"
>;

interface Found {
  readonly order: Order;
  readonly report: DirectiveReport | null;
  readonly balance: bigint;
}

const AT_ONCE = 20;
const POOL_EMPTY_WITHIN_MS = 60_000;

/** Waits until all is settled, then compares. Call it once the storm is over. */
export async function judge(arena: Arena): Promise<Verdict> {
  const { accounts, chain, client, workload } = arena;
  const endedMs = Date.now();
  const acknowledged = workload.orders.filter((order) => order.acknowledged);
  const lost = (await lookUp(arena, acknowledged)).filter(({ report }) => report === null);
  await admitAll(arena);
  await awaitLanes(arena, isLanded);
  const recoverySeconds = (Date.now() - endedMs) / 1000;

  // A foreign transaction is only seen by a flight that comes after it: one last payment from each account.
  await waitUntil(async () => ((await poolSize(arena)) === 0 ? true : undefined), {
    what: "an empty pool",
    withinMs: POOL_EMPTY_WITHIN_MS,
  });
  await workload.post(workload.payOnceEach());
  await admitAll(arena);
  const lanes = await awaitLanes(arena, isSettled);

  const found = await lookUp(arena, workload.orders);
  const letters = new Set(
    (await client.letters())
      // This one is about a second directive under the id.
      .filter(({ code }) => code !== "conflicting_payload")
      .map(({ lane, directiveId }) => key(lane, directiveId)),
  );
  const nonces = await Promise.all(
    accounts.map(({ address }) => chain.client.getTransactionCount({ address })),
  );
  const faults = [
    ...lost.map(({ order }) => `${order.directive.id} was acknowledged, and is unknown`),
    ...found.flatMap((each) => faultsOf(each, letters)),
    ...(await inclusionFaults(arena, found)),
    ...accounts.flatMap(({ id }, index) => laneFaults(lanes.get(id), nonces[index], found)),
    ...((await poolSize(arena)) === 0 ? [] : ["the pool holds a transaction that no block will take"]),
  ];
  const count = (status: string) => found.filter(({ report }) => report?.status === status).length;
  return {
    faults,
    directives: found.length,
    sends: workload.sends,
    confirmed: count("confirmed"),
    dead: count("dead"),
    recoverySeconds,
  };
}

/** G1, G3, G5: confirmed and paid once, or dead, never paid and in the ledger. Poison always ends dead. */
function faultsOf({ order, report, balance }: Found, letters: ReadonlySet<string>): string[] {
  const { id, account } = order.directive;
  if (report === null) return [`${id} was acknowledged, and is unknown`];
  const paid =
    order.recipient === null ? "nobody" : balance === 0n ? "never" : balance === PAYMENT ? "once" : "more";
  const told = `${id} is ${report.status} (${report.failure?.code ?? "no failure"}) and paid ${paid}: ${JSON.stringify(report.transactions)}`;
  switch (report.status) {
    case "confirmed":
      return paid === "once" ? [] : [told];
    case "dead":
      if (paid !== "never" && paid !== "nobody") return [told];
      return letters.has(key(account, id)) ? [] : [`${id} is dead, and the ledger has no letter`];
    default:
      return [told];
  }
}

/** G1, G2: a confirmed directive has one included transaction, and the chain has it where the lane says. */
async function inclusionFaults({ chain, accounts }: Arena, found: readonly Found[]): Promise<string[]> {
  const faults: string[] = [];
  const users = new Map<string, string>();
  for (const { order, report } of found) {
    if (report?.status !== "confirmed") continue;
    const { id, account } = report;
    const included = report.transactions.filter(({ status }) => status === "included");
    const [only] = included;
    if (included.length !== 1 || only === undefined || only.sequence !== report.sequence) {
      faults.push(`${id} has ${included.length} included transactions`);
      continue;
    }
    const other = users.get(`${account} ${only.sequence}`);
    if (other !== undefined) faults.push(`${id} and ${other} have the same sequence ${only.sequence}`);
    users.set(`${account} ${only.sequence}`, id);
    const mined = minedSchema.parse(await chain.rpc("eth_getTransactionByHash", only.hash));
    const sender = accounts.find((each) => each.id === account)?.address;
    if (mined.from !== sender || Number(mined.nonce) !== only.sequence || mined.to !== order.recipient)
      faults.push(`${id} is not in ${only.hash}`);
  }
  return faults;
}

/** G2, G3: everything admitted is settled or dead, and no number is missing between the lane and the chain. */
function laneFaults(
  lane: LaneReport | undefined,
  nonce: number | undefined,
  found: readonly Found[],
): string[] {
  if (lane === undefined) return ["a lane did not answer"];
  const { account, counts, nextSequence } = lane;
  const own = found.filter(({ order }) => order.directive.account === account);
  const expected = {
    admitted: own.length,
    settled: own.filter(({ report }) => report?.status === "confirmed").length,
    dead: own.filter(({ report }) => report?.status === "dead").length,
    inFlight: 0,
  };
  const faults: string[] = [];
  if (JSON.stringify(counts) !== JSON.stringify(expected))
    faults.push(
      `${account} counts ${JSON.stringify(counts)}, its directives make ${JSON.stringify(expected)}`,
    );
  if (nonce !== nextSequence)
    faults.push(`${account} goes on with ${nextSequence}, the chain with ${String(nonce)}`);
  return faults;
}

async function lookUp({ chain, client }: Arena, orders: readonly Order[]): Promise<Found[]> {
  const found: Found[] = [];
  for (let start = 0; start < orders.length; start += AT_ONCE) {
    const some = orders.slice(start, start + AT_ONCE).map(async (order): Promise<Found> => {
      const { directive, recipient } = order;
      return {
        order,
        report: await client.directive(directive.account, directive.id),
        balance: recipient === null ? 0n : await chain.client.getBalance({ address: recipient }),
      };
    });
    found.push(...(await Promise.all(some)));
  }
  return found;
}

async function poolSize({ chain }: Arena): Promise<number> {
  const { pending, queued } = poolSchema.parse(await chain.rpc("txpool_status"));
  return Number(pending) + Number(queued);
}

const poolSchema = z.object({ pending: z.string(), queued: z.string() });
const minedSchema = z.object({ from: z.string(), to: z.string().nullable(), nonce: z.string() });

function key(lane: string | null, id: string): string {
  return `${lane ?? ""} ${id}`;
}
