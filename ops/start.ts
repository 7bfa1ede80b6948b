// `npm start`: a local chain and Lockstep with all its bindings, until ctrl-C.
// Variables: PORT (8787), CHAIN_PORT (8545), STATE_DIR (.wrangler/state), RECEIVER_URL (that of .dev.vars); CHAIN_URL, a
// chain that runs already: none is started then.
// `npm start -- --fresh` forgets the state of both first.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chainOf } from "./chain-setting.ts";
import { greeting } from "./greeting.ts";
import { interruption } from "./interruption.ts";
import { parsePort } from "./ports.ts";
import { startStack } from "./stack.ts";
import { pause } from "./wait-until.ts";
import { isNoise } from "./wrangler-noise.ts";
import { PROJECT } from "./wrangler.ts";

const HEALTH_EVERY_MS = 250;
const interrupted = interruption();

try {
  const { values } = parseArgs({ options: { fresh: { type: "boolean", default: false } } });
  const { PORT = "8787", STATE_DIR } = process.env;
  const stack = await startStack({
    port: parsePort(PORT, "PORT"),
    ...chainOf(process.env),
    stateDir: STATE_DIR ?? join(PROJECT, ".wrangler", "state"),
    devVars: join(PROJECT, ".dev.vars"),
    fresh: values.fresh,
    withSender: false,
    quiet: false,
    // All of it is in the folder `logs` of the state.
    log: (line) => {
      if (!isNoise(line)) console.log(line);
    },
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
