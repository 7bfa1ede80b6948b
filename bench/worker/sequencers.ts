import type { AccountId } from "../../domain/ids.ts";
import type { Admission, Evidence, SettleAnswer, Settlement, SignedEntry } from "../../domain/lane.ts";
import { Sequencer as ProductSequencer } from "../../durable-objects/sequencer.ts";
import { CallCounter, countedQueue } from "./call-counter.ts";

type State = ConstructorParameters<typeof ProductSequencer>[0];
type SequencerEnv = ConstructorParameters<typeof ProductSequencer>[1];

/** Tables whose rows a settled directive leaves behind, and the columns that tell two directives apart. */
const KEPT = ["outbox"];
const ROWS_AT_ONCE = 50_000;

/** The product's class and one more method. It bears the product's name, so that both open the same lanes. */
export class Sequencer extends ProductSequencer {
  /**
   * Makes the lane one that has settled `rows` more directives: copies of one that it has confirmed, under ids spread
   * over the whole key space. The object's memory is then of the past: the caller must lose it with `forget`.
   * Throws when nothing was ever confirmed.
   */
  fill(rows: number): void {
    const { sql } = this.ctx.storage;
    const [model] = sql.exec("SELECT id, admission FROM outbox WHERE state = 'confirmed' LIMIT 1").toArray();
    if (model === undefined) throw new Error("the lane has confirmed nothing that could be copied");
    const first = Number(sql.exec("SELECT max(admission) AS last FROM outbox").one()["last"]) + 1;
    for (const table of KEPT) {
      const { columnNames } = sql.exec(`SELECT * FROM ${table} LIMIT 1`);
      const copied = columnNames.map((name) =>
        name === "id" ? "printf('%08x-settled', i * 4096)" : name === "admission" ? "i" : name,
      );
      const from = columnNames.includes("id") ? "WHERE id = ?" : "WHERE admission = ?";
      for (let start = first; start < first + rows; start += ROWS_AT_ONCE) {
        const end = Math.min(start + ROWS_AT_ONCE, first + rows);
        sql.exec(
          `WITH RECURSIVE numbers(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < ?)
           INSERT INTO ${table} (${columnNames.join(", ")})
           SELECT ${copied.join(", ")} FROM numbers, (SELECT * FROM ${table} ${from})`,
          start,
          end,
          columnNames.includes("id") ? (model["id"] ?? null) : (model["admission"] ?? null),
        );
      }
    }
    sql.exec(
      `UPDATE lane SET header = json_set(header, '$.nextAdmission', ?,
         '$.counts.admitted', json_extract(header, '$.counts.admitted') + ?,
         '$.counts.settled', json_extract(header, '$.counts.settled') + ?)`,
      first + rows,
      rows,
      rows,
    );
  }

  /** Ends this instance, once what it wrote is on disk. The call itself fails. */
  async forget(): Promise<void> {
    await this.ctx.storage.sync();
    this.ctx.abort("forgotten");
  }
}

/** The product's class, with its calls, its rows and the time inside its methods counted. */
export class CountedSequencer extends ProductSequencer {
  readonly #counter = new CallCounter();

  constructor(ctx: State, env: SequencerEnv) {
    const DIRECTIVES = countedQueue(env.DIRECTIVES);
    const CONFIRMATIONS = countedQueue(env.CONFIRMATIONS);
    super(ctx, { ...env, DIRECTIVES, CONFIRMATIONS, DIRECTIVES_DLQ: countedQueue(env.DIRECTIVES_DLQ) });
    this.ctx = this.#counter.watch(this.ctx);
  }

  override admit(account: AccountId, admissions: readonly Admission[]) {
    return this.#counter.counted("admit", () => super.admit(account, admissions));
  }
  override take(account: AccountId, holder: string) {
    return this.#counter.counted("take", () => super.take(account, holder));
  }
  override recordSigned(token: number, entries: readonly SignedEntry[]) {
    return this.#counter.counted("recordSigned", () => super.recordSigned(token, entries));
  }
  override settle(settlement: Settlement): SettleAnswer {
    return this.#counter.counted("settle", () => super.settle(settlement));
  }
  override unconfirmed(limit: number) {
    return this.#counter.counted("unconfirmed", () => super.unconfirmed(limit));
  }
  override confirm(evidence: Evidence) {
    return this.#counter.counted("confirm", () => super.confirm(evidence));
  }
  override async alarm(): Promise<void> {
    // What it does before it first waits is all that it writes.
    await this.#counter.counted("alarm", () => super.alarm());
  }
}
