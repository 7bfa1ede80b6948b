// Lockstep's own Worker with its stages timed and its costs counted, and beside it what `bench/bench.ts` asks for.
// It has the product's name and the product's lanes. Local only.
import { configuredBroadcaster } from "../../consumers/broadcasters/configured.ts";
import type { Broadcaster } from "../../consumers/broadcasters/broadcaster.ts";
import { consumeConfirmations } from "../../consumers/confirmations.ts";
import { consumeDirectives } from "../../consumers/directives.ts";
import { registerLane } from "../../dlq/lane-registry.ts";
import { parseAccount, type Account, type AccountId } from "../../domain/ids.ts";
import type { SequencerProtocol } from "../../domain/lane.ts";
import config from "../../lockstep.config.ts";
import product from "../../worker.ts";
import { questionSchema, type Question } from "../reports.ts";
import { countedQueue } from "./call-counter.ts";
import { fillLedger, killDirectives, sendUnreadable } from "./dead-letters.ts";
import type { CountedInbox, CountedIndex } from "./inboxes.ts";
import { ask, workLane } from "./lane-runs.ts";
import { observed } from "./observed.ts";
import type { CountedSequencer, Sequencer } from "./sequencers.ts";
import { askStagger, type Stagger } from "./stagger.ts";
import { currentTally, takeTally, timed } from "./tally.ts";

export { ReplayWorkflow } from "../../dlq/replay.ts";
export { CountedIndex, CountedInbox } from "./inboxes.ts";
export { CountedSequencer, Sequencer } from "./sequencers.ts";
export { Stagger } from "./stagger.ts";

interface BenchEnv extends Omit<Env, "SEQUENCER" | "WEBHOOK_INBOX" | "WEBHOOK_INDEX"> {
  /** The product's lanes. */
  readonly SEQUENCER: DurableObjectNamespace<Sequencer>;
  /** Lanes of their own, whose cost is counted. */
  readonly COUNTED: DurableObjectNamespace<CountedSequencer>;
  /** Inboxes of their own: the cost of all of them is counted. */
  readonly WEBHOOK_INBOX: DurableObjectNamespace<CountedInbox>;
  readonly WEBHOOK_INDEX: DurableObjectNamespace<CountedIndex>;
  readonly STAGGER: DurableObjectNamespace<Stagger>;
}

const FILLED_AT_ONCE = 100_000;

export default {
  async fetch(request, env, context): Promise<Response> {
    if (new URL(request.url).pathname === "/bench") {
      return Response.json(await answer(questionSchema.parse(await request.json()), env));
    }
    const handled = async () => product.fetch(request, counted(env), context);
    if (request.method !== "POST") return handled();
    currentTally().httpRequests += 1;
    return timed("http", handled);
  },

  async queue(batch, env): Promise<void> {
    currentTally().queueBatches += 1;
    currentTally().queueDeliveries += batch.messages.length;
    const all = counted(env);
    const SEQUENCER = { getByName: (name: string) => timedLane(all.SEQUENCER.getByName(name)) };
    const lanes = { ...all, SEQUENCER };
    const broadcasterOf = (account: Account) => timedBroadcaster(configuredBroadcaster(config, env, account));
    const { now } = Date;
    switch (batch.queue) {
      case "directives":
        return consumeDirectives(batch, lanes, {
          config,
          broadcasterOf,
          registerLane: (account) => registerLane(all.LEDGER, account, now()),
          now,
          random: Math.random,
        });
      case "confirmations":
        return consumeConfirmations(batch, lanes, { config, broadcastersOf: () => broadcasterOf });
      case "directives-dlq":
        // Only lanes of the product have directives that die.
        return product.queue(batch, { ...all, SEQUENCER: env.SEQUENCER });
      default:
        return product.queue(batch, all);
    }
  },
} satisfies ExportedHandler<BenchEnv>;

async function answer(question: Question, env: BenchEnv): Promise<unknown> {
  switch (question.run) {
    case "lane":
      return workLane(env.SEQUENCER.getByName(question.account), accountOf(question.account), question);
    case "callers":
      return ask(env.SEQUENCER.getByName(question.account), accountOf(question.account), question);
    case "stagger":
      return askStagger(env.STAGGER.getByName("all accounts"), question);
    case "fill": {
      const lane = env.SEQUENCER.getByName(question.account);
      for (let done = 0; done < question.rows; done += FILLED_AT_ONCE)
        await lane.fill(Math.min(FILLED_AT_ONCE, question.rows - done));
      await lane.forget().catch(() => undefined);
      return { filled: question.rows };
    }
    case "kill":
      await killDirectives(env.SEQUENCER.getByName(question.account), accountOf(question.account), question);
      return { filled: question.directives };
    case "dead-letters":
      await sendUnreadable(env.DIRECTIVES_DLQ, question.count);
      return { filled: question.count };
    case "fill-ledger":
      await fillLedger(env.LEDGER, question);
      return { filled: question.count };
    case "tally":
      return takeTally();
  }
}

/** The product's environment, on lanes whose cost is counted. */
function counted(env: BenchEnv) {
  const LEDGER = observed(env.LEDGER, (method) => {
    if (method === "prepare" || method === "exec") currentTally().ledgerStatements += 1;
  });
  return {
    ...env,
    DIRECTIVES: countedQueue(env.DIRECTIVES),
    CONFIRMATIONS: countedQueue(env.CONFIRMATIONS),
    DIRECTIVES_DLQ: countedQueue(env.DIRECTIVES_DLQ),
    WEBHOOK_EVENTS: countedQueue(env.WEBHOOK_EVENTS),
    WEBHOOK_EVENTS_DLQ: countedQueue(env.WEBHOOK_EVENTS_DLQ),
    LEDGER,
    SEQUENCER: env.COUNTED,
  };
}

type LaneCalls = Pick<
  SequencerProtocol,
  "admit" | "take" | "recordSigned" | "settle" | "unconfirmed" | "confirm" | "lookUpFailed"
>;

function timedLane(lane: LaneCalls): LaneCalls {
  return {
    admit: (account, admissions) => timed("lane: admit", () => lane.admit(account, admissions)),
    take: (account, holder) => timed("lane: take", () => lane.take(account, holder)),
    recordSigned: (token, entries) => timed("lane: recordSigned", () => lane.recordSigned(token, entries)),
    settle: (settlement) => timed("lane: settle", () => lane.settle(settlement)),
    unconfirmed: (limit) => timed("lane: unconfirmed", () => lane.unconfirmed(limit)),
    confirm: (evidence) => timed("lane: confirm", () => lane.confirm(evidence)),
    lookUpFailed: (failure) => timed("lane: lookUpFailed", () => lane.lookUpFailed(failure)),
  };
}

function timedBroadcaster<Terms>(broadcaster: Broadcaster<Terms>): Broadcaster<Terms> {
  return {
    preflight: (candidates) => timed("preflight", () => broadcaster.preflight(candidates)),
    sign: (terms, requests) => timed("sign", () => broadcaster.sign(terms, requests)),
    send: (transactions) => timed("send", () => broadcaster.send(transactions)),
    lookUp: (hashes, confirmations, sinceBlock) =>
      timed("look up", () => broadcaster.lookUp(hashes, confirmations, sinceBlock)),
    usersOf: (sequences, block) => timed("trace", () => broadcaster.usersOf(sequences, block)),
  };
}

function accountOf(text: string): AccountId {
  const account = parseAccount(text);
  if (!account.ok) throw new Error(`${text} ${account.error}`);
  return account.value.id;
}
