import { readFile } from "node:fs/promises";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { MAX_DIRECTIVES_PER_REQUEST, type DirectiveReceipt } from "../../domain/api.ts";
import { examples, type AddCommands, type Cli } from "./command.ts";
import { CliFailure, EXIT } from "./exit.ts";
import { statusCell } from "./output.ts";
import { plural } from "./text.ts";

interface SendFlags {
  readonly account?: string | undefined;
  readonly id?: string | undefined;
  readonly to?: string | undefined;
  readonly value?: string | undefined;
  readonly data?: string | undefined;
  readonly gas?: string | undefined;
  readonly expiresAt?: string | undefined;
  readonly metadata?: unknown;
}

export const addSend: AddCommands = (parent, cli) => {
  const command = parent
    .command("send")
    .description("send directives, from a file, standard input or flags")
    .argument(
      "[file]",
      "one directive, a list, { directives }, or one for each line (NDJSON); - for standard input",
    )
    .option("--account <account>", "CAIP-10 account that pays and signs")
    .option("--id <id>", "the idempotency key: the same id again is never a second effect")
    .option("--to <address>", "address that is called or paid")
    .option("--value <wei>", "in wei, decimal")
    .option("--data <hex>", "calldata")
    .option("--gas <gas>", "gas limit")
    .option("--expires-at <time>", "work that has not begun by then does not begin")
    .option("--metadata <json>", "an object that comes back with the directive", jsonArgument)
    .action(async (file, flags) => send(cli, await directivesFrom(cli, file, flags)));
  examples(
    command,
    "lockstep send --account eip155:31337:0xf39f…2266 --id invoice-7 --to 0x7099…79c8 --value 1000",
    "lockstep send payments.json",
    "jq -c '.[]' payments.json | lockstep send -",
  );
};

async function directivesFrom(
  cli: Cli,
  file: string | undefined,
  flags: SendFlags,
): Promise<readonly unknown[]> {
  const written = directiveOf(flags);
  if (file !== undefined && written !== null) {
    throw new CliFailure(EXIT.usage, "a file and the flags of a directive: give one of them");
  }
  if (written !== null) return [written];
  if (file === undefined && cli.terminal.interactive) {
    throw new CliFailure(
      EXIT.usage,
      "what is to be sent? Give a file, - for standard input, or --id and the other flags",
    );
  }
  const text = file === undefined || file === "-" ? await cli.terminal.readInput() : await readText(file);
  return parseDirectives(text);
}

function directiveOf(flags: SendFlags): unknown {
  const { account, id, to, value, data, gas, expiresAt, metadata } = flags;
  if (Object.values(flags).every((flag) => flag === undefined)) return null;
  const missing = Object.entries({ account, id, to }).flatMap(([name, flag]) =>
    flag === undefined ? [`--${name}`] : [],
  );
  if (missing.length > 0)
    throw new CliFailure(EXIT.usage, `a directive of flags needs ${missing.join(", ")} too`);
  const action = { type: "evm.transaction", to, value: value ?? "0", data, gas };
  return { id, account, action, expiresAt, metadata };
}

/** JSON in one piece, or in lines. */
export function parseDirectives(text: string): readonly unknown[] {
  const whole = parseJson(text);
  if (whole.ok) return listIn(whole.value);
  const lines = text
    .split("\n")
    .flatMap((line, index) => (line.trim() === "" ? [] : [{ line, number: index + 1 }]));
  if (lines.length === 0) throw new CliFailure(EXIT.usage, "there is nothing to send: the input is empty");
  return lines.map(({ line, number }) => {
    const parsed = parseJson(line);
    if (parsed.ok) return parsed.value;
    const why = lines.length === 1 ? whole.error : parsed.error;
    throw new CliFailure(EXIT.usage, `line ${number} is not JSON: ${why}`);
  });
}

function listIn(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return nonEmpty(value);
  if (
    typeof value === "object" &&
    value !== null &&
    "directives" in value &&
    Array.isArray(value.directives)
  ) {
    return nonEmpty(value.directives);
  }
  return [value];
}

function nonEmpty(list: readonly unknown[]): readonly unknown[] {
  if (list.length === 0) throw new CliFailure(EXIT.usage, "there is nothing to send: the list is empty");
  return list;
}

/** In order, as many in one request as the API takes. What was sent before a failure is still said. */
async function send(cli: Cli, directives: readonly unknown[]): Promise<void> {
  const output = cli.output();
  const client = cli.client();
  const receipts: DirectiveReceipt[] = [];
  const say = (): void =>
    output.answer({ directives: receipts }, () =>
      output.table(
        [{ header: "STATUS" }, { header: "ID", clip: "middle" }, { header: "ACCOUNT", clip: "middle" }],
        receipts.map(({ status, id, account }) => [statusCell(status, output.paint), id, account]),
      ),
    );
  for (let at = 0; at < directives.length; at += MAX_DIRECTIVES_PER_REQUEST) {
    try {
      const batch = directives.slice(at, at + MAX_DIRECTIVES_PER_REQUEST);
      receipts.push(...(await client.postUnchecked(batch)).receipts);
    } catch (error) {
      if (receipts.length > 0) say();
      if (directives.length > MAX_DIRECTIVES_PER_REQUEST) {
        output.note(
          `Directives ${at + 1} and on were not taken. The same command again is safe: ids are used once.`,
        );
      }
      throw error;
    }
  }
  say();
  const of = (wanted: DirectiveReceipt["status"]) => receipts.filter(({ status }) => status === wanted);
  const [conflict] = of("conflict");
  if (conflict !== undefined) {
    throw new CliFailure(
      EXIT.conflict,
      `${plural(of("conflict").length, "directive has", "directives have")} an id that is taken: ${conflict.id} ${conflict.error ?? ""}`,
    );
  }
  if (of("unavailable").length > 0) {
    throw new CliFailure(
      EXIT.unreachable,
      `${plural(of("unavailable").length, "lane")} did not answer: send the same again, it is safe`,
    );
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new CliFailure(EXIT.usage, `${file}: cannot be read (${code})`);
  }
}

type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: string };

function parseJson(text: string): Parsed {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

/** The value of a flag that is JSON. */
export function jsonArgument(text: string): unknown {
  const parsed = parseJson(text);
  if (parsed.ok) return parsed.value;
  throw new InvalidArgumentError("must be JSON.");
}
