/**
 * In: a verified event, and the inbox that its source's configuration gives it.
 * Out: whether another inbox of the source was given its id. An id is one event of a source, whichever its inbox: a change of
 * `shards` or of the ordering key makes no second event of a redelivery, and two events under one id are not taken for one.
 * On failure: an index that does not answer in time knows nothing, for admission does not depend on it: the event's own inbox
 * still knows what it has. An inbox that the index names and that does not answer is `no-answer`.
 */
import type { InboxAddress, InboxName } from "../domain/inbox-name.ts";
import type { EventAdmission, IndexEntry, InboxProtocol } from "../domain/webhook-event.ts";
import { within } from "../domain/within.ts";
import { indexOf, type IndexNamespace } from "./event-index.ts";
import { describeThrown, logLine } from "./log.ts";

export interface IdentityEnv {
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): Pick<InboxProtocol, "event"> };
  readonly WEBHOOK_INDEX: IndexNamespace<"find" | "note">;
}

export type Identity =
  /** For its own inbox to say. `noted`: the index has it already. */
  | { readonly kind: "own"; readonly noted: boolean }
  | { readonly kind: "elsewhere"; readonly inbox: InboxName; readonly sequence: number }
  /** The id is another event's. */
  | { readonly kind: "taken"; readonly inbox: InboxName }
  | { readonly kind: "no-answer" };

/** The index is waited for so long: a provider waits for the answer. */
const INDEX_MS = 1000;

export async function identify(
  env: IdentityEnv,
  own: InboxAddress,
  { id, digest }: EventAdmission,
): Promise<Identity> {
  const entry = await find(env, own, id);
  if (entry === undefined || entry.inbox === own.name) return { kind: "own", noted: entry !== undefined };
  const { inbox } = entry;
  try {
    const event = await env.WEBHOOK_INBOX.getByName(inbox).event(id);
    // Forgotten since, or never admitted after all.
    if (event === undefined) return { kind: "own", noted: false };
    if (event.digest === digest) return { kind: "elsewhere", inbox, sequence: event.sequence };
    const isOwn = (await env.WEBHOOK_INBOX.getByName(own.name).event(id)) !== undefined;
    return isOwn ? { kind: "own", noted: true } : { kind: "taken", inbox };
  } catch (error) {
    logLine("error", "producers.identify", { source: own.source, ...describeThrown(error) });
    return { kind: "no-answer" };
  }
}

async function find(
  { WEBHOOK_INDEX }: IdentityEnv,
  { source }: InboxAddress,
  id: string,
): Promise<IndexEntry | undefined> {
  try {
    return await within(INDEX_MS, indexOf(WEBHOOK_INDEX, source, id).find(id));
  } catch (error) {
    logLine("warn", "producers.index", { source, ...describeThrown(error) });
    return undefined;
  }
}

/** Writes down where an event is. Never throws. */
export async function note(
  { WEBHOOK_INDEX }: IdentityEnv,
  { source, name }: InboxAddress,
  id: string,
  admittedAtMs: number,
): Promise<void> {
  try {
    await within(INDEX_MS, indexOf(WEBHOOK_INDEX, source, id).note({ id, admittedAtMs, inbox: name }));
  } catch (error) {
    logLine("warn", "producers.index", { source, ...describeThrown(error) });
  }
}
