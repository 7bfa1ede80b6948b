import type { EventReport, InboxReport } from "../../domain/api-webhooks.ts";
import type { InboxCommand, InboxTarget } from "../client-webhooks.ts";
import { examples, readPages, reasonOption, wholeNumber, type AddCommands } from "./command.ts";
import { CliFailure, EXIT } from "./exit.ts";
import { eventLines, failureText, noteUnchanged } from "./lanes.ts";
import { statusCell, type Output } from "./output.ts";
import type { Cell } from "./table.ts";
import { age, grouped, quoted } from "./text.ts";

const MOST_PER_PAGE = 100;
const PER_PAGE = 50;
const MOST_SHARD = 999;

export const addEvents: AddCommands = (parent, cli) => {
  const events = parent.command("events").description("webhook events of a source: list them, or show one");
  const list = events
    .command("list", { isDefault: true })
    .description("events of a source, newest first, a page at a time")
    .argument("<source>", "the source's name")
    .option("--key <key>", "of this ordering key")
    .option("--shard <number>", "of this shard of events without a key", wholeNumber(0, MOST_SHARD))
    .option("--cursor <cursor>", "the page after the one that named it")
    .option("--limit <count>", "so many in a page", wholeNumber(1, MOST_PER_PAGE), PER_PAGE)
    .option("--all", "every page")
    .action(async (source, flags) => {
      const output = cli.output();
      const client = cli.client();
      const inbox = flags.key === undefined && flags.shard === undefined ? {} : targetOf(flags);
      const { items, next } = await readPages(
        flags,
        flags.cursor ?? null,
        (cursor) => client.eventsPage(source, { ...inbox, cursor, limit: flags.limit }),
        (page) => ({ items: page.events, next: page.nextCursor }),
      );
      output.answer({ events: items, nextCursor: next }, () =>
        eventsTable(output, items, cli.terminal.now()),
      );
      if (next !== null) output.note(`More: the same command with --cursor ${quoted(next)}, or with --all`);
    });
  examples(list, "lockstep events polar", "lockstep events polar --key cus_81 --all");
  examples(events, "lockstep events polar --key cus_81", "lockstep events show polar evt_2f");

  const show = events
    .command("show")
    .description("one event, what was done for it, and everything that happened to it")
    .argument("<source>", "the source's name")
    .argument("<id>", "the event's id")
    .option("--key <key>", "in the inbox of this ordering key, where the index does not know it")
    .option("--shard <number>", "in the inbox of this shard", wholeNumber(0, MOST_SHARD))
    .action(async (source, id, { key, shard }) => {
      const output = cli.output();
      const named = key === undefined && shard === undefined ? undefined : targetOf({ key, shard });
      const event = await cli.client().event(source, id, named);
      output.answer(event, () => eventText(output, event));
    });
  examples(show, "lockstep events show polar evt_2f");
};

export const addInboxes: AddCommands = (parent, cli) => {
  const inboxes = parent
    .command("inboxes")
    .description("the inboxes of a source: one for each ordering key or shard, a page at a time")
    .argument("<source>", "the source's name")
    .option("--after <inbox>", "the inboxes after this one")
    .option("--limit <count>", "so many in a page", wholeNumber(1, MOST_PER_PAGE), PER_PAGE)
    .option("--all", "every page")
    .action(async (source, flags) => {
      const output = cli.output();
      const client = cli.client();
      const { items, next } = await readPages(
        flags,
        flags.after ?? null,
        (after) => client.inboxesPage(source, { after, limit: flags.limit }),
        (page) => ({ items: page.inboxes, next: page.next }),
      );
      output.answer({ inboxes: items, next }, () => inboxesTable(output, items));
      if (next !== null) output.note(`More: the same command with --after ${quoted(next)}, or with --all`);
    });
  examples(inboxes, "lockstep inboxes polar", "lockstep inboxes polar --all --json");

  const inbox = parent
    .command("inbox")
    .description("one inbox: show it, pause or resume it, or skip the event that others wait for");
  const show = inbox
    .command("show", { isDefault: true })
    .description("sequences, counts and the inbox's log")
    .argument("<source>", "the source's name")
    .option("--key <key>", "the inbox of this ordering key")
    .option("--shard <number>", "the inbox of this shard", wholeNumber(0, MOST_SHARD))
    .action(async (source, flags) => {
      const output = cli.output();
      const report = await cli.client().inbox(source, targetOf(flags));
      output.answer(report, () => inboxText(output, report));
    });
  examples(show, "lockstep inbox polar --key cus_81", "lockstep inbox github --shard 3");
  examples(
    inbox,
    "lockstep inbox polar --key cus_81",
    'lockstep inbox pause polar --key cus_81 --reason "customer asked"',
  );
  const commands: Readonly<Record<InboxCommand, string>> = {
    pause: "handles no more events until it is resumed; events still come in",
    resume: "goes on where it was",
  };
  for (const name of ["pause", "resume"] as const) {
    const command = inbox
      .command(name)
      .description(commands[name])
      .argument("<source>", "the source's name")
      .option("--key <key>", "the inbox of this ordering key")
      .option("--shard <number>", "the inbox of this shard", wholeNumber(0, MOST_SHARD))
      .addOption(reasonOption())
      .action(async (source, { key, shard, reason }) => {
        const output = cli.output();
        const report = await cli.client().commandInbox(source, targetOf({ key, shard }), name, reason);
        output.answer(report, () => inboxText(output, report));
        noteUnchanged(output, "inbox", name, reason, report);
      });
    examples(
      command,
      `lockstep inbox ${name} polar --key cus_81 --reason "order 7 is wrong"`,
      `lockstep inbox ${name} github --shard 3 --reason "order 7 is wrong"`,
    );
  }
  const skip = inbox
    .command("skip")
    .description(
      "gives up the event that the others wait for: it becomes a dead letter, and the next goes on",
    )
    .argument("<source>", "the source's name")
    .option("--key <key>", "the inbox of this ordering key")
    .option("--shard <number>", "the inbox of this shard", wholeNumber(0, MOST_SHARD))
    .option("--sequence <number>", "only if this event is the head still", wholeNumber(0))
    .addOption(reasonOption())
    .action(async (source, { key, shard, sequence, reason }) => {
      const output = cli.output();
      const report = await cli.client().skipHead(source, targetOf({ key, shard }), { reason, sequence });
      output.answer(report, () => inboxText(output, report));
    });
  examples(
    skip,
    'lockstep inbox skip polar --key cus_81 --sequence 7 --reason "order 7 is wrong"',
    'lockstep inbox skip github --shard 3 --reason "order 7 is wrong"',
  );
};

