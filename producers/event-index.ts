import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import {
  INDEX_SHARDS,
  type IndexEntry,
  type IndexPlace,
  type IndexProtocol,
} from "../domain/webhook-event.ts";

/** The stubs that know where the events of a source are. */
export interface IndexNamespace<Method extends keyof IndexProtocol> {
  getByName(name: string): Pick<IndexProtocol, Method>;
}

/** The part of a source's index that has an event's id. */
export function indexOf<Stub>(
  namespace: { getByName(name: string): Stub },
  source: string,
  eventId: string,
): Stub {
  const [first = 0] = sha256(utf8ToBytes(eventId));
  return namespace.getByName(`${source}#${first % INDEX_SHARDS}`);
}

/** The newest of every part, older than the given place; `more` when the source has others beyond them. */
export async function latestOf(
  namespace: IndexNamespace<"latest">,
  source: string,
  before: IndexPlace | null,
  limit: number,
): Promise<{ readonly entries: readonly IndexEntry[]; readonly more: boolean }> {
  const parts = await Promise.all(
    Array.from({ length: INDEX_SHARDS }, (_, part) =>
      namespace.getByName(`${source}#${part}`).latest(before, limit + 1),
    ),
  );
  const found = parts.flat().toSorted(newestFirst);
  return { entries: found.slice(0, limit), more: found.length > limit };
}

function newestFirst(left: IndexPlace, right: IndexPlace): number {
  if (left.admittedAtMs !== right.admittedAtMs) return right.admittedAtMs - left.admittedAtMs;
  return left.id < right.id ? 1 : -1;
}
