// In:  the `directives` queue: introductions from any Worker with the binding; doorbells from HTTP, lanes and replays.
// Out: admissions and settled lanes in the Sequencer; transactions on the chain; rejections in `directives-dlq`.
// On failure: each message by itself: `verdictOf` says ack, retry with a delay, or dead-letter. The handler never throws.
import { workable, type Config } from "../domain/config.ts";
import { digestOf, encodePayload, type Directive } from "../domain/directive.ts";
import type { FailureCode } from "../domain/failure.ts";
import { parseAccount, type Account, type AccountId } from "../domain/ids.ts";
import type { SequencerProtocol } from "../domain/lane.ts";
import { decodeMessage, encodeMessage, type Body } from "../domain/message.ts";
import { unreachable } from "../domain/result.ts";
import { sendAsItCame, type DeadLetterQueue } from "./as-it-came.ts";
import { workLane, type LaneEnd, type WorkedLane } from "./attempt.ts";
import type { Broadcaster } from "./broadcasters/broadcaster.ts";
import { registration } from "./registration.ts";
import { conclude, verdictOf, type MessageEnd, type QueueMessage } from "./verdict.ts";

export interface DirectivesEnv {
  readonly SEQUENCER: { getByName(name: string): WorkedLane & Pick<SequencerProtocol, "admit"> };
  readonly DIRECTIVES: { send(body: Body, options?: { delaySeconds: number }): Promise<unknown> };
  readonly DIRECTIVES_DLQ: DeadLetterQueue;
}

export interface DirectivesContext<Terms> {
  readonly config: Config;
  readonly broadcasterOf: (account: Account) => Broadcaster<Terms>;
  /** Writes the lane into the list of lanes. May throw: work does not wait for it. */
  readonly registerLane: (account: AccountId) => Promise<void>;
  readonly now: () => number;
  readonly random: () => number;
}

type Batch = { readonly queue: string; readonly messages: readonly QueueMessage[] };

interface Item {
  readonly message: QueueMessage;
  readonly account: Account | null;
  readonly directive: Directive | null;
  end: MessageEnd | null;
  rejection: { readonly code: FailureCode; readonly message: string } | null;
}

/** An invocation works its lanes for so long at the most; a lane that is not empty then rings again. */
const WORK_MS = 60_000;

export async function consumeDirectives<Terms>(
  batch: Batch,
  env: DirectivesEnv,
  context: DirectivesContext<Terms>,
): Promise<void> {
  const items = batch.messages.map((message) => read(message, context.config));
  await admitIntroductions(items, env);
  await workLanes(items, env, context);
  await Promise.all(items.map((item) => finish(item, batch.queue, env, context.random())));
}

function read(message: QueueMessage, config: Config): Item {
  const item: Item = { message, account: null, directive: null, end: null, rejection: null };
  const decoded = decodeMessage(message.body);
  if (!decoded.ok) return { ...item, end: { kind: "unreadable" } };
  switch (decoded.value.kind) {
    case "directive": {
      const { directive } = decoded.value;
      const answer = workable(config, directive.account);
      if (answer === "yes") return { ...item, directive, account: directive.account };
      const rejection = { code: answer, message: `${directive.account.id} cannot be worked here` };
      return { ...item, directive, end: { kind: "rejected" }, rejection };
    }
    case "doorbell": {
      const account = parseAccount(decoded.value.account);
      // A doorbell of an account that is no longer configured: its lane's alarm rings once it is again.
      const known = account.ok && workable(config, account.value) === "yes";
      return known ? { ...item, account: account.value } : { ...item, end: { kind: "settled" } };
    }
    case "inbox-doorbell":
    case "confirmation":
    case "rejection":
      return { ...item, end: { kind: "unreadable" } };
    default:
      return unreachable(decoded.value);
  }
}

/** Admits before any work: durable and idempotent, so that the message itself is needed no longer. */
async function admitIntroductions(items: readonly Item[], env: DirectivesEnv): Promise<void> {
  const introductions = items.flatMap((item) =>
    item.end === null && item.directive !== null ? [{ item, directive: item.directive }] : [],
  );
  const byAccount = Map.groupBy(introductions, ({ directive }) => directive.account.id);
  await Promise.all(
    [...byAccount].map(async ([account, group]) => {
      try {
        const answers = await env.SEQUENCER.getByName(account).admit(
          account,
          group.map(({ directive }) => ({
            id: directive.id,
            digest: digestOf(directive),
            payload: encodePayload(directive),
            expiresAtMs: directive.expiresAtMs,
          })),
        );
        for (const [index, { item }] of group.entries()) {
          if (answers[index]?.kind !== "conflict") continue;
          item.end = { kind: "rejected" };
          item.rejection = {
            code: "conflicting_payload",
            message: "the lane has another payload under this id",
          };
        }
      } catch (error) {
        warn("consumers.directives.admit", account, error);
        for (const { item } of group) item.end = { kind: "faulted" };
      }
    }),
  );
}