function targetOf({ key, shard }: { key?: string | undefined; shard?: number | undefined }): InboxTarget {
  if (key !== undefined && shard === undefined) return { key };
  if (shard !== undefined && key === undefined) return { shard };
  throw new CliFailure(EXIT.usage, "which inbox? Give either --key or --shard");
}

function eventsTable(
  output: Output,
  events: readonly Omit<EventReport, "digest" | "effects" | "audit">[],
  nowMs: number,
): string {
  if (events.length === 0) return "No event fits.";
  return output.table(
    [
      { header: "EVENT", clip: "middle" },
      { header: "INBOX", clip: "middle" },
      { header: "SEQ", align: "right" },
      { header: "STATUS" },
      { header: "TRIES", align: "right" },
      { header: "FAILURE", clip: "end" },
      { header: "CAME", align: "right" },
    ],
    events.map(({ id, inbox, sequence, status, attempts, failure, admittedAt }) => [
      id,
      inbox,
      sequence,
      statusCell(status, output.paint),
      attempts,
      failure?.code ?? null,
      age(admittedAt, nowMs),
    ]),
  );
}

function eventText(output: Output, event: EventReport): string {
  const { effects, audit, failure } = event;
  const effectRows = effects.map(({ kind, target, account, state }): readonly Cell[] => [
    kind,
    statusCell(state, output.paint),
    account === null ? target : `${target} of ${account}`,
  ]);
  const auditRows = audit.map(({ at, what, status, latencyMs }): readonly Cell[] => [
    at,
    what,
    status,
    latencyMs,
  ]);
  return [
    output.facts([
      ["event", event.id],
      ["inbox", event.inbox],
      ["sequence", event.sequence],
      ["status", statusCell(event.status, output.paint)],
      ["attempts", event.attempts],
      ["replayed", `${event.generation} times`],
      ["last failure", failure === null ? null : failureText(failure)],
      ["digest", event.digest],
      ["admitted", event.admittedAt],
      ["updated", event.updatedAt],
    ]),
    ...(effects.length === 0
      ? []
      : [
          "",
          output.table(
            [{ header: "EFFECT" }, { header: "STATE" }, { header: "TARGET", clip: "middle" }],
            effectRows,
          ),
        ]),
    ...(audit.length === 0
      ? []
      : [
          "",
          output.table(
            [
              { header: "AT" },
              { header: "WHAT", clip: "end" },
              { header: "STATUS", align: "right" },
              { header: "MS", align: "right" },
            ],
            auditRows,
          ),
        ]),
  ].join("\n");
}

function inboxesTable(output: Output, inboxes: readonly InboxReport[]): string {
  if (inboxes.length === 0) return "The source has no inbox yet.";
  return output.table(
    [
      { header: "INBOX", clip: "middle" },
      { header: "STATUS" },
      { header: "HEAD", align: "right" },
      { header: "NEXT", align: "right" },
      { header: "IN FLIGHT", align: "right" },
      { header: "SETTLED", align: "right" },
      { header: "DEAD", align: "right" },
    ],
    inboxes.map(({ inbox, status, head, nextSequence, counts }) => [
      inbox,
      statusCell(status, output.paint),
      head,
      nextSequence,
      counts.inFlight,
      counts.settled,
      counts.dead,
    ]),
  );
}

function inboxText(output: Output, inbox: InboxReport): string {
  const { counts } = inbox;
  return [
    output.facts([
      ["inbox", inbox.inbox],
      ["status", statusCell(inbox.status, output.paint)],
      ["reason", inbox.reason],
      ["sequence", `next ${inbox.nextSequence}, head ${inbox.head ?? "none"}`],
      [
        "events",
        `${grouped(counts.admitted)} admitted = ${grouped(counts.settled)} settled + ${grouped(counts.dead)} dead + ${grouped(counts.inFlight)} in flight`,
      ],
      ["letters owed", inbox.lettersOwed],
    ]),
    ...eventLines(output, inbox.events),
  ].join("\n");
}
