import type { Mined } from "./chain-facts.ts";
import { landedOnce, openLetters, type Findings, type Guarantee, type Row, type Table } from "./findings.ts";
import { ALL_ACCOUNTS, expectedAdmissions } from "./plan.ts";
import { codeOf, isCured, stormTable } from "./storm-verdict.ts";
import { VAULT_ACCOUNT, BREAKER_ACCOUNT } from "./storm-traffic.ts";
import { GOOD_ACCOUNTS, type Good, type Poison, type Source } from "./traffic.ts";
import { answerable, inOrder, webhookTable } from "./webhook-verdict.ts";

const SOURCES: readonly (readonly [Source, string])[] = [
  ["http-single", "HTTP, one by one"],
  ["http-batch", "HTTP, in batches"],
  ["queue", "queue binding"],
  ["crash", "HTTP during a SIGKILL"],
];
const GAPLESS = [...GOOD_ACCOUNTS, VAULT_ACCOUNT, BREAKER_ACCOUNT];

export function tablesOf(found: Findings): readonly Table[] {
  return [directiveTable(found), webhookTable(found), stormTable(found)];
}

export function guaranteesOf(found: Findings): readonly Guarantee[] {
  return [
    oneEffect(found),
    noGap(found),
    nothingLost(found),
    inOrder(found),
    rightBin(found),
    answerable(found),
    isCured(found),
  ];
}

function directiveTable(found: Findings): Table {
  const { answers } = found;
  const { traffic } = found.plan;
  const sent = SOURCES.map(([source, label]): Row => {
    const goods = traffic.good.filter((good) => good.source === source);
    const landed = goods.filter((good) => landedOnce(good, found)).length;
    const ids = new Set<string>(goods.map(({ directive }) => directive.id));
    const dead = found.letters.filter(
      ({ kind, directiveId }) => kind === "directive" && ids.has(directiveId),
    ).length;
    const ok = landed === goods.length && dead === 0;
    return { label, numbers: [goods.length, landed, dead], expected: `${goods.length} land once`, ok };
  });
  const { repeatedOverHttp, repeatedOnQueue } = traffic;
  const again = {
    http: secondEffects(repeatedOverHttp, found),
    queue: secondEffects(repeatedOnQueue, found),
  };
  const repeated: Row[] = [
    {
      label: "repeated over HTTP",
      numbers: [repeatedOverHttp.length, again.http, null],
      expected: `${answers.repeatedKnown} answered as known`,
      ok: again.http === 0 && answers.repeatedKnown === repeatedOverHttp.length,
    },
    {
      label: "repeated on the queue",
      numbers: [repeatedOnQueue.length, again.queue, null],
      expected: "no second effect",
      ok: again.queue === 0,
    },
  ];
  const poison = traffic.poison.map((kind): Row => {
    const landed = landedPoison(kind, found.chain.mined);
    const dead = openLetters(kind.code, idsOf(kind), found).length;
    const ok = landed === 0 && dead === kind.items.length;
    return { label: kind.label, numbers: [kind.items.length, landed, dead], expected: kind.code, ok };
  });
  const { recipient } = traffic.conflictOverHttp;
  const conflicting = found.chain.mined.filter(({ to }) => to === recipient).length;
  const conflict: Row = {
    label: "other payload over HTTP",
    numbers: [1, conflicting, null],
    expected: answers.conflict === 409 ? "answered 409" : `answered ${answers.conflict}, not 409`,
    ok: conflicting === 0 && answers.conflict === 409,
  };
  return {
    columns: ["sent", "landed", "dead", "expected"],
    rows: [...sent, ...repeated, ...poison, conflict],
  };
}

function oneEffect(found: Findings): Guarantee {
  const { good } = found.plan;
  const landed = good.filter((one) => landedOnce(one, found)).length;
  const moved = [...found.chain.nonces.values()].reduce((sum, nonce) => sum + nonce.moved, 0);
  const noops = noopsOf(found).length;
  const ok = landed === good.length && moved === landed + noops && moved === found.chain.mined.length;
  const text = `${landed} of ${good.length} recipients paid once; nonces moved ${moved}`;
  return { name: "G1 one effect", found: `${text}${noops === 0 ? "" : `, ${noops} no-ops`}`, ok };
}

function noGap({ lanes, chain }: Findings): Guarantee {
  const even = GAPLESS.filter(({ id, address }) => {
    const lane = lanes.get(id)?.after;
    return lane !== undefined && lane.open === 0 && lane.nextSequence === chain.nonces.get(address)?.now;
  });
  const text = `${even.length} of ${GAPLESS.length} lanes stand at the chain's own nonce, no slot open`;
  return { name: "G2 one owner", found: text, ok: even.length === GAPLESS.length };
}

function nothingLost({ lanes, plan }: Findings): Guarantee {
  const sum = { admitted: 0, settled: 0, dead: 0, inFlight: 0 };
  let ok = true;
  for (const account of ALL_ACCOUNTS) {
    const lane = lanes.get(account.id);
    if (lane === undefined) return { name: "G3 nothing lost", found: `no lane ${account.id}`, ok: false };
    const { admitted, settled, dead, inFlight } = lane.after.counts;
    const before = lane.before.counts;
    ok &&= admitted === settled + dead + inFlight && inFlight === 0;
    ok &&= admitted - before.admitted === expectedAdmissions(plan, [account]);
    sum.admitted += admitted - before.admitted;
    sum.settled += settled - before.settled;
    sum.dead += dead - before.dead;
    sum.inFlight += inFlight;
  }
  const text = `admitted ${sum.admitted} = settled ${sum.settled} + dead ${sum.dead} + in flight ${sum.inFlight}`;
  return { name: "G3 nothing lost", found: text, ok };
}

/** Every letter that the run ever opened, in any state, has the code of what was wrong. */
function rightBin(found: Findings): Guarantee {
  const { letters, plan } = found;
  const wrong = letters.filter((letter) => codeOf(letter, plan)?.includes(letter.code) !== true);
  const codes = [...new Set(wrong.map(({ code, directiveId }) => `${code} of ${directiveId}`))].slice(0, 2);
  const text = `${letters.length - wrong.length} of ${letters.length} letters under their code`;
  const said = codes.length === 0 ? text : `${text}; not ${codes.join(", ")}`;
  return { name: "G5 right bin", found: said, ok: wrong.length === 0 && letters.length > 0 };
}

/** How many transactions the recipients got beyond their first. */
function secondEffects(goods: readonly Good[], { chain }: Findings): number {
  const recipients = new Set<string>(goods.map(({ recipient }) => recipient));
  const paid = chain.mined.map(({ to }) => to).filter((to) => recipients.has(to));
  return paid.length - new Set(paid).size;
}

/** A lane fills a hole with a transaction to itself. */
function noopsOf({ chain }: Findings): readonly Mined[] {
  return chain.mined.filter(({ from, to }) => from === to);
}

function landedPoison({ items }: Poison, mined: readonly Mined[]): number {
  const recipients = new Set<string>(items.flatMap((item) => ("raw" in item ? [] : [item.recipient])));
  return mined.filter(({ to }) => recipients.has(to)).length;
}

function idsOf({ items }: Poison): ReadonlySet<string> {
  return new Set(items.flatMap((item) => ("raw" in item ? [] : [item.directive.id])));
}
