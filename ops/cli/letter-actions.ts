import { readFile } from "node:fs/promises";
import { Option } from "@commander-js/extra-typings";
import type { LetterFullReport } from "../../domain/api-letters.ts";
import { examples, reasonOption, type AddCommands, type Cli } from "./command.ts";
import { CliFailure, EXIT } from "./exit.ts";
import { summaryFacts } from "./letters.ts";
import { jsonArgument } from "./send.ts";
import { plural } from "./text.ts";

export const addLetterActions: AddCommands = (parent, cli) => {
  const resolve = parent
    .command("resolve")
    .description("close a letter in review by what you know of the chain")
    .argument("<letter>", "the letter's id")
    .addOption(
      new Option(
        "--outcome <outcome>",
        "landed needs a hash that is final; not-landed starts a burn of the sequence",
      )
        .choices(["landed", "not-landed"] as const)
        .makeOptionMandatory(),
    )
    .option("--tx-hash <hash>", "for landed: a hash that the directive's log has")
    .addOption(reasonOption())
    .action(async (id, { outcome, txHash, reason }) => {
      if (outcome === "landed" && txHash === undefined) {
        throw new CliFailure(EXIT.usage, "--outcome landed needs --tx-hash: the transaction that is final");
      }
      const request = { outcome, reason, ...(txHash === undefined ? {} : { txHash }) };
      answer(cli, await cli.client().resolveLetter(id, request), reason);
    });
  examples(
    resolve,
    'lockstep dlq resolve 3f2a…91c0 --outcome landed --tx-hash 0x1c6d…07aa --reason "seen in block 812"',
    'lockstep dlq resolve 3f2a…91c0 --outcome not-landed --reason "pool was lost"',
  );

  const discard = parent
    .command("discard")
    .description("close a letter for good: nothing more is done for it")
    .argument("<letter>", "the letter's id")
    .addOption(reasonOption())
    .action(async (id, { reason }) => answer(cli, await cli.client().discardLetter(id, reason), reason));
  examples(discard, 'lockstep dlq discard 3f2a…91c0 --reason "test traffic"');

  const resubmit = parent
    .command("resubmit")
    .description("put another directive of the same account in the place of a dead one, for good")
    .argument("<letter>", "the letter's id")
    .requiredOption("--id <id>", "the new directive's id")
    .option("--action <json>", "what it does, as a producer writes it", jsonArgument)
    .option("--action-file <file>", "the same from a file; - for standard input")
    .option("--expires-at <time>", "work that has not begun by then does not begin")
    .addOption(reasonOption())
    .action(async (letter, flags) => {
      const { id, expiresAt, reason } = flags;
      const action = await actionOf(cli, flags.action, flags.actionFile);
      const request = { id, action, reason, ...(expiresAt === undefined ? {} : { expiresAt }) };
      answer(cli, await cli.client().resubmitLetter(letter, request), reason);
    });
  examples(
    resubmit,
    'lockstep dlq resubmit 3f2a…91c0 --id payout-7b --action-file fixed.json --reason "gas was too low"',
  );

  const reconcile = parent
    .command("reconcile")
    .description("ask the lanes what became of letters, and close those that evidence closes")
    .argument("[letters...]", "these letters; without any, the next that wait for evidence")
    .action(async (ids) => {
      const output = cli.output();
      const report = await cli.client().reconcile(ids.length === 0 ? undefined : ids);
      output.answer(report, () => {
        const rows = Object.entries(report.outcomes).map(([outcome, count]) => [count, outcome]);
        const asked = `${plural(report.checked, "letter")} looked at.`;
        if (rows.length === 0) return asked;
        return `${asked}\n\n${output.table([{ header: "LETTERS", align: "right" }, { header: "BECAME" }], rows)}`;
      });
    });
  examples(reconcile, "lockstep dlq reconcile", "lockstep dlq reconcile 3f2a…91c0 77b1…02fe");
};

/** The history has the reason of each action that changed the letter; a repeated one leaves it as it was. */
function answer(cli: Cli, letter: LetterFullReport, reason: string): void {
  const output = cli.output();
  output.answer(letter, () =>
    output.facts([
      ...summaryFacts(output, letter),
      ["replaced by", letter.replacedBy],
      ["updated", letter.updatedAt],
    ]),
  );
  if (letter.history.some((entry) => entry.reason === reason.trim())) return;
  output.note("Nothing changed: the letter was so already, and this reason is not in its history.");
}

async function actionOf(cli: Cli, action: unknown, file: string | undefined): Promise<unknown> {
  if ((action === undefined) === (file === undefined)) {
    throw new CliFailure(EXIT.usage, "give either --action or --action-file");
  }
  if (file === undefined) return action;
  try {
    return JSON.parse(file === "-" ? await cli.terminal.readInput() : await readFile(file, "utf8"));
  } catch (error) {
    throw new CliFailure(EXIT.usage, `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
