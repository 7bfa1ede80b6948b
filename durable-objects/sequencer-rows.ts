import { z } from "zod";
import { isFailureCode } from "../domain/failure.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import type { DirectiveRecord, LaneHeader, Slot } from "./sequencer-state.ts";

/** The part of the Durable Object's SQL that a lane uses. */
export interface LaneSql {
  exec(
    query: string,
    ...bindings: (string | number | null)[]
  ): Iterable<SqlRow> & { toArray(): SqlRow[]; one(): SqlRow };
}

type SqlRow = Record<string, SqlValue>;
type SqlValue = ArrayBuffer | string | number | null;

/** A text column. */
export function text(value: SqlValue | undefined): string {
  if (typeof value === "string") return value;
  throw new Error("the lane's database holds a value of another type");
}

const accountSchema = z.string().transform((spelling): AccountId => {
  const parsed = parseAccount(spelling);
  if (!parsed.ok) throw new Error(`the lane's database holds an account that ${parsed.error}`);
  return parsed.value.id;
});
const failureSchema = z.object({
  code: z.string().refine(isFailureCode),
  message: z.string(),
  retryAfterSeconds: z.number().exactOptional(),
  atMs: z.number(),
});
const flightSchema = z.array(
  z.object({
    sequence: z.number(),
    state: z.enum(["open", "own", "other", "skipped"]),
    id: z.string().nullable(),
    admission: z.number().nullable(),
    transactions: z.array(
      z.object({
        hash: z.string(),
        raw: z.string(),
        token: z.number(),
        validUntil: z.number().nullable(),
        noop: z.boolean(),
        state: z.enum(["recorded", "refused", "unsent", "accepted", "uncertain"]),
      }),
    ),
    resendAtMs: z.number(),
    signedAtMs: z.number(),
    burning: z.boolean(),
    // Slots of before have none.
    failingSinceMs: z.number().nullable().default(null),
    // Slots of before the count have none.
    replacements: z.number().default(0),
  }),
);
const headerSchema = z.object({
  account: accountSchema.nullable(),
  next: z.number().nullable(),
  floor: z.number(),
  floorAssumed: z.boolean(),
  highestRecorded: z.number().nullable(),
  token: z.number(),
  leases: z.array(
    z.object({
      token: z.number(),
      holder: z.string(),
      deadlineMs: z.number(),
      range: z.array(z.number()),
      loans: z.array(z.object({ id: z.string(), admission: z.number(), head: z.boolean() })),
      rebroadcast: z.array(z.number()),
      burns: z.array(z.number()),
      bumps: z.array(z.number()),
    }),
  ),
  chainSequence: z.number().nullable(),
  nextAdmission: z.number(),
  counts: z.object({ admitted: z.number(), settled: z.number(), dead: z.number() }),
  // Lanes of before the tallies have none.
  attempts: z.record(z.string(), z.number()).default({}),
  outage: z
    .object({ attempts: z.number(), sinceMs: z.number(), notBeforeMs: z.number(), failure: failureSchema })
    .nullable(),
  degraded: z.object({ reason: z.string(), probeAtMs: z.number() }).nullable(),
  // Lanes of before an operator's word counted have none.
  believed: z.boolean().default(false),
  breaker: z.number(),
  paused: z.object({ reason: z.string(), actor: z.string(), sinceMs: z.number() }).nullable(),
  pausedMs: z.number(),
  ringAtMs: z.number().nullable(),
  // Lanes of before the count have none.
  unansweredRings: z.number().default(0),
  confirmAtMs: z.number().nullable(),
  pruneAtMs: z.number().nullable(),
  pruneFrom: z.number(),
  evidenceBlock: z.number().nullable(),
  lookUpFailures: z.number(),
});
const directiveSchema = z.object({
  id: z.string(),
  admission: z.number(),
  state: z.enum(["queued", "confirmed", "reverted", "dead", "review", "replaced"]),
});
const factsSchema = z.object({
  digest: z.string(),
  attempts: z.number(),
  notBeforeMs: z.number(),
  expiresAtMs: z.number().nullable(),
  budgetFromMs: z.number(),
  pausedMsBefore: z.number(),
  generation: z.number(),
  sequence: z.number().nullable(),
  log: z.array(
    z.object({
      hash: z.string(),
      sequence: z.number(),
      status: z.enum([
        "recorded",
        "refused",
        "unsent",
        "uncertain",
        "accepted",
        "included",
        "reverted",
        "superseded",
        "expired",
      ]),
    }),
  ),
  firstFailure: failureSchema.nullable(),
  failure: failureSchema.nullable(),
  admittedAtMs: z.number(),
  updatedAtMs: z.number(),
});

/** A bound value is at most 2 MB, and a character at most three bytes. */
const MAX_BOUND_CHARS = 600_000;

/** Rows for `json_each`, in as few statements as bound values allow: a statement costs more than a row. */
export function jsonRows(rows: readonly object[]): readonly string[] {
  const statements: string[] = [];
  let open: string[] = [];
  let chars = 0;
  for (const row of rows.map((each) => JSON.stringify(each))) {
    if (open.length > 0 && chars + row.length > MAX_BOUND_CHARS) {
      statements.push(`[${open.join(",")}]`);
      open = [];
      chars = 0;
    }
    open.push(row);
    chars += row.length + 1;
  }
  return open.length === 0 ? statements : [...statements, `[${open.join(",")}]`];
}

export function readHeader(json: string): LaneHeader {
  return headerSchema.parse(JSON.parse(json));
}

export function readDirective(row: Record<string, SqlValue>): DirectiveRecord {
  const { facts, ...columns } = row;
  return { ...directiveSchema.parse(columns), ...factsSchema.parse(JSON.parse(text(facts))) };
}

export function readFlight(json: string): readonly Slot[] {
  return flightSchema.parse(JSON.parse(json));
}
