import type { LetterReport } from "../client.ts";
import { landedOnce, type Findings, type Guarantee, type Row, type Table } from "./findings.ts";
import { curableLetters, hopelessLetters, type DemoPlan } from "./plan.ts";
import { BREAKER_ACCOUNT, BREAKER_AFTER, VAULT_ACCOUNT } from "./storm-traffic.ts";
import { handledOnce } from "./webhook-verdict.ts";

/** The letters of the storm: how many there were, what became of them, and how many are open. */
export function stormTable(found: Findings): Table {
  const { storm } = found.plan;
  const paid = storm.payments.filter((good) => landedOnce(good, found)).length;
  const held = storm.held.filter((good) => landedOnce(good, found)).length;
  const waited = storm.held.length - BREAKER_AFTER;
  const directives: Row[] = [
    rowOf("vault without funds", "execution_reverted", storm.payments.length, paid, {
      found,
      isIts: ({ lane, code }) => lane === VAULT_ACCOUNT.id && code === "execution_reverted",
    }),
    {
      ...rowOf("endpoint says 401", `breaker: ${waited} more waited`, BREAKER_AFTER, held - waited, {
        found,
        isIts: ({ lane, code }) => lane === BREAKER_ACCOUNT.id && code === "unauthorized",
      }),
    },
  ];
  const events = storm.groups.map(({ status, code, customers }): Row => {
    const all = customers.flatMap((customer) => customer.events);
    const handled = all.filter((event) => handledOnce(event, found.arrivals, true)).length;
    const lanes = customers.map(({ provider, key }) => `webhook:${provider}:${key}`);
    return rowOf(`destination says ${status}`, code, all.length, handled, {
      found,
      isIts: (letter) => letter.lane !== null && lanes.includes(letter.lane) && letter.code === code,
    });
  });
  const hopeless = hopelessLetters(found.plan);
  const { rest } = found.replays;
  const { after, before } = found.depth;
  const open = after.letters.open - before.letters.open;
  const tried = rest.plans.reduce((sum, { matched }) => sum + matched, 0);
  return {
    columns: ["letters", "landed", "open", "after the replay"],
    rows: [
      ...directives,
      ...events,
      {
        label: "what no replay helps",
        numbers: [hopeless, null, open],
        expected: `${tried} tried once more`,
        ok: open === hopeless,
      },
    ],
  };
}

function rowOf(
  label: string,
  expected: string,
  letters: number,
  landed: number,
  { found, isIts }: { readonly found: Findings; readonly isIts: (letter: LetterReport) => boolean },
): Row {
  const own = found.letters.filter(isIts);
  const open = own.filter(({ state }) => state !== "resolved").length;
  const ok = own.length === letters && landed === letters && open === 0;
  return { label, numbers: [own.length, landed, open], expected, ok };
}

/** The replays' own numbers add up, and say what the chain, the receiver and the ledger say. */
export function isCured({ plan, replays, depth }: Findings): Guarantee {
  const reports = [...replays.cures.reports, ...replays.rest.reports];
  const addsUp = reports.every(
    ({ total, waiting, inFlight, landed, failedAgain, refused, returned }) =>
      total === landed + failedAgain + refused && waiting + inFlight + returned === 0,
  );
  const landed = replays.cures.reports.reduce((sum, report) => sum + report.landed, 0);
  const curable = curableLetters(plan);
  const open = depth.after.letters.open - depth.before.letters.open;
  const hopeless = hopelessLetters(plan);
  const ok = addsUp && landed === curable && open === hopeless && depth.after.letters.replaying === 0;
  const text = `${landed} of ${curable} letters landed, ${open} are left of ${hopeless + curable}`;
  return { name: "Replay", found: text, ok };
}

/** What may stand on a letter of the run; undefined for one that must not be there. */
export function codeOf(
  letter: LetterReport,
  { traffic, storm, webhooks }: DemoPlan,
): readonly string[] | undefined {
  const poison = traffic.poison.filter(({ items }) =>
    items.some((item) =>
      "raw" in item
        ? letter.kind === "raw"
        : letter.kind !== "event" && item.directive.id === letter.directiveId,
    ),
  );
  if (poison.length > 0) return poison.map(({ code }) => code);
  if (storm.payments.some(({ directive }) => directive.id === letter.directiveId))
    return ["execution_reverted"];
  if (storm.held.some(({ directive }) => directive.id === letter.directiveId)) return ["unauthorized"];
  if (letter.lane?.endsWith(`:${webhooks.refused.key}`) === true) return ["forbidden"];
  const group = storm.groups.find(({ customers }) =>
    customers.some(({ key }) => letter.lane?.endsWith(`:${key}`) === true),
  );
  return group === undefined ? undefined : [group.code];
}
