import { z } from "zod";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { parseInbox, type InboxAddress, type InboxName } from "../domain/inbox-name.ts";
import type { LedgerDatabase } from "./ledger.ts";

/** Lanes that this isolate has registered: a lane costs one write in its life, and one read in an isolate's. */
const registered = new Set<AccountId>();

/** Writes the lane down, once. Throws what D1 throws: the next work on the lane tries again. */
export async function registerLane(db: LedgerDatabase, account: AccountId, nowMs: number): Promise<void> {
  if (registered.has(account)) return;
  await db
    .prepare("INSERT INTO lanes (account, registered_at) VALUES (?, ?) ON CONFLICT (account) DO NOTHING")
    .bind(account, nowMs)
    .run();
  registered.add(account);
}

/** As `registered`, of inboxes. A key has an inbox of its own, so there may be more than an isolate should remember. */
const registeredInboxes = new Set<InboxName>();
const MAX_REMEMBERED = 10_000;

/** Writes the inbox down, once. Throws what D1 throws: the next work on the inbox tries again. */
export async function registerInbox(
  db: LedgerDatabase,
  { name, source }: InboxAddress,
  nowMs: number,
): Promise<void> {
  if (registeredInboxes.has(name)) return;
  await db
    .prepare(
      "INSERT INTO inboxes (name, source, registered_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
    )
    .bind(name, source, nowMs)
    .run();
  if (registeredInboxes.size >= MAX_REMEMBERED) registeredInboxes.clear();
  registeredInboxes.add(name);
}

const rows = z.array(z.object({ account: z.string() }));

/** Lanes in the order of their accounts, after the given one. */
export async function listLanes(
  db: LedgerDatabase,
  after: string,
  limit: number,
): Promise<readonly AccountId[]> {
  const { results } = await db
    .prepare("SELECT account FROM lanes WHERE account > ? ORDER BY account LIMIT ?")
    .bind(after, limit)
    .all();
  return rows.parse(results).flatMap(({ account }) => {
    const parsed = parseAccount(account);
    return parsed.ok ? [parsed.value.id] : [];
  });
}

const inboxRows = z.array(z.object({ name: z.string() }));

/** Inboxes of a source in the order of their names, after the given one. */
export async function listInboxes(
  db: LedgerDatabase,
  source: string,
  after: string,
  limit: number,
): Promise<readonly InboxName[]> {
  const { results } = await db
    .prepare("SELECT name FROM inboxes WHERE source = ? AND name > ? ORDER BY name LIMIT ?")
    .bind(source, after, limit)
    .all();
  return inboxRows.parse(results).flatMap(({ name }) => parseInbox(name)?.name ?? []);
}
