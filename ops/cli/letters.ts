import { Option } from "@commander-js/extra-typings";
import type { LetterFullReport, LetterSummaryReport } from "../../domain/api-letters.ts";
import { LETTER_STATES } from "../../domain/dead-letter.ts";
import { examples, readPages, wholeNumber, type AddCommands } from "./command.ts";
import { transactionLines } from "./lanes.ts";
import {
  codeOption,
  filterOf,
  fromOption,
  kindOption,
  laneOption,
  queueOption,
  toOption,
} from "./letter-filter.ts";
import { stateCell, type Output } from "./output.ts";
import type { Cell } from "./table.ts";
import { age, printable, quoted } from "./text.ts";

const PER_PAGE = 50;
const MOST_PER_PAGE = 100;
const ROOMY_COLUMNS = 110;

export const addLetters: AddCommands = (parent, cli) => {
  const list = parent
    .command("list")
    .description("dead letters, newest first, a page at a time")
    .addOption(new Option("--state <state>", "what became of the letter").choices(LETTER_STATES))
    .addOption(codeOption())
    .addOption(kindOption())
    .addOption(laneOption())
    .addOption(queueOption())
    .addOption(fromOption(cli))
    .addOption(toOption(cli))
    .option("--cursor <cursor>", "the page after the one that named it, with the same filters")
    .option("--limit <count>", "so many in a page", wholeNumber(1, MOST_PER_PAGE), PER_PAGE)
    .option("--all", "every page")
    .action(async (flags) => {
      const output = cli.output();
      const client = cli.client();
      const { ids: _, ...query } = filterOf(flags);
      const { from, to } = query;
      const state = flags.state === undefined ? {} : { state: flags.state };
      const { items, next } = await readPages(
        flags,
        flags.cursor ?? null,
        (cursor) => client.lettersPage({ ...query, ...state }, { cursor, limit: flags.limit }),
        ({ letters, nextCursor }) => ({ items: letters, next: nextCursor }),
      );
      output.answer({ letters: items, nextCursor: next }, () =>
        lettersTable(output, items, cli.terminal.now()),
      );
      // A cursor is of one filter: "24h ago" would be another one a moment later.
      const times = [from === undefined ? "" : ` --from ${from}`, to === undefined ? "" : ` --to ${to}`].join(
        "",
      );
      if (next !== null) {
        output.note(`More: the same command with${times} --cursor ${quoted(next)}, or with --all`);
      }
    });
  examples(
    list,
    "lockstep dlq list --state open --from 24h",
    "lockstep dlq list --code unauthorized --lane eip155:31337:0xf39f…2266 --wide",
    "lockstep dlq list --state open --all --json | jq -r '.letters[].id'",
  );

  const show = parent
    .command("show")
    .description("one letter: why, how often, every hash, its history, and what the lane says of it now")
    .argument("<letter>", "the letter's id")
    .action(async (id) => {
      const output = cli.output();
      const letter = await cli.client().letter(id);
      output.answer(letter, () => letterText(output, letter));
    });
  examples(show, "lockstep dlq show 3f2a…91c0", "lockstep dlq show 3f2a…91c0 --json | jq .body");
};

function lettersTable(output: Output, letters: readonly LetterSummaryReport[], nowMs: number): string {
  if (letters.length === 0) return "No letter fits.";
  // An id is what the other commands take, so it is never cut, and leaves 80 columns no room for a lane.
  const roomy = output.width === null || output.width >= ROOMY_COLUMNS;
  return output.table(
    [
      { header: "LETTER" },
      { header: "STATE" },
      { header: "CODE", clip: "end" },
      { header: "DIRECTIVE", clip: "middle" },
      ...(roomy ? [{ header: "LANE", clip: "middle" as const }] : []),
      { header: "OPENED", align: "right" },
    ],
    letters.map(({ id, state, code, directiveId, lane, openedAt }) => [
      id,
      stateCell(state, output.paint),
      code,
      directiveId,
      ...(roomy ? [lane] : []),
      age(openedAt, nowMs),
    ]),
  );
}

function nowText({ now, nowError }: LetterFullReport): string | null {
  if (now === null) return nowError === undefined ? null : `not known: ${nowError}`;
  return `${now.status}${now.sequence === null ? "" : `, sequence ${now.sequence}`}`;
}

function letterText(output: Output, letter: LetterFullReport): string {
  const { now } = letter;
  const { paint } = output;
  const first =
    letter.firstFailureAt === letter.lastFailureAt
      ? null
      : `${letter.firstFailureCode} (${letter.firstFailureAt})`;
  return [
    output.facts([
      ...summaryFacts(output, letter),
      ["failure", `${letter.code}: ${letter.message} (${letter.lastFailureAt})`],
      ["first failure", first],
      ["remedy", letter.remedy],
      ["attempts", letter.attempts],
      ["sequence", letter.sequence],
      ["now", nowText(letter)],
      ["from queue", letter.sourceQueue],
      ["digest", letter.digest],
      ["replayed", `${letter.generation} times`],
      ["replay", letter.replay],
      ["previous", letter.previous],
      ["next", letter.next],
      ["replaced by", letter.replacedBy],
      ["replaces", letter.replaces],
      ["refund", letter.refund === null ? null : { text: "to be made by a person", paint: paint.yellow }],
      ["opened", letter.openedAt],
    ]),
    ...transactionLines(output, "Transactions when it was written", letter.transactions),
    ...transactionLines(output, "Transactions now", now?.transactions ?? []),
    ...historyLines(output, letter),
    "",
    output.heading(`Body (${letter.bodyFormat})`),
    printable(typeof letter.body === "string" ? letter.body : JSON.stringify(letter.body, null, 2)),
  ].join("\n");
}

/** What a letter is, and what became of it. */
export function summaryFacts(
  { paint }: Output,
  letter: LetterSummaryReport,
): readonly (readonly [string, Cell])[] {
  return [
    ["letter", letter.id],
    ["state", stateCell(letter.state, paint)],
    ["resolution", letter.resolution],
    ["kind", letter.kind],
    ["lane", letter.lane],
    [letter.kind === "event" ? "event" : letter.kind === "raw" ? "message" : "directive", letter.directiveId],
    ["was", letter.directiveStatus],
  ];
}

function historyLines(output: Output, { history }: LetterFullReport): readonly string[] {
  if (history.length === 0) return [];
  const columns = [
    { header: "AT" },
    { header: "BY", clip: "end" as const },
    { header: "ACTION", clip: "end" as const },
    { header: "REASON", clip: "below" as const },
  ];
  return [
    "",
    output.table(
      columns,
      history.map(({ at, actor, action, reason }) => [at, actor, action, reason]),
    ),
  ];
}
