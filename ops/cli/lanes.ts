import type { LaneReport } from "../../domain/api.ts";
import type { LaneCommand } from "../client-lanes.ts";
import { examples, readPages, reasonOption, wholeNumber, type AddCommands } from "./command.ts";
import { CliFailure, EXIT } from "./exit.ts";
import { statusCell, type Output } from "./output.ts";
import type { Cell } from "./table.ts";
import { grouped, plain } from "./text.ts";

export const LANES_PER_PAGE = 100;

export const addLanes: AddCommands = (parent, cli) => {
  const lanes = parent
    .command("lanes")
    .description("every lane that was ever admitted to, a page at a time")
    .option("--after <account>", "the lanes after this one")
    .option("--limit <count>", "so many in a page", wholeNumber(1, LANES_PER_PAGE), LANES_PER_PAGE)
    .option("--all", "every page")
    .action(async (flags) => {
      const output = cli.output();
      const client = cli.client();
      const { items, next } = await readPages(
        flags,
        flags.after ?? null,
        (after) => client.lanesPage({ after, limit: flags.limit }),
        ({ accounts, next: following }) => ({ items: accounts, next: following }),
      );
      output.answer({ accounts: items, next }, () => lanesTable(output, items));
      if (next !== null) output.note(`More: lockstep lanes --after ${next}`);
    });
  examples(
    lanes,
    "lockstep lanes",
    "lockstep lanes --all --json | jq -r '.accounts[] | select(.status != \"live\").account'",
  );

  const lane = parent.command("lane").description("one lane: show it, pause, resume or repair it");
  const show = lane
    .command("show", { isDefault: true })
    .description("sequences, counts, leases and the lane's log")
    .argument("<account>", "CAIP-10 account")
    .action(async (account) => {
      const output = cli.output();
      const report = await cli.client().lane(account);
      output.answer(report, () => laneText(output, report));
    });
  examples(show, "lockstep lane eip155:31337:0xf39f…2266");
  examples(
    lane,
    "lockstep lane eip155:31337:0xf39f…2266",
    'lockstep lane pause eip155:31337:0xf39f…2266 --reason "key rotation"',
  );

  const commands: Readonly<Record<LaneCommand, string>> = {
    pause: "takes no new work until it is resumed; what is out is still followed",
    resume: "goes on, also after the breaker paused it",
    repair: "forgets every delay: look-ups, rebroadcasts and attempts are due at once",
  };
  for (const name of ["pause", "resume", "repair"] as const) {
    const command = lane
      .command(name)
      .description(commands[name])
      .argument("<account>", "CAIP-10 account")
      .addOption(reasonOption())
      .action(async (account, { reason }) => {
        const output = cli.output();
        const report = await cli.client().commandLane(account, name, reason);
        output.answer(report, () => laneText(output, report));
        noteUnchanged(output, "lane", name, reason, report);
      });
    examples(command, `lockstep lane ${name} eip155:31337:0xf39f…2266 --reason "key rotation"`);
  }

  const directive = parent
    .command("directive")
    .description("what became of one directive")
    .argument("<account>", "CAIP-10 account")
    .argument("<id>", "the directive's id")
    .action(async (account, id) => {
      const output = cli.output();
      const report = await cli.client().directive(account, id);
      if (report === null) throw new CliFailure(EXIT.conflict, `${account} has no directive ${id}`);
      output.answer(report, () =>
        [
          output.facts([
            ["id", report.id],
            ["account", report.account],
            ["status", statusCell(report.status, output.paint)],
            ["sequence", report.sequence ?? null],
            ["attempts", report.attempts],
            ["last failure", report.failure === undefined ? null : failureText(report.failure)],
            ["admitted", report.admittedAt],
            ["updated", report.updatedAt],
          ]),
          ...transactionLines(output, "Transactions", report.transactions),
        ].join("\n"),
      );
    });
  examples(directive, "lockstep directive eip155:31337:0xf39f…2266 invoice-7");
};

function lanesTable(output: Output, lanes: readonly LaneReport[]): string {
  if (lanes.length === 0) return "No lane was ever admitted to.";
  return output.table(
    [
      { header: "ACCOUNT", clip: "middle" },
      { header: "STATUS" },
      { header: "IN FLIGHT", align: "right" },
      { header: "SETTLED", align: "right" },
      { header: "DEAD", align: "right" },
      { header: "NEXT", align: "right" },
      { header: "OPEN", align: "right" },
    ],
    lanes.map(({ account, status, counts, nextSequence, open }) => [
      account,
      statusCell(status, output.paint),
      counts.inFlight,
      counts.settled,
      counts.dead,
      nextSequence,
      open,
    ]),
  );
}

function laneText(output: Output, lane: LaneReport): string {
  const { counts, checkpoint, leases, outage } = lane;
  const summary = output.facts([
    ["account", lane.account],
    ["status", statusCell(lane.status, output.paint)],
    ["reason", lane.reason],
    [
      "sequence",
      `next ${lane.nextSequence}, the chain's ${lane.chainSequence === null ? "not read yet" : `${lane.chainSequence} as last read`}`,
    ],
    ["checkpoint", `received ${checkpoint.received ?? "none"}, contiguous ${checkpoint.contiguous}`],
    [
      "directives",
      `${grouped(counts.admitted)} admitted = ${grouped(counts.settled)} settled + ${grouped(counts.dead)} dead + ${grouped(counts.inFlight)} in flight`,
    ],
    ["open slots", lane.open],
    ["letters owed", lane.lettersOwed],
    [
      "leases",
      leases.length === 0
        ? null
        : leases.map(({ holder, endsInMs }) => `${holder} (${endsInMs} ms)`).join(", "),
    ],
    ["outage", outage === null ? null : failureText(outage)],
  ]);
  return [summary, ...eventLines(output, lane.events)].join("\n");
}

/** A lane or an inbox logs each action that changed it, as `<actor>: <reason>`; one that changed nothing it does not log. */
export function noteUnchanged(
  output: Output,
  what: "lane" | "inbox",
  action: "pause" | "resume" | "repair",
  reason: string,
  { events }: Pick<LaneReport, "events">,
): void {
  if (action === "repair" || events.some(({ detail }) => detail.endsWith(`: ${reason.trim()}`))) return;
  const stood = action === "pause" ? "was paused already" : "was not paused";
  output.note(`Nothing changed: the ${what} ${stood}, and this reason is not logged.`);
}

/** The log of a lane or an inbox, as it comes. */
export function eventLines(output: Output, events: LaneReport["events"]): readonly string[] {
  if (events.length === 0) return [];
  const rows = events.map(({ at, kind, detail }): readonly Cell[] => [at, kind, detail]);
  const columns = [{ header: "AT" }, { header: "EVENT" }, { header: "DETAIL", clip: "below" as const }];
  return ["", output.table(columns, rows)];
}

export function failureText({ code, message, at }: { code: string; message: string; at: string }): string {
  return `${code}: ${message} (${at})`;
}

/** Each hash on a line of its own: it is whole, and can be copied. */
export function transactionLines(
  output: Output,
  heading: string,
  transactions: readonly { readonly hash: string; readonly sequence: number; readonly status: string }[],
): readonly string[] {
  if (transactions.length === 0) return [];
  const lines = transactions.flatMap(({ hash, sequence, status }) => [
    plain(hash),
    `  ${plain(status)}, sequence ${sequence}`,
  ]);
  return ["", output.heading(heading), ...lines];
}
