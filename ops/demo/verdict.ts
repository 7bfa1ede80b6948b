import type { DirectiveReport, LaneReport } from "../../domain/api.ts";
import type { LetterReport } from "../client.ts";
import type { ChainFacts, Mined } from "./chain-facts.ts";
import { ACCOUNTS, GOOD_ACCOUNTS, type Good, type Poison, type Source, type Traffic } from "./traffic.ts";

/** One line of the table. Null: the column means nothing here. */
export interface Row {
  readonly label: string;
  readonly sent: number;
  readonly landed: number | null;
  readonly dead: number | null;
  readonly expected: string;
  readonly ok: boolean;
}

export interface Guarantee {
  readonly name: string;
  readonly found: string;
  readonly ok: boolean;
}

/** What the run found: from the chain, from the ledger, from the lanes, and what HTTP answered on the way. */
export interface Findings {
  readonly traffic: Traffic;
  readonly chain: ChainFacts;
  /** Of this run. */
  readonly letters: readonly LetterReport[];
  /** By directive id; null where the lane has none. */
  readonly reports: ReadonlyMap<string, DirectiveReport | null>;
  /** By account, before the run and after it. */
  readonly lanes: ReadonlyMap<string, { readonly before: LaneReport; readonly after: LaneReport }>;
  /** How many of the repeated ones HTTP answered as known, and what it said of the conflict. */
  readonly answers: { readonly repeatedKnown: number; readonly conflict: number };
}

const SOURCES: readonly (readonly [Source, string])[] = [
  ["http-single", "HTTP, one by one"],
  ["http-batch", "HTTP, in batches"],
  ["queue", "queue binding"],
  ["crash", "HTTP during a SIGKILL"],
];

export function tableOf(found: Findings): readonly Row[] {
  const { traffic, answers } = found;
  const sent = SOURCES.map(([source, label]): Row => {
    const goods = traffic.good.filter((good) => good.source === source);
    const landed = goods.filter((good) => landedOnce(good, found)).length;
    const dead = lettersOf(
      goods.map(({ directive }) => directive.id),
      found,
    );
    const ok = landed === goods.length && dead === 0;
    return { label, sent: goods.length, landed, dead, expected: `${goods.length} land once`, ok };
  });
  const { repeatedOverHttp, repeatedOnQueue } = traffic;
  const again = {
    http: secondEffects(repeatedOverHttp, found),
    queue: secondEffects(repeatedOnQueue, found),
  };
  const repeated: Row[] = [
    {
      label: "repeated over HTTP",
      sent: repeatedOverHttp.length,
      landed: again.http,
      dead: null,
      expected: `${answers.repeatedKnown} answered as known`,
      ok: again.http === 0 && answers.repeatedKnown === repeatedOverHttp.length,
    },
    {
      label: "repeated on the queue",
      sent: repeatedOnQueue.length,
      landed: again.queue,
      dead: null,
      expected: "no second effect",
      ok: again.queue === 0,
    },
  ];
  const poison = traffic.poison.map((kind): Row => {
    const landed = landedPoison(kind, found.chain.mined);
    const dead = lettersOfPoison(kind, found).length;
    const ok = landed === 0 && dead === kind.items.length;
    return { label: kind.label, sent: kind.items.length, landed, dead, expected: kind.code, ok };
  });
  const { recipient } = traffic.conflictOverHttp;
  const conflicting = found.chain.mined.filter(({ to }) => to === recipient).length;
  const conflict: Row = {
    label: "other payload over HTTP",
    sent: 1,
    landed: conflicting,
    dead: null,
    expected: answers.conflict === 409 ? "answered 409" : `answered ${answers.conflict}, not 409`,
    ok: conflicting === 0 && answers.conflict === 409,
  };
  return [...sent, ...repeated, ...poison, conflict];
}

export function guaranteesOf(found: Findings): readonly Guarantee[] {
  return [oneEffect(found), noGap(found), nothingLost(found), rightBin(found)];
}

function oneEffect(found: Findings): Guarantee {
  const landed = countLanded(found);
  const moved = [...found.chain.nonces.values()].reduce((sum, nonce) => sum + nonce.moved, 0);
  const noops = noopsOf(found).length;
  const ok =
    landed === found.traffic.good.length && moved === landed + noops && moved === found.chain.mined.length;
  const text = `${landed} of ${found.traffic.good.length} recipients paid once; nonces moved ${moved}`;
  return { name: "G1 one effect", found: `${text}${noops === 0 ? "" : `, ${noops} no-ops`}`, ok };
}

