import { REFUSALS, type PlanReport } from "../../domain/api-letters.ts";
import type { Client } from "../client.ts";
import { examples, positiveNumber, reasonOption, type AddCommands, type Cli } from "./command.ts";
import { countLines } from "./depth.ts";
import { CliFailure, EXIT } from "./exit.ts";
import { follow } from "./follow.ts";
import {
  codeOption,
  forceOption,
  fromOption,
  hasFilter,
  idOption,
  kindOption,
  laneOption,
  limitOption,
  planRequestOf,
  queueOption,
  toOption,
  type PlanFlags,
} from "./letter-filter.ts";
import type { Output } from "./output.ts";
import { grouped, plural, quoted } from "./text.ts";

export const addReplay: AddCommands = (parent, cli) => {
  const plan = parent
    .command("plan")
    .description("what a replay would do: nothing is sent, nothing changes")
    .argument("[plan]", "shows a plan that was made before")
    .addOption(idOption())
    .addOption(codeOption())
    .addOption(kindOption())
    .addOption(laneOption())
    .addOption(queueOption())
    .addOption(fromOption(cli))
    .addOption(toOption(cli))
    .addOption(limitOption())
    .addOption(forceOption())
    .action(async (id, flags) => {
      if (id !== undefined && Object.keys(flags).length > 0) {
        throw new CliFailure(EXIT.usage, "a plan, or filters for a new one: give one of them");
      }
      const output = cli.output();
      const client = cli.client();
      const report = await (id === undefined ? client.createPlan(planRequestOf(flags)) : client.plan(id));
      output.answer(report, () => planText(output, report));
      output.note(
        report.matched === 0
          ? nothingText(report)
          : `Run it: lockstep dlq replay ${quoted(report.id)} ${quoted(report.digest)} --reason <text>`,
      );
    });
  examples(plan, "lockstep dlq plan --code unauthorized", "lockstep dlq plan --from 24h --limit 1000 --json");

  const replay = parent
    .command("replay")
    .description("send letters back: plan, show the plan, ask, run, and follow")
    .argument("[plan]", "a plan that was made before")
    .argument("[digest]", "its digest: what is run is what was shown")
    .addOption(idOption())
    .addOption(codeOption())
    .addOption(kindOption())
    .addOption(laneOption())
    .addOption(queueOption())
    .addOption(fromOption(cli))
    .addOption(toOption(cli))
    .addOption(limitOption())
    .addOption(forceOption())
    .option("--all", "every open letter, where no filter is meant")
    .option("--rate <number>", "letters a second", positiveNumber)
    .option("--lane-rate <number>", "letters a second of one lane", positiveNumber)
    .addOption(reasonOption())
    .option("--yes", "do not ask; needed where nobody can be asked")
    .option("--detach", "start it, and do not follow")
    .option("--interval <seconds>", "between two looks at it", positiveNumber)
    .action(async (id, digest, flags) => {
      const output = cli.output();
      const client = cli.client();
      checkChoice(id, digest, flags);
      if (flags.yes !== true && !cli.terminal.interactive) {
        throw new CliFailure(EXIT.usage, "nobody can be asked: standard input is no terminal. Say --yes");
      }
      const report = await (id === undefined ? client.createPlan(planRequestOf(flags)) : client.plan(id));
      if (output.json) output.answer({ type: "plan", plan: report }, () => "");
      else output.note(planText(output, report));
      if (report.matched === 0) {
        output.note(nothingText(report));
        return;
      }
      if (flags.yes !== true) await confirm(cli, report);
      const { rate, laneRate, reason } = flags;
      const started = await start(cli, client, {
        plan: report.id,
        digest: digest ?? report.digest,
        reason,
        ...(rate === undefined ? {} : { ratePerSecond: rate }),
        ...(laneRate === undefined ? {} : { perLanePerSecond: laneRate }),
      });
      if (flags.detach !== true) return follow(cli, client, started, flags.interval);
      const answer = { type: "replay", replay: await client.replay(started) };
      output.answer(
        answer,
        () => `Replay ${started} runs. Follow it: lockstep dlq follow ${quoted(started)}`,
      );
    });
  examples(
    replay,
    'lockstep dlq replay --code insufficient_funds --reason "account is funded"',
    'lockstep dlq replay --lane eip155:31337:0xf39f…2266 --rate 20 --yes --reason "node is back"',
    'lockstep dlq replay 5f0c…21 9be1…44 --reason "as planned"',
  );
};

/** A plan with its digest; or what is to be planned, said on purpose. */
function checkChoice(
  id: string | undefined,
  digest: string | undefined,
  flags: PlanFlags & { readonly all?: true | undefined },
): void {
  const chosen = hasFilter(flags) || flags.limit !== undefined || flags.force === true || flags.all === true;
  if (id !== undefined && chosen) {
    throw new CliFailure(EXIT.usage, "a plan has its letters already: leave the filters out");
  }
  if (id !== undefined && digest === undefined) {
    throw new CliFailure(EXIT.usage, "a plan is run with its digest: lockstep dlq replay <plan> <digest>");
  }
  if (id === undefined && !hasFilter(flags) && flags.all !== true) {
    throw new CliFailure(EXIT.usage, "which letters? Give a plan and its digest, filters, or --all");
  }
}

async function confirm({ terminal }: Cli, { matched }: PlanReport): Promise<void> {
  const answer = await terminal.ask(`Replay ${plural(matched, "letter")}? [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliFailure(EXIT.failed, "nothing was replayed");
}

/** An interruption while the Worker is asked leaves open whether it began. */
async function start(
  cli: Cli,
  client: Client,
  request: Parameters<Client["startReplay"]>[0],
): Promise<string> {
  try {
    return (await client.startReplay(request)).id;
  } catch (error) {
    if (cli.terminal.signal.aborted) {
      cli.output().note("Whether the replay began is not known: lockstep dlq replays");
    }
    throw error;
  }
}

/** What an operator may do about letters that a plan refuses. */
const REMEDIES: Readonly<Record<keyof PlanReport["refused"], string>> = {
  undetermined: "their lanes must say first what became of them: lockstep dlq reconcile",
  reverted: "they would revert again: lockstep dlq resubmit",
  expired: "their time is over: lockstep dlq resubmit, or discard",
  "over-max-replays": "they were replayed as often as the configuration allows: --force",
  unreadable: "their messages cannot be read: lockstep dlq discard",
};

function nothingText({ refused }: PlanReport): string {
  const lines = REFUSALS.flatMap((why) => {
    const count = refused[why] ?? 0;
    return count === 0 ? [] : [`  ${grouped(count)} ${why}: ${REMEDIES[why]}`];
  });
  if (lines.length === 0) return "There is nothing to replay: no open letter fits.";
  return ["There is nothing to replay: every letter that fits is refused.", ...lines].join("\n");
}

export function planText(output: Output, plan: PlanReport): string {
  const refused = Object.entries(plan.refused).filter(([, count]) => count > 0);
  return [
    output.facts([
      ["plan", plan.id],
      ["digest", plan.digest],
      ["to replay", plural(plan.matched, "letter")],
      [
        "refused",
        refused.length === 0 ? null : refused.map(([why, count]) => `${grouped(count)} ${why}`).join(", "),
      ],
      ["more", plan.truncated ? "letters fit than the limit allows: plan again afterwards" : null],
    ]),
    ...countLines(output, "CODE", plan.byCode, null),
    ...countLines(output, "LANE", plan.byLane, output.width === null ? null : 10),
  ].join("\n");
}
