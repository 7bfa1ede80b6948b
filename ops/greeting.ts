import { anvilAccount } from "./anvil-accounts.ts";
import type { Stack } from "./stack.ts";

/** What `npm start` says when all of it runs. Each command is whole: it may be pasted into any shell of the checkout. */
export function greeting({ url, chainUrl }: Pick<Stack, "url" | "chainUrl">): string {
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

  . ./.dev.vars; curl ${url}/v1/accounts/${encodeURIComponent(account)}/directives/first-1 \\
    -H "Authorization: Bearer $PRODUCER_TOKEN"

Send a signed webhook (\`npm run receive\`, in another terminal, shows where it goes):

  . ./.dev.vars; BODY='{"id":"evt-1","customer":"ada"}'; curl ${url}/webhooks/plain --json "$BODY" \\
    -H "X-Signature: $(printf %s "$BODY" | openssl dgst -sha256 -hmac "$PLAIN_WEBHOOK_SECRET" -r | cut -d' ' -f1)"
`;
}
