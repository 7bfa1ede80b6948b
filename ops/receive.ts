// `npm run receive`: a destination for a Lockstep that runs locally. Prints each delivery, and answers 204.
// Variables: RECEIVER_URL, else that of `.dev.vars`, says where to listen; STATUS, what to answer.
import { join } from "node:path";
import { ensureDevVars } from "./dev-vars.ts";
import { interruption } from "./interruption.ts";
import { startReceiver } from "./receiver.ts";
import { PROJECT } from "./wrangler.ts";

const interrupted = interruption();
const { receiverUrl, webhookSecrets } = ensureDevVars(join(PROJECT, ".dev.vars"));
const { RECEIVER_URL = receiverUrl, STATUS = "204" } = process.env;
const status = /^[2-5]\d\d$/.test(STATUS) ? Number(STATUS) : null;
if (status === null) throw new Error(`STATUS=${STATUS}: must be an HTTP status from 200 to 599`);

const receiver = await startReceiver({
  port: Number(new URL(RECEIVER_URL).port),
  secret: webhookSecrets.receiver,
  arrived({ source, key, sequence, attempt, replayed, webhookId, reply }) {
    const late = replayed ? ", replayed" : "";
    console.log(
      `${source} ${key ?? "-"} #${sequence} ${webhookId}: attempt ${attempt}${late}, answered ${reply}`,
    );
  },
});
receiver.behave(() => status);
console.log(`receiving at ${receiver.url}; ctrl-C ends it`);
await new Promise((resolve) => interrupted.signal.addEventListener("abort", resolve));
await receiver.stop();
process.exit(interrupted.exitCode() ?? 0);
