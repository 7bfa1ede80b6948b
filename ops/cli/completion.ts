import { script, RootCommand, type Command as Completed } from "@bomb.sh/tab";
import { Argument, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { FAILURES } from "../../domain/failure.ts";
import { examples, type AddCommands } from "./command.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/**
 * The shells ask this program itself: `lockstep complete -- <words>`. So a completion is never older than the commands.
 */
export const addCompletion: AddCommands = (parent, cli) => {
  const completion = parent
    .command("completion")
    .description("print a shell's completion script")
    .addArgument(new Argument("<shell>", "the shell that will read it").choices(SHELLS))
    .action((shell) => {
      if (shell === "bash") cli.terminal.stdout.write(BASH);
      else script(shell, "lockstep", "lockstep");
    });
  examples(
    completion,
    "lockstep completion bash > ~/.local/share/bash-completion/completions/lockstep",
    "lockstep completion zsh > ~/.zfunc/_lockstep",
    "lockstep completion fish > ~/.config/fish/completions/lockstep.fish",
  );
  parent
    .command("complete", { hidden: true })
    .argument("[words...]")
    .action((words) => described(parent).parse(words));
};

/**
 * Ours, since the library's evaluates the words as they stand on the command line: a `$(…)` in one would run. It needs
 * nothing of the bash-completion package. Bash breaks words at colons, and accounts have some.
 */
const BASH = `# bash completion for lockstep
_lockstep() {
  local IFS=$'\\n' line
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=()
  while read -r line; do
    case "$line" in
      :*) ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(lockstep complete -- "\${words[@]}" 2>/dev/null)
}
complete -o default -F _lockstep lockstep
`;

/** The commands as the completion library knows them. */
function described(program: CommandUnknownOpts): RootCommand {
  const root = new RootCommand();
  describe(root, program, []);
  const walk = (command: CommandUnknownOpts, path: string): void => {
    for (const child of visibleCommands(command)) {
      const name = path === "" ? child.name() : `${path} ${child.name()}`;
      // The program's own flags may stand behind every command.
      describe(root.command(name, child.description()), child, program.options);
      walk(child, name);
    }
  };
  walk(program, "");
  return root;
}

function visibleCommands(command: CommandUnknownOpts): readonly CommandUnknownOpts[] {
  return command.commands.filter((child) => child.name() !== "complete");
}

function describe(
  completed: Completed,
  command: CommandUnknownOpts,
  inherited: CommandUnknownOpts["options"],
): void {
  for (const option of [...command.options, ...inherited]) {
    const name = option.long?.slice(2);
    if (name === undefined) continue;
    if (!option.required && !option.optional) {
      completed.option(name, option.description);
      continue;
    }
    const choices = name === "code" ? Object.keys(FAILURES) : (option.argChoices ?? []);
    completed.option(name, option.description, (complete) => {
      for (const choice of choices) complete(choice, "");
    });
  }
  for (const argument of command.registeredArguments) {
    const choices = argument.argChoices ?? [];
    completed.argument(
      argument.name(),
      (complete) => {
        for (const choice of choices) complete(choice, "");
      },
      argument.variadic,
    );
  }
}
