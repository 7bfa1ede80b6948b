import type { DepthReport, IncidentsReport } from "../../domain/api-letters.ts";
import { examples, positiveNumber, type AddCommands, type Cli } from "./command.ts";
import { endingOf, mayAnswerLater } from "./exit.ts";
import type { Output } from "./output.ts";
import { age, bytes, grouped } from "./text.ts";

const CLEAR_SCREEN = "\u001B[H\u001B[2J";
const MOST_LANES = 10;

export const addDepth: AddCommands = (parent, cli) => {
  const depth = parent
    .command("depth")
    .description("what waits on the queues, and open letters by code, lane and age")
    .option("--watch", "again and again, until ctrl-C; with --json one line for each look")
    .option("--interval <seconds>", "between two looks", positiveNumber, 2)
    .action(async ({ watch, interval }) => {
      if (watch === true) return watchDepth(cli, interval);
      const output = cli.output();
      const report = await cli.client().depth();
      output.answer(report, () => depthText(output, report, cli.terminal.now()));
    });
  examples(
    depth,
    "lockstep dlq depth",
    "lockstep dlq depth --watch",
    "lockstep dlq depth --json | jq .letters.open",
  );

  const incidents = parent
    .command("incidents")
    .description("thresholds that are passed, and those that ended last")
    .action(async () => {
      const output = cli.output();
      const report = await cli.client().incidents();
      output.answer(report, () => incidentsText(output, report, cli.terminal.now()));
    });
  examples(incidents, "lockstep dlq incidents");
};

/** A Worker that does not answer for a while is what one watches for: it is said, and asked again. */
async function watchDepth(cli: Cli, intervalSeconds: number): Promise<void> {
  const { terminal } = cli;
  const output = cli.output();
  const client = cli.client();
  for (;;) {
    try {
      const report = await client.depth();
      if (terminal.stdout.isTTY && !output.json) terminal.stdout.write(CLEAR_SCREEN);
      output.answer(report, () => depthText(output, report, terminal.now()));
    } catch (error) {
      terminal.signal.throwIfAborted();
      if (!mayAnswerLater(error)) throw error;
      output.note(`${endingOf(error).message}; asking again in ${intervalSeconds} s`);
    }
    await terminal.pause(intervalSeconds * 1000);
  }
}

export function depthText(output: Output, { queues, letters }: DepthReport, nowMs: number): string {
  const { paint } = output;
  const queueTable = output.table(
    [
      { header: "QUEUE", clip: "end" },
      { header: "WAITING", align: "right" },
      { header: "SIZE", align: "right" },
      { header: "OLDEST", align: "right" },
      { header: "", clip: "below" },
    ],
    Object.entries(queues).map(([name, queue]) => [
      name,
      queue.backlogCount === null ? null : grouped(queue.backlogCount),
      queue.backlogBytes === null ? null : bytes(queue.backlogBytes),
      age(queue.oldestMessageAt, nowMs),
      queue.error === undefined ? "" : { text: queue.error, paint: paint.red },
    ]),
  );
  const { byAge } = letters;
  const summary = output.facts([
    ["open", { text: grouped(letters.open), paint: letters.open === 0 ? paint.green : paint.red }],
    ["replaying", grouped(letters.replaying)],
    ["resolved", grouped(letters.resolved)],
    ["discarded", grouped(letters.discarded)],
    [
      "oldest open",
      letters.oldestOpenAt === null ? null : `${age(letters.oldestOpenAt, nowMs)} (${letters.oldestOpenAt})`,
    ],
    [
      "open for",
      letters.open === 0
        ? null
        : `under 1 h ${grouped(byAge.under1h)}, under 24 h ${grouped(byAge.under24h)}, under 7 d ${grouped(byAge.under7d)}, longer ${grouped(byAge.over7d)}`,
    ],
    [
      "refunds",
      letters.reconciliationRequired === 0
        ? null
        : { text: `${grouped(letters.reconciliationRequired)} to be made by a person`, paint: paint.yellow },
    ],
  ]);
  return [
    queueTable,
    "",
    output.heading("Letters"),
    summary,
    ...countLines(output, "CODE", letters.byCode, null),
    ...countLines(output, "LANE", letters.byLane, output.width === null ? null : MOST_LANES),
  ].join("\n");
}

/** A table of counts, most first; empty when there is none. */
export function countLines(
  output: Output,
  header: string,
  counts: Readonly<Record<string, number>>,
  most: number | null,
): readonly string[] {
  const sorted = Object.entries(counts).toSorted(([, left], [, right]) => right - left);
  if (sorted.length === 0) return [];
  const shown = sorted.slice(0, most ?? sorted.length);
  const rows = shown.map(([name, count]) => [grouped(count), name]);
  const left = sorted.length - shown.length;
  return [
    "",
    output.table(
      [
        { header: "LETTERS", align: "right" },
        { header, clip: "middle" },
      ],
      rows,
    ),
    ...(left === 0 ? [] : [output.paint.dim(`and ${left} more: --wide`)]),
  ];
}

export function incidentsText(output: Output, { open, closed }: IncidentsReport, nowMs: number): string {
  if (open.length + closed.length === 0) return "No incident, now or before.";
  const { red, dim } = output.paint;
  return output.table(
    [
      { header: "" },
      { header: "RULE" },
      { header: "SUBJECT", clip: "middle" },
      { header: "OPENED", align: "right" },
      { header: "ENDED", align: "right" },
      { header: "DETAIL", clip: "below" },
    ],
    [...open, ...closed].map(({ rule, subject, detail, openedAt, closedAt }) => [
      closedAt === null ? { text: "open", paint: red } : { text: "ended", paint: dim },
      rule,
      subject,
      `${age(openedAt, nowMs)} ago`,
      closedAt === null ? null : `${age(closedAt, nowMs)} ago`,
      detail,
    ]),
  );
}
