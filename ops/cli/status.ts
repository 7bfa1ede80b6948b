import type { LaneReport } from "../../domain/api.ts";
import type { InboxCounts } from "../client-webhooks.ts";
import { LANES_PER_PAGE } from "./lanes.ts";
import { examples, readPages, type AddCommands } from "./command.ts";
import { depthText, incidentsText } from "./depth.ts";
import { CliFailure, EXIT } from "./exit.ts";
import { statusCell, type Output } from "./output.ts";
import { grouped, plural } from "./text.ts";

/** Lanes on the screen that need a person; the rest are counted. */
const MOST_LANES = 10;

export const addStatus: AddCommands = (parent, cli) => {
  const status = parent
    .command("status")
    .description("the Worker, its lanes and inboxes, its incidents and its dead letters on one screen")
    .action(async () => {
      const output = cli.output();
      const client = cli.client();
      if (!(await client.healthy())) {
        const message = `${client.url}/healthz does not answer as Lockstep does: check the URL`;
        throw new CliFailure(EXIT.unreachable, message);
      }
      const [{ items: lanes }, inboxes, depth, incidents] = await Promise.all([
        readPages(
          { all: true },
          null,
          (after) => client.lanesPage({ after, limit: LANES_PER_PAGE }),
          ({ accounts, next }) => ({ items: accounts, next }),
        ),
        client.inboxCounts(),
        client.depth(),
        client.incidents(),
      ]);
      const summary = summaryOf(lanes);
      output.answer({ healthy: true, lanes: summary, inboxes, depth, incidents: incidents.open }, () =>
        [
          "Lockstep runs.",
          summaryText(output, summary, inboxes),
          ...unhealthyLines(output, lanes),
          ...(incidents.open.length === 0
            ? []
            : [
                "",
                output.heading("Incidents"),
                incidentsText(output, { open: incidents.open, closed: [] }, cli.terminal.now()),
              ]),
          "",
          depthText(output, depth, cli.terminal.now()),
        ].join("\n"),
      );
    });
  examples(status, "lockstep status", "lockstep status --json | jq .lanes");
};

interface LanesSummary {
  readonly total: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly counts: LaneReport["counts"];
  readonly lettersOwed: number;
}

function summaryOf(lanes: readonly LaneReport[]): LanesSummary {
  const byStatus: Record<string, number> = {};
  const counts = { admitted: 0, settled: 0, dead: 0, inFlight: 0 };
  let lettersOwed = 0;
  for (const lane of lanes) {
    byStatus[lane.status] = (byStatus[lane.status] ?? 0) + 1;
    counts.admitted += lane.counts.admitted;
    counts.settled += lane.counts.settled;
    counts.dead += lane.counts.dead;
    counts.inFlight += lane.counts.inFlight;
    lettersOwed += lane.lettersOwed;
  }
  return { total: lanes.length, byStatus, counts, lettersOwed };
}

function summaryText(output: Output, lanes: LanesSummary, inboxes: InboxCounts): string {
  const { byStatus, counts, lettersOwed } = lanes;
  const unread = inboxes.unread === 0 ? "" : `, ${grouped(inboxes.unread)} more were not read`;
  const owed = lettersOwed === 0 ? "" : `, ${plural(lettersOwed, "letter")} owed to the ledger`;
  return output.facts([
    ["lanes", countText(byStatus)],
    ["inboxes", `${countText(inboxes.byStatus)}${unread}`],
    [
      "directives",
      `${grouped(counts.admitted)} admitted = ${grouped(counts.settled)} settled + ${grouped(counts.dead)} dead + ${grouped(counts.inFlight)} in flight${owed}`,
    ],
  ]);
}

function countText(byStatus: Readonly<Record<string, number>>): string {
  const total = Object.values(byStatus).reduce((sum, count) => sum + count, 0);
  const statuses = Object.entries(byStatus).map(([status, count]) => `${grouped(count)} ${status}`);
  return `${grouped(total)}${statuses.length === 0 ? "" : ` (${statuses.join(", ")})`}`;
}

/** Those that are not live: the ones that somebody may have to do something about. */
function unhealthyLines(output: Output, lanes: readonly LaneReport[]): readonly string[] {
  const unhealthy = lanes.filter(({ status }) => status === "paused" || status === "degraded");
  if (unhealthy.length === 0) return [];
  const reasons = unhealthy
    .slice(0, MOST_LANES)
    .map(({ account, status, reason }) => [account, statusCell(status, output.paint), reason]);
  const columns = [
    { header: "LANE", clip: "middle" as const },
    { header: "STATUS" },
    { header: "REASON", clip: "below" as const },
  ];
  const left = unhealthy.length - reasons.length;
  const more =
    left === 0 ? [] : [output.paint.dim(`and ${plural(left, "more lane", "more lanes")}: lockstep lanes`)];
  return ["", output.table(columns, reasons), ...more];
}
