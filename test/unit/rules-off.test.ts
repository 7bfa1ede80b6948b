import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomFault, SCRIPTS, scriptFault } from "../model/attack.ts";

/** Copies of the machine, each with one rule switched off. Inside node_modules, so that packages resolve. */
const COPIES = join(import.meta.dirname, "../../node_modules/.cache/lockstep-rules-off");
const HISTORIES = 3000;

interface RuleOff {
  readonly rule: string;
  readonly file: string;
  readonly find: string;
  readonly put: string;
  /** The script that must fail without the rule; by default, random histories. */
  readonly script?: string;
}

const RULES: readonly RuleOff[] = [
  {
    rule: "R1 only contained slots are released",
    file: "sequencer-state.ts",
    find: 'state === "refused" || state === "unsent"',
    put: 'state !== "accepted" && state !== "recorded"',
  },
  {
    rule: "R1 an answer about exposed bytes proves nothing",
    file: "sequencer-settlement.ts",
    find: 'return isExposed(sent) && outcome.kind === "accepted" ? { ...sent, state: "accepted" } : sent;',
    put: "return { ...sent, state: settledState(outcome) };",
  },
  {
    rule: "R2 a lease that ends exposes what it recorded",
    file: "sequencer-lease.ts",
    find: '? { ...sent, state: "uncertain" }',
    put: '? { ...sent, state: "unsent" }',
  },
  {
    rule: "R2 a stale token changes nothing",
    file: "sequencer-lease.ts",
    find: "return lane.header.leases.find((lease) => lease.token === token);",
    put: "return lane.header.leases.find((lease) => lease.token >= token);",
  },
  {
    rule: "R2 a renewal is a new token",
    file: "sequencer-lease.ts",
    find: "header.token += 1;",
    put: "header.token = Math.max(1, header.token);",
    script: "a renewal keeps its token",
  },
  {
    rule: "R2 a directive is lent to one token",
    file: "sequencer-lease.ts",
    find: "const lent = loansOf(lane);\n",
    put: "const lent = new Set<string>();\n",
  },
  {
    rule: "R2 only what was lent is recorded",
    file: "sequencer-lease.ts",
    find: "if (id !== null && !lent.delete(id)) {",
    put: "if (id !== null && lent.size > 99) {",
    script: "a directive that was not lent is recorded",
  },
  {
    rule: "R3 an open slot is worked by one live lease",
    file: "sequencer-lease.ts",
    find: "!worked.has(slot.sequence)",
    put: "worked.size >= 0",
    script: "two leases send one slot",
  },
  {
    rule: "R4 a slot whose log has grown is skipped",
    file: "sequencer-evidence.ts",
    find: "slot.transactions.every(({ hash }) => looked.has(hash))",
    put: "looked.size >= 0",
  },
  {
    rule: "R4 a missing receipt proves nothing",
    file: "sequencer-evidence.ts",
    find: "landed === undefined && !foreign.has(slot.sequence)",
    put: "landed === undefined && foreign.size < 0",
  },
  {
    rule: "R4 only what is final is decided",
    file: "sequencer-evidence.ts",
    find: "if (slot.sequence >= evidence.sequence) {",
    put: "if (slot.sequence > evidence.sequence) {",
  },
  {
    rule: "R4 what can no longer be included is free again",
    file: "sequencer-evidence.ts",
    find: "validUntil !== null && validUntil <= block",
    put: "validUntil !== null && validUntil < 0",
  },
  {
    rule: "R4 validity is over only when its last height is final",
    file: "sequencer-evidence.ts",
    find: "validUntil !== null && validUntil <= block",
    put: "validUntil !== null && validUntil <= block + 3",
  },
  {
    rule: "R5 hopeless bytes are burnt",
    file: "sequencer-settlement.ts",
    find: "burn ? { ...kept, burning: true, replacements: 0, resendAtMs: nowMs } : kept",
    put: "kept",
  },
  {
    rule: "R5 a bump keeps the directive's number",
    file: "sequencer-lease.ts",
    find: "id !== (lease.bumps.includes(sequence) ? taken.id : null)",
    put: 'id === ""',
    script: "a bump takes the number for another directive",
  },
  {
    rule: "R5 a refused no-op is not outbid",
    file: "sequencer-burn.ts",
    find: 'return sent.noop ? [] : [{ ...sent, raw: "" }];',
    put: "return [sent];",
    script: "a refused no-op raises the price of the next",
  },
  {
    rule: "R6 the alarm rings for due work",
    file: "sequencer-alarm.ts",
    find: "if (backlogMs !== null) due.push(backlogMs);",
    put: "",
  },
  {
    rule: "R6 exposed bytes are sent again",
    file: "sequencer-alarm.ts",
    find: "if (slot.transactions.some(isExposed)) due.push(slot.resendAtMs);",
    put: "due.push();",
  },
  {
    rule: "R6 open slots are looked up again and again",
    file: "sequencer-alarm.ts",
    find: "if (confirmation) header.confirmAtMs = nowMs + everySeconds * 1000;",
    put: "if (confirmation) header.confirmAtMs = Number.MAX_SAFE_INTEGER;",
  },
  {
    rule: "R7 a letter is owed until the ledger has it",
    file: "sequencer-alarm.ts",
    find: "lane.oweLetter(id, nowMs + letterAgainMs(nowMs - (record?.updatedAtMs ?? nowMs)));",
    put: "lane.letterPaid(id);",
  },
  {
    rule: "R8 a revert counts for the oldest only",
    file: "sequencer-settlement.ts",
    find: "(head && !behind ? [id] : [])",
    put: "[id]",
    script: "a revert is believed while earlier directives are under way",
  },
  {
    rule: "R9 readmission is compare-and-set",
    file: "sequencer-readmission.ts",
    find: "!from || record.generation !== key.generation",
    put: "!from",
    script: "one letter is replayed twice",
  },
  {
    rule: "R9 what landed is not sent again",
    file: "sequencer-readmission.ts",
    find: 'if (record.state === "confirmed") return { kind: "already-landed" };',
    put: "",
  },
  {
    rule: "R10 payloads of what is settled are dropped",
    file: "sequencer-storage.ts",
    find: 'new Set(["confirmed", "reverted", "replaced"])',
    put: 'new Set(["reverted", "replaced"])',
    script: "what is settled is kept for ever",
  },
  {
    rule: "R10 bytes of what is settled are dropped",
    file: "sequencer-storage.ts",
    find: "DELETE FROM flights WHERE closed_ms < ?",
    put: "DELETE FROM flights WHERE closed_ms < 0 AND 0 < ?",
    script: "what is settled is kept for ever",
  },
  {
    rule: "R11 no hole is left below a recorded number",
    file: "sequencer-lease.ts",
    find: "if (holes.length > 0) return {",
    put: "if (holes.length > 999) return {",
    script: "a hole is left below a recorded number",
  },
  {
    rule: "R11 next goes back over a released tail",
    file: "sequencer-state.ts",
    find: "header.next -= 1;",
    put: "break;",
    script: "unrecorded numbers are not given back",
  },
  {
    rule: "R11 a chain that falls back reopens what was skipped",
    file: "sequencer-settlement.ts",
    find: 'slot.state === "skipped" && slot.sequence >= sequence',
    put: 'slot.state === "skipped" && slot.sequence < 0',
  },
  {
    rule: "R12 staleness is judged by the oldest unsettled number",
    file: "ixo-sequence-state.ts",
    find: "nowMs - oldestSinceMs >= healAfterMs",
    put: "nowMs - (lane.grantedAtMs ?? nowMs) >= 7000",
    script: "a lost number jams a client that keeps calling",
  },
  {
    rule: "R12 a pending number is not given out again",
    file: "ixo-sequence-state.ts",
    find: "nowMs - oldestSinceMs >= healAfterMs",
    put: "nowMs - (lane.grantedAtMs ?? nowMs) >= 7000",
    script: "a number that is pending is given out again after seven idle seconds",
  },
];

