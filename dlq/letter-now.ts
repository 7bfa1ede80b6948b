import { workable, type Config } from "../domain/config.ts";
import type { LetterSummary, LetterTransaction } from "../domain/dead-letter.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { parseInbox, type InboxName } from "../domain/inbox-name.ts";
import type { SequencerProtocol } from "../domain/lane.ts";
import type { InboxProtocol } from "../domain/webhook-event.ts";

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

/** Null when nobody has the work, or its lane or inbox does not answer. Never throws. */
export async function letterNow(
  env: NowEnv,
  config: Config,
  letter: LetterSummary,
): Promise<LetterNow | null> {
  try {
    return await askFor(env, config, letter);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(JSON.stringify({ at: "dlq.letter", letter: letter.id, error: reason }));
    return null;
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
