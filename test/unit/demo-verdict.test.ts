import { expect, test } from "vitest";
import type { Findings } from "../../ops/demo/findings.ts";
import { reportText } from "../../ops/demo/report.ts";
import { guaranteesOf, tablesOf } from "../../ops/demo/verdict.ts";
import { depthOf, goodFindings } from "./demo-fixture.ts";

/** The names of the lines that are off. */
function off(found: Findings): readonly string[] {
  const rows = tablesOf(found).flatMap((table) => table.rows);
  return [
    ...rows.filter(({ ok }) => !ok).map(({ label }) => label),
    ...guaranteesOf(found)
      .filter(({ ok }) => !ok)
      .map(({ name }) => name),
  ];
}

test("a run in which everything went as it must has no line that is off, and none that is too wide", () => {
  const found = goodFindings();
  expect(off(found)).toEqual([]);
  const text = reportText(tablesOf(found), guaranteesOf(found));
  expect(text).toContain("Every number is as it must be.");
  expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

const payee = ({ plan }: Findings) => plan.storm.payments[0];
const arrivalOf = (found: Findings, from: number) => {
  const arrival = found.arrivals[from];
  if (arrival === undefined) throw new Error("no arrival");
  return arrival;
};

test.each<readonly [string, (found: Findings) => Findings, readonly string[]]>([
  [
    "a recipient has its value twice",
    (found) => {
      const good = payee(found);
      const balances = new Map([...found.chain.balances, [good?.recipient ?? "", 2n * (good?.value ?? 0n)]]);
      return { ...found, chain: { ...found.chain, balances } };
    },
    ["vault without funds", "G1 one effect"],
  ],
  [
    "a transaction that nobody asked for was mined",
    (found) => {
      const [first] = found.chain.mined;
      const mined = [...found.chain.mined, ...(first === undefined ? [] : [{ ...first, hash: "0xother" }])];
      return { ...found, chain: { ...found.chain, mined } };
    },
    ["G1 one effect"],
  ],
  [
    "two events of a customer were handled in the wrong order",
    (found) => {
      const [first, second, ...others] = found.arrivals;
      return first === undefined || second === undefined
        ? found
        : { ...found, arrivals: [second, first, ...others] };
    },
    ["G4 in order"],
  ],
  [
    "an event was handled twice, under two ids",
    (found) => ({
      ...found,
      arrivals: [...found.arrivals, { ...arrivalOf(found, 199 + 20), webhookId: "another" }],
    }),
    ["destination says 403"],
  ],
  [
    "an event was never handled",
    (found) => ({ ...found, arrivals: found.arrivals.slice(0, -1) }),
    ["destination says 422"],
  ],
  [
    "a replay did not say that it is late",
    (found) => {
      const last = arrivalOf(found, found.arrivals.length - 1);
      return { ...found, arrivals: [...found.arrivals.slice(0, -1), { ...last, replayed: false }] };
    },
    ["destination says 422"],
  ],
  [
    "a forged event was handled",
    (found) => ({
      ...found,
      arrivals: [...found.arrivals, { ...arrivalOf(found, 0), key: "x", body: '{"type":"forged.updated"}' }],
    }),
    ["forged, stale, from ahead"],
  ],
  [
    "a letter of the storm is still open",
    (found) => ({
      ...found,
      letters: found.letters.map((letter, index) =>
        index === found.letters.length - 1 ? { ...letter, state: "open" as const } : letter,
      ),
    }),
    ["destination says 422"],
  ],
  [
    "a letter has another code than its cause",
    (found) => ({
      ...found,
      letters: found.letters.map((letter, index) =>
        index === found.letters.length - 1 ? { ...letter, code: "gone" } : letter,
      ),
    }),
    ["destination says 422", "G5 right bin"],
  ],
  [
    "the depth does not go back to what nothing helps",
    (found) => ({ ...found, depth: { ...found.depth, after: depthOf(found.depth.after.letters.open + 1) } }),
    ["what no replay helps", "Replay"],
  ],
  [
    "the replay's numbers do not add up",
    (found) => {
      const { cures, rest } = found.replays;
      const reports = cures.reports.map((report) => ({ ...report, total: report.total + 1 }));
      return { ...found, replays: { cures: { ...cures, reports }, rest } };
    },
    ["Replay"],
  ],
  [
    "an audit trail says less than the receiver",
    (found) => ({
      ...found,
      audits: found.audits.map((audit) => ({ ...audit, audit: audit.audit.slice(0, 1) })),
    }),
    ["G6 answerable"],
  ],
])("%s: the verdict says so", (_, broken, lines) => {
  expect(off(broken(goodFindings()))).toEqual(lines);
});