function noGap({ lanes, chain }: Findings): Guarantee {
  const even = GOOD_ACCOUNTS.filter(({ id, address }) => {
    const lane = lanes.get(id)?.after;
    return lane !== undefined && lane.open === 0 && lane.nextSequence === chain.nonces.get(address)?.now;
  });
  const text = `${even.length} of ${GOOD_ACCOUNTS.length} lanes stand at the chain's own nonce, no slot open`;
  return { name: "G2 one owner", found: text, ok: even.length === GOOD_ACCOUNTS.length };
}

function nothingLost({ lanes, traffic }: Findings): Guarantee {
  const sum = { admitted: 0, settled: 0, dead: 0, inFlight: 0 };
  let ok = true;
  for (const { id } of ACCOUNTS) {
    const lane = lanes.get(id);
    if (lane === undefined) return { name: "G3 nothing lost", found: `no lane ${id}`, ok: false };
    const { admitted, settled, dead, inFlight } = lane.after.counts;
    const before = lane.before.counts;
    ok &&= admitted === settled + dead + inFlight && inFlight === 0;
    ok &&= admitted - before.admitted === expectedAdmissions(traffic, id);
    sum.admitted += admitted - before.admitted;
    sum.settled += settled - before.settled;
    sum.dead += dead - before.dead;
    sum.inFlight += inFlight;
  }
  const text = `admitted ${sum.admitted} = settled ${sum.settled} + dead ${sum.dead} + in flight ${sum.inFlight}`;
  return { name: "G3 nothing lost", found: text, ok };
}

function rightBin(found: Findings): Guarantee {
  const { traffic, letters } = found;
  const expected = traffic.poison.reduce((sum, { items }) => sum + items.length, 0);
  const right = traffic.poison.flatMap((kind) => lettersOfPoison(kind, found));
  const others = letters.filter((letter) => !right.includes(letter)).map(({ code }) => code);
  const text = `${right.length} of ${expected} letters under their code, ${others.length} others`;
  const ok = right.length === expected && others.length === 0;
  return {
    name: "G5 right bin",
    found: `${text}${others.length === 0 ? "" : `: ${[...new Set(others)].join(", ")}`}`,
    ok,
  };
}

/** How many directives of the run its lane must admit. */
export function expectedAdmissions({ good, poison }: Traffic, account: string): number {
  const own = poison.filter(({ lane }) => lane?.id === account);
  return (
    good.filter((one) => one.account.id === account).length +
    own.reduce((sum, { items }) => sum + items.length, 0)
  );
}

/** The chain is the witness: one successful transaction to the recipient, known to the lane, and its value once. */
function landedOnce({ directive, recipient, value }: Good, { chain, reports }: Findings): boolean {
  const report = reports.get(directive.id) ?? null;
  const effects = chain.mined.filter(({ to }) => to === recipient);
  const [effect] = effects;
  return (
    report?.status === "confirmed" &&
    effect !== undefined &&
    effects.length === 1 &&
    effect.success &&
    report.transactions.some(({ hash }) => hash === effect.hash) &&
    chain.balances.get(recipient) === value
  );
}

/** How many transactions the recipients got beyond their first. */
function secondEffects(goods: readonly Good[], { chain }: Findings): number {
  const recipients = new Set<string>(goods.map(({ recipient }) => recipient));
  const paid = chain.mined.map(({ to }) => to).filter((to) => recipients.has(to));
  return paid.length - new Set(paid).size;
}

function countLanded(found: Findings): number {
  return found.traffic.good.filter((good) => landedOnce(good, found)).length;
}

/** A lane fills a hole with a transaction to itself. */
function noopsOf({ chain }: Findings): readonly Mined[] {
  return chain.mined.filter(({ from, to }) => from === to);
}

function landedPoison({ items }: Poison, mined: readonly Mined[]): number {
  const recipients = new Set<string>(items.flatMap((item) => ("raw" in item ? [] : [item.recipient])));
  return mined.filter(({ to }) => recipients.has(to)).length;
}

/** Letters of lanes: one of an introduction may name a good directive's id, with another payload. */
function lettersOf(ids: readonly string[], { letters }: Findings): number {
  return letters.filter(({ kind, directiveId }) => kind === "directive" && ids.includes(directiveId)).length;
}

function lettersOfPoison({ code, items }: Poison, { letters }: Findings): readonly LetterReport[] {
  const ids = new Set(items.flatMap((item) => ("raw" in item ? [] : [item.directive.id])));
  return letters.filter(
    (letter) =>
      letter.code === code && (ids.size === 0 ? letter.kind === "raw" : ids.has(letter.directiveId)),
  );
}
