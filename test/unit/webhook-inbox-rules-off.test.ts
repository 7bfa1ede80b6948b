import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomInboxFault } from "../model/inbox-attack.ts";

/** Copies of the machine, each with one rule switched off. Inside node_modules, so that packages resolve. */
const COPIES = join(import.meta.dirname, "../../node_modules/.cache/lockstep-inbox-rules-off");
const HISTORIES = 3000;

interface RuleOff {
  readonly rule: string;
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

const RULES: readonly RuleOff[] = [
  {
    rule: "a stale token changes nothing",
    file: "state",
    find: "lease.token === token && lease.deadlineMs > nowMs",
    put: "lease.token >= token && lease.deadlineMs > nowMs",
  },
  {
    rule: "a token ends with its lease",
    file: "state",
    find: "lease.token === token && lease.deadlineMs > nowMs",
    put: "lease.token === token",
  },
  {
    rule: "a renewal is a new token",
    file: "lease",
    find: "header.token += 1;",
    put: "header.token = Math.max(1, header.token);",
  },
  {
    rule: "one consumer at a time",
    file: "lease",
    find: 'if (header.lease !== null) return { kind: "occupied"',
    put: 'if (header.token < 0 && header.lease !== null) return { kind: "occupied"',
  },
  {
    rule: "what is stored of the handler's output stays",
    file: "lease",
    find: "if (record === undefined || record.effects !== null) continue;",
    put: "if (record === undefined) continue;",
  },
  {
    rule: "a retry waits for its delay",
    file: "lease",
    find: "const blocked = line.findIndex(({ dueMs }) => dueMs > nowMs);",
    put: "const blocked = nowMs < 0 ? 0 : -1;",
  },
  {
    rule: "none is lent past one that waits",
    file: "lease",
    find: ": sequencesOf(line.slice(0, blocked));",
    put: ": [...sequencesOf(line.slice(0, blocked)), ...freshOf(inbox, 1)];",
  },
  {
    rule: "a late one keeps its place where the key pauses",
    file: "lease",
    find: 'lineOf(inbox, policy.afterPermanentFailure === "pause")',
    put: "lineOf(inbox, false)",
  },
  {
    rule: "late ones come in the order of their admission",
    file: "lease",
    find: "const late = inbox.firstLateDue(nowMs);",
    put: "const late = inbox.waitingDue(true, nowMs, 1)[0]?.sequence;",
  },
  {
    rule: "what was not tried stays due",
    file: "lease",
    find: "else inbox.putWaiting({ sequence, dueMs: nowMs, late: false });",
    put: "",
  },
  {
    rule: "a redelivery is no second event",
    file: "admission",
    find: "if (known !== undefined)",
    put: "if (known === -1)",
  },
  {
    rule: "a letter is owed until the ledger has it",
    file: "alarm",
    find: "inbox.oweLetter(sequence, nowMs + letterAgainMs(nowMs - (record?.updatedAtMs ?? nowMs)));",
    put: "inbox.letterPaid(sequence);",
  },
  {
    rule: "a receipt of an earlier letter does not pay a later one",
    file: "letters",
    find: "record.generation !== generation",
    put: "generation < 0",
  },
  {
    rule: "readmission is compare-and-set",
    file: "admission",
    find: 'record.state !== "dead" || record.generation !== from',
    put: 'record.state !== "dead"',
  },
  {
    rule: "what is settled is not done again",
    file: "admission",
    find: 'if (record.state === "settled") return { kind: "already-landed" };',
    put: "",
  },
  {
    rule: "only what is dead is readmitted",
    file: "admission",
    find: 'record.state !== "dead" || record.generation !== from',
    put: "record.generation !== from",
  },
  {
    rule: "effects that were done stay done over a readmission",
    file: "admission",
    find: 'state: state === "done" ? state : "pending"',
    put: 'state: "pending" as const',
  },
  {
    rule: "the lease of a head that is skipped stands",
    file: "operations",
    find: "header.prompt = true;\n  return head;",
    put: "if (header.lease !== null) header.lease = { ...header.lease, deadlineMs: nowMs };\n  return head;",
  },
  {
    rule: "what is planned for a head that is skipped stays",
    file: "lease",
    find: "if (record === undefined || record.effects !== null) continue;",
    put: "if (record === undefined || record.effects !== null || !isLent(header, plan.sequence)) continue;",
  },
  {
    rule: "what is said of a head that was skipped changes nothing",
    file: "settlement",
    find: "if (record !== undefined && isLent(header, sequence)) settleEvent",
    put: "if (record !== undefined) settleEvent",
  },
  {
    rule: "a dead event is lent no more",
    file: "state",
    find: "if (lease !== null && isLent(header, sequence)) {",
    put: "if (lease !== null && sequence < 0) {",
  },
  {
    rule: "an event is settled when all of it is done",
    file: "settlement",
    find: 'const open = effects.some(({ state }) => state === "pending");',
    put: "const open = false;",
  },
  {
    rule: "one permanent failure among its effects makes an event dead",
    file: "settlement",
    find: "} else if (record.fatal !== null) {",
    put: "} else if (record.fatal !== null && nowMs < 0) {",
  },
  {
    rule: "an event is given up only after its time budget",
    file: "lease",
    find: "if (record.spentMs >= policy.giveUpAfterSeconds * 1000) {",
    put: "if (record.retries > 1) {",
  },
  {
    rule: "a pause is not of the time budget",
    file: "lease",
    find: "nowMs - lastRetry.atMs - (pausedMs - lastRetry.pausedMs),\n          lastRetry.delayMs + policy.leaseSeconds * 1000,",
    put: "nowMs - lastRetry.atMs,\n          Infinity,",
  },
  {
    rule: "a resumed inbox, and one that nobody came to, rings",
    file: "alarm",
    find: "const doorbell = rings && (",
    put: "const doorbell = header.rings < 1 && rings && (",
  },
  {
    rule: "the alarm rings after a lease's end",
    file: "alarm",
    find: "if (header.lease !== null) return header.lease.deadlineMs;",
    put: "if (header.lease !== null) return null;",
  },
  {
    rule: "the alarm rings for late events",
    file: "lease",
    find: ": earliest(headMs, inbox.waitingNextMs(true));",
    put: ": headMs;",
  },
  {
    rule: "what is settled is kept for its retention time",
    file: "alarm",
    find: "inbox.prune(nowMs - retentionMs,",
    put: "inbox.prune(nowMs,",
  },
];

interface Attack {
  randomInboxFault(histories: number): string | null;
}

function isAttack(module: unknown): module is Attack {
  return typeof module === "object" && module !== null && "randomInboxFault" in module;
}

async function machineWithout({ file, find, put }: RuleOff, copy: string): Promise<Attack> {
  const root = join(COPIES, copy);
  for (const folder of ["domain", "durable-objects", "test/model"]) {
    mkdirSync(join(root, folder), { recursive: true });
    cpSync(folder, join(root, folder), { recursive: true });
  }
  const path = join(root, "durable-objects", `webhook-inbox-${file}.ts`);
  const source = readFileSync(path, "utf8");
  expect(source.split(find), `${file} holds the rule's line once`).toHaveLength(2);
  writeFileSync(
    path,
    source.replace(find, () => put),
  );
  // oxlint-disable-next-line import/no-dynamic-require -- the copy is made above
  const attack: unknown = await import(pathToFileURL(join(root, "test/model/inbox-attack.ts")).href);
  if (!isAttack(attack)) throw new Error("the attack is gone");
  return attack;
}

beforeAll(() => rmSync(COPIES, { recursive: true, force: true }));
afterAll(() => rmSync(COPIES, { recursive: true, force: true }));

test("with every rule on, random histories hold", () => {
  expect(randomInboxFault(HISTORIES)).toBeNull();
}, 60_000);

describe("a guarantee breaks without", () => {
  test.each(RULES)(
    "$rule",
    async (ruleOff) => {
      const attack = await machineWithout(ruleOff, String(RULES.indexOf(ruleOff)));
      let fault: string | null;
      try {
        fault = attack.randomInboxFault(HISTORIES);
      } catch (error) {
        fault = error instanceof Error ? error.message : "it threw";
      }
      expect(fault).not.toBeNull();
    },
    60_000,
  );
});
