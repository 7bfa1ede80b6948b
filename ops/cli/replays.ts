import type { ReplayReport } from "../../domain/api-letters.ts";
import type { ReplayCommand } from "../client-replays.ts";
import { examples, positiveNumber, reasonOption, type AddCommands } from "./command.ts";
import { follow } from "./follow.ts";
import { statusCell, type Output } from "./output.ts";
import { doneOf } from "./progress.ts";
import { age, duration } from "./text.ts";

export const addReplays: AddCommands = (parent, cli) => {
  const replays = parent
    .command("replays")
    .description("replays, those that run and those that ended")
    .action(async () => {
      const output = cli.output();
      const found = await cli.client().replays();
      output.answer({ replays: found }, () => replaysTable(output, found, cli.terminal.now()));
    });
  examples(
    replays,
    "lockstep dlq replays",
    "lockstep dlq replays --json | jq '.replays[] | select(.status == \"running\")'",
  );

  const followed = parent
    .command("follow")
    .description("show a replay until it has ended; ctrl-C leaves it running")
    .argument("<replay>", "the replay's id")
    .option("--interval <seconds>", "between two looks", positiveNumber)
    .action((id, { interval }) => follow(cli, cli.client(), id, interval));
  examples(followed, "lockstep dlq follow 8c1e…70", "lockstep dlq follow 8c1e…70 --json | jq .replay.landed");

  const commands: Readonly<Record<ReplayCommand, string>> = {
    pause: "stop sending letters of a replay; what is out goes on",
    resume: "go on with a replay that was paused",
    cancel: "end a replay: what was not sent is open again",
  };
  for (const name of ["pause", "resume", "cancel"] as const) {
    const command = parent
      .command(name)
      .description(commands[name])
      .argument("<replay>", "the replay's id")
      .addOption(reasonOption())
      .action(async (id, { reason }) => {
        const output = cli.output();
        const report = await cli.client().commandReplay(id, name, reason);
        output.answer(report, () => replayText(output, report));
      });
    examples(command, `lockstep dlq ${name} 8c1e…70 --reason "the node is slow"`);
  }
};

function replaysTable(output: Output, replays: readonly ReplayReport[], nowMs: number): string {
  if (replays.length === 0) return "There was no replay yet.";
  return output.table(
    [
      { header: "REPLAY" },
      { header: "STATUS" },
      { header: "DONE", align: "right" },
      { header: "LANDED", align: "right" },
      { header: "FAILED", align: "right" },
      { header: "AGE", align: "right" },
      { header: "REASON", clip: "below" },
    ],
    replays.map((replay) => [
      replay.id,
      statusCell(replay.status, output.paint),
      `${doneOf(replay)}/${replay.total}`,
      replay.landed,
      replay.failedAgain,
      age(replay.startedAt, nowMs),
      `${replay.actor}: ${replay.reason}`,
    ]),
  );
}

function replayText(output: Output, replay: ReplayReport): string {
  return output.facts([
    ["replay", replay.id],
    ["status", statusCell(replay.status, output.paint)],
    ["done", `${doneOf(replay)} of ${replay.total}, ${replay.inFlight} in flight, ${replay.waiting} waiting`],
    ["rate", `${replay.ratePerSecond}/s, ${replay.perLanePerSecond}/s of one lane`],
    ["left", replay.etaSeconds === null ? null : duration(replay.etaSeconds * 1000)],
    ["by", `${replay.actor}: ${replay.reason}`],
    ["started", replay.startedAt],
  ]);
}
