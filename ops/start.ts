// `npm start`: a local chain and Lockstep with all its bindings, until ctrl-C.
// Variables: PORT (8787), CHAIN_PORT (8545), STATE_DIR (.wrangler/state), CHAIN_URL (that chain),
// RECEIVER_URL (that of .dev.vars).
// `npm start -- --fresh` forgets the state of both first.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { anvilAccount } from "./anvil-accounts.ts";
import { interruption } from "./interruption.ts";
import { parsePort } from "./ports.ts";
import { startStack, type Stack } from "./stack.ts";
import { pause } from "./wait-until.ts";
import { PROJECT } from "./wrangler.ts";

const HEALTH_EVERY_MS = 250;
const interrupted = interruption();

try {
  const { values } = parseArgs({ options: { fresh: { type: "boolean", default: false } } });
  const { PORT = "8787", CHAIN_PORT = "8545", STATE_DIR, CHAIN_URL } = process.env;
  const stack = await startStack({
    port: parsePort(PORT, "PORT"),
    chainPort: parsePort(CHAIN_PORT, "CHAIN_PORT"),
    stateDir: STATE_DIR ?? join(PROJECT, ".wrangler", "state"),
    chainUrl: CHAIN_URL,
    devVars: join(PROJECT, ".dev.vars"),
    fresh: values.fresh,
    withSender: false,
    quiet: false,
    log: (line) => console.log(line),
    signal: interrupted.signal,
  });
  try {
    console.log(greeting(stack));
    while (!interrupted.signal.aborted) {
      const dead = stack.failure();
      if (dead !== null) throw new Error(dead);
      await pause(HEALTH_EVERY_MS);
    }
    console.log("\nstopping");
  } finally {
    await stack.stop();
  }
} catch (error) {
  if (!interrupted.signal.aborted)
    console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
process.exit(interrupted.exitCode() ?? process.exitCode);

function greeting({ url, chainUrl }: Stack): string {
  const account = anvilAccount(0).id;
  const body = `{ "id": "first-1", "account": "${account}", "action":
    { "type": "evm.transaction", "to": "${anvilAccount(9).address}", "value": "1" } }`;
  return `
Lockstep runs at ${url}, its chain at ${chainUrl}.
The tokens PRODUCER_TOKEN and OPERATOR_TOKEN are in .dev.vars. Ctrl-C ends everything.

Send a directive:

  . ./.dev.vars; curl ${url}/v1/directives \\
    -H "Authorization: Bearer $PRODUCER_TOKEN" -H 'Content-Type: application/json' \\
    -d '${body}'

Read what became of it:

  curl ${url}/v1/accounts/${encodeURIComponent(account)}/directives/first-1 \\
    -H "Authorization: Bearer $PRODUCER_TOKEN"

Send a signed webhook (\`npm run receive\`, in another terminal, shows where it goes):

  BODY='{"id":"evt-1","customer":"ada"}'; curl ${url}/webhooks/plain --json "$BODY" -H "X-Signature: \\
    $(printf %s "$BODY" | openssl dgst -sha256 -hmac "$PLAIN_WEBHOOK_SECRET" -r | cut -d' ' -f1)"
`;
}