/** Works every lane that rang, in parallel: a sick lane holds up none of the others. */
async function workLanes<Terms>(
  items: readonly Item[],
  env: DirectivesEnv,
  context: DirectivesContext<Terms>,
): Promise<void> {
  const open = items.flatMap((item) =>
    item.end === null && item.account !== null ? [{ item, account: item.account }] : [],
  );
  const byAccount = Map.groupBy(open, ({ account }) => account.id);
  await Promise.all(
    [...byAccount].map(async ([id, group]) => {
      const account = group[0]?.account;
      if (account === undefined) return;
      const registered = registration(context.registerLane(id), (error) =>
        warn("consumers.directives.register", id, error),
      );
      let end: LaneEnd | "faulted";
      try {
        end = await workLane({
          lane: env.SEQUENCER.getByName(id),
          account: id,
          broadcaster: context.broadcasterOf(account),
          holder: group[0]?.item.message.id ?? "",
          now: context.now,
          stopMs: context.now() + WORK_MS,
        });
      } catch (error) {
        warn("consumers.directives.work", id, error);
        end = "faulted";
      }
      await registered;
      await leaveLane(
        id,
        group.map(({ item }) => item),
        end,
        env,
      );
    }),
  );
}

/**
 * An introduction is admitted, so it is acknowledged whatever the lane came to: giving it back could make a letter
 * of a directive that is alive. One doorbell of the lane waits for the next due time; the others are acknowledged.
 */
async function leaveLane(
  account: AccountId,
  items: readonly Item[],
  end: LaneEnd | "faulted",
  env: DirectivesEnv,
): Promise<void> {
  for (const item of items) item.end = { kind: "settled" };
  if (end !== "faulted" && end.kind === "done") return;
  const waiting: MessageEnd =
    end === "faulted" ? { kind: "faulted" } : { kind: "waiting", dueInMs: end.dueInMs };
  const doorbell = items.find(({ directive }) => directive === null);
  if (doorbell !== undefined) {
    doorbell.end = waiting;
    return;
  }
  const verdict = verdictOf(waiting, { attempts: 1, doorbell: true }, 1);
  if (verdict.kind === "retry") await ringAgain(account, verdict.delaySeconds, env);
}

async function ringAgain(account: AccountId, delaySeconds: number, env: DirectivesEnv): Promise<void> {
  try {
    await env.DIRECTIVES.send(encodeMessage({ kind: "doorbell", account }), { delaySeconds });
  } catch (error) {
    warn("consumers.directives.ring", account, error);
  }
}

async function finish(item: Item, queue: string, env: DirectivesEnv, random: number): Promise<void> {
  const { message, account, directive, end } = item;
  const verdict = verdictOf(
    end ?? { kind: "faulted" },
    { attempts: message.attempts, doorbell: directive === null },
    random,
  );
  await conclude(verdict, message, {
    async ringAgain(delaySeconds) {
      if (account === null) return;
      await env.DIRECTIVES.send(encodeMessage({ kind: "doorbell", account: account.id }), { delaySeconds });
    },
    deadLetter: (form) => sendDeadLetter(form, item, queue, env),
    failed: (error) => warn("consumers.directives.finish", account?.id ?? null, error),
  });
}

async function sendDeadLetter(
  form: "as-it-came" | "rejection",
  { message, directive, rejection }: Pick<Item, "message" | "directive" | "rejection">,
  queue: string,
  env: DirectivesEnv,
): Promise<void> {
  if (form === "as-it-came" || directive === null || rejection === null)
    return sendAsItCame(env.DIRECTIVES_DLQ, message.body);
  const { id, attempts } = message;
  await env.DIRECTIVES_DLQ.send(
    encodeMessage({
      kind: "rejection",
      origin: "introduction",
      sourceQueue: queue,
      messageId: id,
      attempts,
      directive,
      ...rejection,
    }),
  );
}

/** One line; never a body, a header, a key or an RPC URL. */
function warn(at: string, account: AccountId | null, error: unknown): void {
  console.warn(
    JSON.stringify({ at, account, error: error instanceof Error ? error.message : "not an Error" }),
  );
}
