import { workable, type Config } from "../domain/config.ts";
import type { LetterSummary, LetterTransaction } from "../domain/dead-letter.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { parseInbox, type InboxName } from "../domain/inbox-name.ts";
import type { SequencerProtocol } from "../domain/lane.ts";
import type { InboxProtocol } from "../domain/webhook-event.ts";
import { within } from "../domain/within.ts";
import { CALL_BOUNDS } from "./call-bounds.ts";

export interface NowEnv {
  readonly SEQUENCER: { getByName(account: AccountId): Pick<SequencerProtocol, "directives"> };
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): Pick<InboxProtocol, "event"> };
}

/** What a lane or an inbox says of a letter's work at this moment. */
export interface LetterNow {
  readonly status: string;
  readonly sequence: number | null;
  readonly transactions: readonly LetterTransaction[];
}

/** `now` is null when nobody has the work, or nobody answers: then `error` says why. */
export interface NowAnswer {
  readonly now: LetterNow | null;
  readonly error: string | null;
}

/** Never throws, and waits for no lane or inbox without end. */
export async function letterNow(
  env: NowEnv,
  config: Config,
  letter: LetterSummary,
  callMs = CALL_BOUNDS.callMs,
): Promise<NowAnswer> {
  try {
    return { now: await within(callMs, askFor(env, config, letter)), error: null };
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown.message : String(thrown);
    console.warn(JSON.stringify({ at: "dlq.letter", letter: letter.id, error }));
    return { now: null, error };
  }
}

async function askFor(
  env: NowEnv,
  config: Config,
  { kind, lane, directiveId, digest }: LetterSummary,
): Promise<LetterNow | null> {
  switch (kind) {
    case "raw":
      return null;
    case "event": {
      const inbox = parseInbox(lane ?? "");
      if (inbox === undefined) return null;
      const view = await env.WEBHOOK_INBOX.getByName(inbox.name).event(directiveId);
      return view?.digest === digest
        ? { status: view.status, sequence: view.sequence, transactions: [] }
        : null;
    }
    case "directive":
    case "introduction": {
      const account = parseAccount(lane ?? "");
      if (!account.ok) return null;
      // No object comes to be by asking.
      if (kind === "introduction" && workable(config, account.value) !== "yes") return null;
      const [facts] = await env.SEQUENCER.getByName(account.value.id).directives([directiveId]);
      if (facts?.digest !== digest) return null;
      const { status, sequence, transactions } = facts;
      return {
        status,
        sequence,
        transactions: transactions.map((sent) => ({
          hash: sent.hash,
          sequence: sent.sequence,
          status: sent.status,
        })),
      };
    }
  }
}
