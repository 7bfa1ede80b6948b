import { readFileSync } from "node:fs";
import { Command } from "@commander-js/extra-typings";
import { z } from "zod";
import { lockstepClient } from "../client.ts";
import { examples, type Cli } from "./command.ts";
import { addCompletion } from "./completion.ts";
import { addDepth } from "./depth.ts";
import { endingOf, EXIT } from "./exit.ts";
import { addLanes } from "./lanes.ts";
import { addLetterActions } from "./letter-actions.ts";
import { addLetters } from "./letters.ts";
import { createOutput, widthFor, writeEnding } from "./output.ts";
import { addReplay } from "./replay.ts";
import { addReplays } from "./replays.ts";
import { addSend } from "./send.ts";
import { isExposed, readSettings } from "./settings.ts";
import { addStatus } from "./status.ts";
import type { Terminal } from "./terminal.ts";
import { addEvents, addInboxes } from "./webhooks.ts";

const VERSION = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))).version;

const EPILOGUE = `
Exit codes:
    0  it is done
    1  the Worker refused, or the thing failed
    2  the command line, the settings or the input are wrong: nothing was asked
    3  the Worker cannot be reached, is not available, or does not let the token in;
       something that is not Lockstep answers at the URL
    4  not found, or in conflict with what is there
  130  ctrl-C (129 SIGHUP, 143 SIGTERM)

Environment:
  LOCKSTEP_URL      the Worker; without it the profile's, or http://127.0.0.1:8787
  LOCKSTEP_TOKEN    an operator's token; never a flag, since those are in the history
  LOCKSTEP_PROFILE  the profile of the configuration file
  LOCKSTEP_CONFIG   that file; without it ~/.config/lockstep/config.json
  NO_COLOR          no colours, also on a terminal
`;

/**
 * Runs one command line, without the program's name, and resolves with the exit code. Never throws but for a bug.
 */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  const program = createProgram(terminal);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    if (isUsage(error)) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const ending = endingOf(error);
    writeEnding(terminal, program.opts().json === true, ending);
    return ending.exitCode;
  }
}

/** What commander throws when it has said what is wrong, or shown the help. */
function isUsage(error: unknown): error is Error & { readonly exitCode: number } {
  return (
    error instanceof Error &&
    "code" in error &&
    String(error.code).startsWith("commander.") &&
    "exitCode" in error &&
    typeof error.exitCode === "number"
  );
}

function createProgram(terminal: Terminal) {
  const { stdout, stderr } = terminal;
  const program = new Command("lockstep")
    .description("Operate Lockstep: send directives, see depth and dead letters, replay them.")
    .version(VERSION, "--version", "the version of this program")
    .option("--json", "JSON on standard output, and nothing else")
    .option("--wide", "nothing is cut to the terminal's width")
    .option("--url <url>", "the Worker's URL")
    .option("--profile <name>", "profile of the configuration file")
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      getOutHelpWidth: () => widthFor(stdout),
      getErrHelpWidth: () => widthFor(stderr),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showHelpAfterError("Add --help for the options and examples.");
  const cli: Cli = {
    terminal,
    output() {
      const { json, wide } = program.opts();
      return createOutput(terminal, { json: json === true, wide: wide === true });
    },
    client() {
      const settings = readSettings(terminal, program.opts());
      if (isExposed(settings))
        this.output().note("warning: the token goes over http, for everybody on the way to read");
      return lockstepClient({ ...settings, signal: terminal.signal });
    },
  };
  examples(
    program,
    "lockstep status",
    "lockstep dlq depth --watch",
    'lockstep dlq replay --code unauthorized --reason "key renewed"',
  );
  program.addHelpText("after", EPILOGUE);
  addStatus(program, cli);
  addSend(program, cli);
  addLanes(program, cli);
  const dlq = program.command("dlq").description("dead letters: depth, letters, plans and replays");
  examples(
    dlq,
    "lockstep dlq depth",
    "lockstep dlq list --state open",
    "lockstep dlq plan --code unauthorized",
  );
  for (const add of [addDepth, addLetters, addLetterActions, addReplay, addReplays]) add(dlq, cli);
  addEvents(program, cli);
  addInboxes(program, cli);
  addCompletion(program, cli);
  return program;
}