interface Attack {
  randomFault(histories: number): string | null;
  scriptFault(name: string): string | null;
}

function isAttack(module: unknown): module is Attack {
  return typeof module === "object" && module !== null && "randomFault" in module && "scriptFault" in module;
}

async function machineWithout({ file, find, put }: RuleOff, copy: string): Promise<Attack> {
  const root = join(COPIES, copy);
  for (const folder of ["domain", "durable-objects", "test/model"]) {
    mkdirSync(join(root, folder), { recursive: true });
    cpSync(folder, join(root, folder), { recursive: true });
  }
  const path = join(root, "durable-objects", file);
  const source = readFileSync(path, "utf8");
  expect(source.split(find), `${file} holds the rule's line once`).toHaveLength(2);
  writeFileSync(
    path,
    source.replace(find, () => put),
  );
  // oxlint-disable-next-line import/no-dynamic-require -- the copy is made above
  const attack: unknown = await import(pathToFileURL(join(root, "test/model/attack.ts")).href);
  if (!isAttack(attack)) throw new Error("the attack is gone");
  return attack;
}

beforeAll(() => rmSync(COPIES, { recursive: true, force: true }));
afterAll(() => rmSync(COPIES, { recursive: true, force: true }));

describe("with every rule on", () => {
  test("random histories and every script hold", () => {
    expect(randomFault(HISTORIES)).toBeNull();
    for (const name of Object.keys(SCRIPTS)) expect(scriptFault(name), name).toBeNull();
  }, 60_000);
});

describe("a guarantee breaks without", () => {
  test.each(RULES)(
    "$rule",
    async (ruleOff) => {
      const attack = await machineWithout(ruleOff, String(RULES.indexOf(ruleOff)));
      const fault =
        ruleOff.script === undefined ? attack.randomFault(HISTORIES) : attack.scriptFault(ruleOff.script);
      expect(fault).not.toBeNull();
    },
    60_000,
  );
});
