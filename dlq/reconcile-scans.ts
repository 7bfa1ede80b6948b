import { z } from "zod";
import type { LetterSummary } from "../domain/dead-letter.ts";
import type { LedgerDatabase } from "./ledger.ts";
import { SUMMARY_COLUMNS, summaryRow, toSummary } from "./letter-row.ts";

/**
 * What is reconciled, a page of each at a time, round and round: letters in review, which only evidence closes; letters
 * that were replayed; and every other open one, since its directive may have come to an end by another way.
 */
const SCANS = {
  review: {
    limit: 200,
    page: `INDEXED BY letters_in_review WHERE state = 'open' AND directive_status = 'review'
      AND (opened_at, seq) > (?1, ?2) ORDER BY opened_at, seq LIMIT ?3`,
    beginning: [-1, -1],
    keyOf: ({ opened_at, seq }: Row) => [opened_at, seq],
  },
  replaying: {
    limit: 200,
    page: byGroup("replaying"),
    beginning: ["", "", -1, -1],
    keyOf: groupKey,
  },
  open: {
    limit: 100,
    page: byGroup("open"),
    beginning: ["", "", -1, -1],
    keyOf: groupKey,
  },
} as const satisfies Record<string, Scan>;

type ScanName = keyof typeof SCANS;
type Row = z.infer<typeof summaryRow>;

interface Scan {
  readonly limit: number;
  /** What follows FROM letters: its parameters are the key that it begins after, and the limit. */
  readonly page: string;
  readonly beginning: readonly (string | number)[];
  readonly keyOf: (row: Row) => readonly (string | number)[];
}

/** No lane knows anything of raw letters: theirs is the last of the kinds. */
function byGroup(state: "open" | "replaying"): string {
  return `INDEXED BY letters_by_group WHERE state = '${state}' AND kind < 'raw'
    AND (kind, code, opened_at, seq) > (?1, ?2, ?3, ?4) ORDER BY kind, code, opened_at, seq LIMIT ?5`;
}

function groupKey({ kind, code, opened_at, seq }: Row): readonly (string | number)[] {
  return [kind, code, opened_at, seq];
}

const positionRow = z.object({
  scan: z.string(),
  position: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(z.array(z.union([z.string(), z.number()]))),
});

export interface ScanPage {
  readonly letters: readonly LetterSummary[];
  /** Call it when the page is done: until then, the next reading begins at the same place. */
  advance(db: LedgerDatabase): Promise<void>;
}

/** The next page of each scan. */
export async function nextPage(db: LedgerDatabase): Promise<ScanPage> {
  const { results } = await db.prepare("SELECT scan, position FROM reconcile_scans").all();
  const positions = new Map(
    results.map((row) => positionRow.parse(row)).map(({ scan, position }) => [scan, position]),
  );
  const names: readonly ScanName[] = ["review", "replaying", "open"];
  const pages = await db.batch(
    names.map((name) => {
      const { page, beginning, limit } = SCANS[name];
      return db
        .prepare(`SELECT ${SUMMARY_COLUMNS} FROM letters ${page}`)
        .bind(...(positions.get(name) ?? beginning), limit);
    }),
  );
  const read = names.map((name, index) => {
    const rows = (pages[index]?.results ?? []).map((row) => summaryRow.parse(row));
    const last = rows.length < SCANS[name].limit ? undefined : rows.at(-1);
    return { name, rows, position: last === undefined ? SCANS[name].beginning : SCANS[name].keyOf(last) };
  });
  const letters = new Map(read.flatMap(({ rows }) => rows.map((row) => [row.id, toSummary(row)])));
  return {
    letters: [...letters.values()],
    advance: async (ledger) => {
      await ledger.batch(
        read.map(({ name, position }) =>
          ledger
            .prepare(
              "INSERT INTO reconcile_scans (scan, position) VALUES (?, ?) ON CONFLICT (scan) DO UPDATE SET position = excluded.position",
            )
            .bind(name, JSON.stringify(position)),
        ),
      );
    },
  };
}
