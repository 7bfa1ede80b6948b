import type { ReplayReport } from "../../domain/api-letters.ts";
import { unreachable } from "../../domain/result.ts";
import type { Client } from "../client.ts";
import type { Cli } from "./command.ts";
import { CliFailure, EXIT, mayAnswerLater } from "./exit.ts";
import { createProgress } from "./progress.ts";
import { plural, quoted } from "./text.ts";

const TERMINAL_EVERY_S = 1;
const ELSEWHERE_EVERY_S = 5;
/** A Worker that restarts is waited for: the replay goes on without this program. */
const SILENT_WITHIN_MS = 120_000;

/**
 * Shows a replay until it has ended. Ctrl-C ends only the showing, and says how to go on. Throws `CliFailure` when the
 * replay was cancelled, or when letters failed again or were refused.
 */
export async function follow(
  cli: Cli,
  client: Client,
  id: string,
  intervalSeconds: number | undefined,
): Promise<void> {
  const { terminal } = cli;
  const output = cli.output();
  const progress = createProgress(terminal);
  const everyMs = (intervalSeconds ?? (terminal.stderr.isTTY ? TERMINAL_EVERY_S : ELSEWHERE_EVERY_S)) * 1000;
  let answeredAtMs = terminal.now();
  try {
    for (;;) {
      const report = await look();
      if (report !== null) {
        answeredAtMs = terminal.now();
        if (output.json) output.answer({ type: "replay", replay: report }, () => "");
        else progress.show(report);
        if (hasEnded(report)) {
          progress.end();
          return conclude(cli, report);
        }
      }
      await terminal.pause(everyMs);
    }
  } catch (error) {
    if (!terminal.signal.aborted) throw error;
    progress.end();
    output.note(`The replay goes on. Follow it: lockstep dlq follow ${quoted(id)}`);
    output.note(`Cancel it: lockstep dlq cancel ${quoted(id)} --reason <text>`);
    throw error;
  }

  /** Null while the Worker does not answer. */
  async function look(): Promise<ReplayReport | null> {
    try {
      return await client.replay(id);
    } catch (error) {
      terminal.signal.throwIfAborted();
      if (!mayAnswerLater(error) || terminal.now() - answeredAtMs > SILENT_WITHIN_MS) throw error;
      if (!output.json) progress.say("the Worker does not answer; asking again");
      return null;
    }
  }
}

function hasEnded({ status }: ReplayReport): boolean {
  switch (status) {
    case "running":
    case "paused":
    case "cancelling":
      return false;
    case "cancelled":
    case "done":
      return true;
    default:
      return unreachable(status);
  }
}

function conclude(cli: Cli, report: ReplayReport): void {
  const output = cli.output();
  const { id, status, landed, alreadyLanded, failedAgain, refused, returned, total } = report;
  if (!output.json) {
    output.answer(report, () =>
      output.facts([
        ["replay", id],
        ["status", { text: status, paint: status === "done" ? output.paint.green : output.paint.yellow }],
        ["letters", total],
        ["landed", alreadyLanded === 0 ? landed : `${landed}, ${alreadyLanded} of them before`],
        ["failed again", failedAgain],
        ["refused", refused],
        ["open again", returned],
      ]),
    );
  }
  if (status === "cancelled") throw new CliFailure(EXIT.failed, `the replay ${id} was cancelled`);
  const wrong = [
    ...(failedAgain === 0 ? [] : [`${plural(failedAgain, "letter")} failed again`]),
    ...(refused === 0 ? [] : [`${plural(refused, "letter was", "letters were")} refused`]),
  ];
  if (wrong.length > 0) {
    throw new CliFailure(EXIT.failed, `${wrong.join(", ")}: lockstep dlq list --state open`);
  }
}
