// `npm run receive`: a destination for a Lockstep that runs locally. Prints each delivery, and answers 204.
// Variables: RECEIVER_URL, else that of `.dev.vars`, says where to listen; STATUS, what to answer.
import { join } from "node:path";
import { ensureDevVars } from "./dev-vars.ts";
import { interruption } from "./interruption.ts";
import { requireFree } from "./ports.ts";
import { receiverAt, replyOf } from "./receive-settings.ts";
import { startReceiver } from "./receiver.ts";
import { PROJECT } from "./wrangler.ts";

const interrupted = interruption();

try {
  const status = replyOf(process.env["STATUS"]);
  const { receiverUrl, webhookSecrets } = ensureDevVars(join(PROJECT, ".dev.vars"));
  const { port, urlOf } = receiverAt(process.env["RECEIVER_URL"] ?? receiverUrl);
  await requireFree(port, "RECEIVER_URL", urlOf);
  const receiver = await startReceiver({
    port,
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
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
process.exit(interrupted.exitCode() ?? process.exitCode);
