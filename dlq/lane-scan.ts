// In:  the registries of lanes and inboxes.
// Out: what each of them says of itself.
// On failure: a lane or an inbox that throws, or does not answer in time, is counted and holds up no other; a ledger that does not answer throws.
import { z } from "zod";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { parseInbox, type InboxName } from "../domain/inbox-name.ts";
import type { LaneStatusView, SequencerProtocol } from "../domain/lane.ts";
import type { InboxProtocol, InboxStatusView } from "../domain/webhook-event.ts";
import type { LedgerDatabase } from "./ledger.ts";

export interface ScanEnv {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: { getByName(name: AccountId): Pick<SequencerProtocol, "status"> };
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): Pick<InboxProtocol, "status"> };
}

export interface Scan<Name extends string, View> {
  readonly read: readonly { readonly name: Name; readonly view: View }[];
  /** Asked in vain. */
  readonly unread: number;
  /** In the registry, and not asked. */
  readonly leftOut: number;
}

export interface ScanBounds {
  /** So many of each registry at the most. */
  readonly limit: number;
  /** All of them together may take so long. */
  readonly withinMs: number;
}

export const SCAN_BOUNDS: ScanBounds = { limit: 1000, withinMs: 8000 };
const AT_ONCE = 25;

/**
 * `turn` chooses the part of a registry that is longer than the limit: a caller that counts on from turn to turn sees all
 * of it; one that always gives 0 sees the oldest, always the same ones.
 */
export async function scanLanes(
  env: ScanEnv,
  { limit, withinMs }: ScanBounds,
  turn: number,
): Promise<Scan<AccountId, LaneStatusView>> {
  const { names, leftOut } = await part(env.LEDGER, "lanes", "account", limit, turn);
  const accounts = names.flatMap((name) => {
    const account = parseAccount(name);
    return account.ok ? [account.value.id] : [];
  });
  const asked = await ask(accounts, (account) => env.SEQUENCER.getByName(account).status(), withinMs);
  return { ...asked, leftOut };
}

export async function scanInboxes(
  env: ScanEnv,
  { limit, withinMs }: ScanBounds,
  turn: number,
): Promise<Scan<InboxName, InboxStatusView>> {
  const { names, leftOut } = await part(env.LEDGER, "inboxes", "name", limit, turn);
  const inboxes = names.flatMap((name) => parseInbox(name)?.name ?? []);
  const asked = await ask(inboxes, (name) => env.WEBHOOK_INBOX.getByName(name).status(), withinMs);
  return { ...asked, leftOut };
}

const countRow = z.object({ names: z.number() });
const nameRow = z.object({ name: z.string() });

async function part(
  db: LedgerDatabase,
  registry: "lanes" | "inboxes",
  column: "account" | "name",
  limit: number,
  turn: number,
): Promise<{ readonly names: readonly string[]; readonly leftOut: number }> {
  const counted = await db.prepare("SELECT names FROM registered WHERE registry = ?").bind(registry).all();
  const total = countRow.parse(counted.results[0]).names;
  const parts = Math.max(1, Math.ceil(total / limit));
  const { results } = await db
    .prepare(`SELECT ${column} AS name FROM ${registry} ORDER BY registered_at, ${column} LIMIT ? OFFSET ?`)
    .bind(limit, (turn % parts) * limit)
    .all();
  const names = results.map((row) => nameRow.parse(row).name);
  return { names, leftOut: Math.max(0, total - names.length) };
}

async function ask<Name extends string, View>(
  names: readonly Name[],
  statusOf: (name: Name) => Promise<View>,
  withinMs: number,
): Promise<Omit<Scan<Name, View>, "leftOut">> {
  const read: { readonly name: Name; readonly view: View }[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<"over">((resolve) => {
    timer = setTimeout(() => resolve("over"), withinMs);
  });
  const left = names.values();
  const askers = Array.from({ length: Math.min(AT_ONCE, names.length) }, async () => {
    for (const name of left) {
      const view = await Promise.race([answerOf(name, statusOf), over]);
      if (view === "over") return;
      if (view !== undefined) read.push({ name, view: view.said });
    }
  });
  await Promise.all(askers);
  if (timer !== undefined) clearTimeout(timer);
  return { read, unread: names.length - read.length };
}

async function answerOf<Name extends string, View>(
  name: Name,
  statusOf: (name: Name) => Promise<View>,
): Promise<{ readonly said: View } | undefined> {
  try {
    return { said: await statusOf(name) };
  } catch {
    return undefined;
  }
}
