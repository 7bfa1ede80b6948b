import { NEW_IXO_LANE, type IxoLane } from "./ixo-sequence-state.ts";
import type { IxoStore } from "./ixo-protocol.ts";
import type { IxoPair } from "./ixo-request.ts";

/** A redelivery comes within days: a queue keeps a message for 14 at the most. */
const REQUEST_RETENTION_MS = 14 * 24 * 3600 * 1000;
/** One more than a request adds, so that the old ones run out. */
const PRUNED_AT_ONCE = 2;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS ixo_lanes (
    chain_id TEXT NOT NULL, account_number INTEGER NOT NULL, granted_at_ms INTEGER,
    next INTEGER, chain INTEGER, chain_since_ms INTEGER, oldest_since_ms INTEGER, lower_since_ms INTEGER,
    PRIMARY KEY (chain_id, account_number)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ixo_requests (
    chain_id TEXT NOT NULL, account_number INTEGER NOT NULL, request_id TEXT NOT NULL,
    sequence INTEGER NOT NULL, granted_at_ms INTEGER NOT NULL,
    PRIMARY KEY (chain_id, account_number, request_id)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS ixo_requests_age ON ixo_requests (granted_at_ms);
`;

/**
 * The pairs in the object's SQLite database, in tables of their own. Nothing is kept in memory, so an eviction loses
 * nothing: neither a number nor the stagger.
 */
export class IxoStorage implements IxoStore {
  readonly #storage: Pick<DurableObjectStorage, "sql" | "transactionSync">;

  constructor(storage: Pick<DurableObjectStorage, "sql" | "transactionSync">) {
    this.#storage = storage;
    storage.sql.exec(SCHEMA);
  }

  atomically<Answer>(work: () => Answer): Answer {
    return this.#storage.transactionSync(work);
  }

  lane({ chainId, accountNumber }: IxoPair): IxoLane {
    const [row] = this.#storage.sql
      .exec("SELECT * FROM ixo_lanes WHERE chain_id = ? AND account_number = ?", chainId, accountNumber)
      .toArray();
    return row === undefined ? NEW_IXO_LANE : readLane(row);
  }

  putLane({ chainId, accountNumber }: IxoPair, { counter, grantedAtMs }: IxoLane): void {
    this.#storage.sql.exec(
      "INSERT OR REPLACE INTO ixo_lanes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      chainId,
      accountNumber,
      grantedAtMs,
      counter?.next ?? null,
      counter?.chain ?? null,
      counter?.chainSinceMs ?? null,
      counter?.oldestSinceMs ?? null,
      counter?.lowerSinceMs ?? null,
    );
  }

  lanes(): readonly (readonly [IxoPair, IxoLane])[] {
    return this.#storage.sql
      .exec("SELECT * FROM ixo_lanes ORDER BY chain_id, account_number")
      .toArray()
      .map((row) => [
        { chainId: text(row["chain_id"]), accountNumber: Number(row["account_number"]) },
        readLane(row),
      ]);
  }

  requested({ chainId, accountNumber }: IxoPair, requestId: string): number | null {
    const [row] = this.#storage.sql
      .exec(
        "SELECT sequence FROM ixo_requests WHERE chain_id = ? AND account_number = ? AND request_id = ?",
        chainId,
        accountNumber,
        requestId,
      )
      .toArray();
    return numberOrNull(row?.["sequence"]);
  }

  putRequest({ chainId, accountNumber }: IxoPair, requestId: string, sequence: number, nowMs: number): void {
    this.#storage.sql.exec(
      `DELETE FROM ixo_requests WHERE (chain_id, account_number, request_id) IN (
         SELECT chain_id, account_number, request_id FROM ixo_requests
         WHERE granted_at_ms < ? ORDER BY granted_at_ms LIMIT ?)`,
      nowMs - REQUEST_RETENTION_MS,
      PRUNED_AT_ONCE,
    );
    this.#storage.sql.exec(
      "INSERT INTO ixo_requests VALUES (?, ?, ?, ?, ?)",
      chainId,
      accountNumber,
      requestId,
      sequence,
      nowMs,
    );
  }

  forgetRequests({ chainId, accountNumber }: IxoPair): void {
    this.#storage.sql.exec(
      "DELETE FROM ixo_requests WHERE chain_id = ? AND account_number = ?",
      chainId,
      accountNumber,
    );
  }
}

function readLane(row: Record<string, SqlStorageValue>): IxoLane {
  const grantedAtMs = numberOrNull(row["granted_at_ms"]);
  const next = numberOrNull(row["next"]);
  if (next === null) return { counter: null, grantedAtMs };
  return {
    counter: {
      next,
      chain: Number(row["chain"]),
      chainSinceMs: Number(row["chain_since_ms"]),
      oldestSinceMs: numberOrNull(row["oldest_since_ms"]),
      lowerSinceMs: numberOrNull(row["lower_since_ms"]),
    },
    grantedAtMs,
  };
}

function numberOrNull(value: SqlStorageValue | undefined): number | null {
  return typeof value === "number" ? value : null;
}

function text(value: SqlStorageValue | undefined): string {
  if (typeof value === "string") return value;
  throw new Error("the table of lanes holds a value of another type");
}
