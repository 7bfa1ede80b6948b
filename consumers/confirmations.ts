// In:  the `confirmations` queue: a lane's alarm asks for its open slots to be looked up.
// Out: evidence in the Sequencer, read from one node at one block of the final depth.
// On failure: acknowledged and logged; the lane's alarm asks again. The handler never throws.
import { workable, type Config } from "../domain/config.ts";
import type { Failure } from "../domain/failure.ts";
import { parseAccount, type Account } from "../domain/ids.ts";
import type { Evidence, SequencerProtocol, UnconfirmedSlot } from "../domain/lane.ts";
import { decodeMessage } from "../domain/message.ts";
import { ok, type Result } from "../domain/result.ts";
import type { Broadcaster } from "./broadcasters/broadcaster.ts";
import type { QueueMessage } from "./verdict.ts";

export interface ConfirmationsEnv {
  readonly SEQUENCER: {
    getByName(name: string): Pick<SequencerProtocol, "unconfirmed" | "confirm" | "lookUpFailed">;
  };
}

export interface ConfirmationsContext<Terms> {
  readonly config: Config;
  /** For lanes that are looked up together. */
  readonly broadcastersOf: (accounts: readonly Account[]) => (account: Account) => LookUps<Terms>;
}

type LookUps<Terms> = Pick<Broadcaster<Terms>, "lookUp" | "usersOf">;

type Batch = { readonly messages: readonly Pick<QueueMessage, "body" | "ack">[] };

/** Slots looked up in one round; rounds go on while they bring finality. */
const LOOK_UP = 2000;
const MAX_ROUNDS = 20;

export async function consumeConfirmations<Terms>(
  batch: Batch,
  env: ConfirmationsEnv,
  context: ConfirmationsContext<Terms>,
): Promise<void> {
  const accounts = new Map<string, Account>();
  for (const { body } of batch.messages) {
    const decoded = decodeMessage(body);
    if (!decoded.ok || decoded.value.kind !== "confirmation") continue;
    const account = parseAccount(decoded.value.account);
    if (account.ok && workable(context.config, account.value) === "yes")
      accounts.set(account.value.id, account.value);
  }
  const broadcasterOf = context.broadcastersOf([...accounts.values()]);
  await Promise.all(
    Array.from(accounts.values(), (account) =>
      confirmLane(account, env, context.config, () => broadcasterOf(account)),
    ),
  );
  for (const message of batch.messages) message.ack();
}

async function confirmLane<Terms>(
  account: Account,
  env: ConfirmationsEnv,
  config: Config,
  broadcasterOf: () => LookUps<Terms>,
): Promise<void> {
  const confirmations = config.chains.get(account.chain)?.policy.confirmations;
  if (confirmations === undefined) return;
  try {
    const lane = env.SEQUENCER.getByName(account.id);
    const broadcaster = broadcasterOf();
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const { slots, sinceBlock } = await lane.unconfirmed(LOOK_UP);
      if (slots.length === 0) return;
      const evidence = await lookUp(broadcaster, slots, confirmations, sinceBlock);
      if (!evidence.ok) {
        const { code, message } = evidence.error;
        console.warn(
          JSON.stringify({ at: "consumers.confirmations", account: account.id, code, error: message }),
        );
        await lane.lookUpFailed(evidence.error);
        return;
      }
      const { finalized, open } = await lane.confirm(evidence.value);
      if (finalized < slots.length || open === 0) return;
    }
  } catch (error) {
    console.warn(
      JSON.stringify({
        at: "consumers.confirmations",
        account: account.id,
        error: error instanceof Error ? error.message : "not an Error",
      }),
    );
  }
}

/** The sequence first, which is cheap; then the hashes of those slots alone that it, or their validity, may decide. */
async function lookUp<Terms>(
  broadcaster: LookUps<Terms>,
  slots: readonly UnconfirmedSlot[],
  confirmations: number,
  sinceBlock: number | null,
): Promise<Result<Evidence, Failure>> {
  const glance = await broadcaster.lookUp([], confirmations);
  if (!glance.ok) return glance;
  const { sequence, block } = glance.value;
  const decidable = slots.filter(
    (slot) => slot.sequence < sequence || (slot.validUntil !== null && slot.validUntil <= block),
  );
  if (decidable.length === 0) return glance;
  const hashes = decidable.flatMap((slot) => slot.hashes);
  const evidence = await broadcaster.lookUp(hashes, confirmations, sinceBlock);
  if (!evidence.ok) return evidence;
  const landed = new Set(evidence.value.receipts.map(({ hash }) => hash));
  const missing = decidable.filter(
    (slot) => slot.sequence < evidence.value.sequence && !slot.hashes.some((hash) => landed.has(hash)),
  );
  if (missing.length === 0) return evidence;
  const users = await broadcaster.usersOf(
    missing.map((slot) => slot.sequence),
    evidence.value.block,
  );
  if (!users.ok) return users;
  // Ours after all: its receipt will be found, or it will be sent again, but it is never taken for another's.
  const ours = new Set(hashes);
  return ok({ ...evidence.value, foreign: users.value.filter(({ hash }) => !ours.has(hash)) });
}
