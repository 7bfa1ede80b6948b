import { z } from "zod";
import { parseAccount, type AccountId } from "../domain/ids.ts";
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
