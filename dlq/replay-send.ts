import { workable, type Config } from "../domain/config.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { parseInbox, type InboxName } from "../domain/inbox-name.ts";
import type { ReadmissionAnswer, SequencerProtocol } from "../domain/lane.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import { unreachable } from "../domain/result.ts";
import type { InboxProtocol } from "../domain/webhook-event.ts";
import { within } from "../domain/within.ts";
import type { LedgerDatabase } from "./ledger.ts";
import type { CallBounds } from "./call-bounds.ts";
import { chunks } from "./chunks.ts";
import { admissionDecision, eventDecision, readmissionDecision, refused } from "./replay-decisions.ts";
import { letterBodies, type Decision, type ReplayLetter } from "./replay-page-store.ts";
import { sendRaw, type RawQueue } from "./replay-raw.ts";
import { readAdmission } from "./replay-admission.ts";

/** What a replay sends to. */
export interface ReplayTargets {
  readonly LEDGER: LedgerDatabase;
  readonly SEQUENCER: {
    getByName(account: AccountId): Pick<SequencerProtocol, "admit" | "directives" | "readmitAll">;
  };
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): Pick<InboxProtocol, "event" | "readmit"> };
  readonly DIRECTIVES: RawQueue;
  readonly WEBHOOK_EVENTS: RawQueue;
}

/** What the asking of lanes and inboxes may cost, and the clock that it is measured with. */
export interface Spell {
  readonly bounds: CallBounds;
  readonly now: () => number;
}

/**
 * What came of carrying a page out. Letters of lanes that did not answer, and those that the spell was too short for,
 * have no decision: they stay claimed.
 */
export interface Carried {
  readonly decisions: readonly Decision[];
  readonly answered: readonly string[];
  readonly unanswered: readonly string[];
  /** Calls that it took, as the platform counts them. */
  readonly calls: number;
}

const LANES_AT_ONCE = 32;
const MESSAGES_PER_BATCH = 100;
/** Bodies that are in memory at once: each may be a megabyte. */
const BODIES_AT_ONCE = 16;

/**
 * Sends letters that are claimed. Lanes and inboxes take one back to work at most once for each generation, so that the
 * same letters again, after a crash or beside another driver, send nothing twice.
 */
export async function carryOut(
  letters: readonly ReplayLetter[],
  targets: ReplayTargets,
  config: Config,
  { bounds, now }: Spell,
): Promise<Carried> {
  const untilMs = now() + bounds.spellMs;
  const mayGoOn = () => calls < bounds.calls && now() < untilMs;
  const groups = [...Map.groupBy(letters, ({ kind, lane }) => JSON.stringify([kind, lane])).values()];
  const decisions: Decision[] = [];
  const answered = new Set<string>();
  const unanswered = new Set<string>();
  const rung: Body[] = [];
  const rungInboxes: Body[] = [];
  let calls = 0;
  await eachOf(groups, LANES_AT_ONCE, async (group) => {
    const [first] = group;
    if (first === undefined || !mayGoOn()) return;
    const { kind, lane } = first;
    try {
      switch (kind) {
        case "directive":
        case "introduction": {
          const account = accountOf(lane, config);
          if (!account.ok) {
            decisions.push(...group.map((letter) => refused(letter, account.reason)));
            break;
          }
          calls += kind === "directive" ? 2 : 1 + Math.ceil(group.length / BODIES_AT_ONCE);
          const made =
            kind === "directive"
              ? await within(bounds.callMs, readmitDirectives(group, account.id, targets))
              : await admitIntroductions(group, account.id, targets, { callMs: bounds.callMs, mayGoOn });
          decisions.push(...made);
          if (made.some(({ outcome }) => outcome === "sent"))
            rung.push(encodeMessage({ kind: "doorbell", account: account.id }));
          break;
        }
        case "event": {
          const address = parseInbox(lane);
          if (address === undefined || !config.sources.has(address.source)) {
            const reason =
              address === undefined
                ? "no inbox has this name"
                : `the source ${address.source} is not configured`;
            decisions.push(...group.map((letter) => refused(letter, reason)));
            break;
          }
          const inbox = address.name;
          // One after the other: the events of a key go on in their order.
          const inOrder = group.toSorted((left, right) => (left.sequence ?? 0) - (right.sequence ?? 0));
          for (const [place, letter] of inOrder.entries()) {
            if (place > 0 && !mayGoOn()) break;
            calls += 1;
            decisions.push(await within(bounds.callMs, readmitEvent(letter, inbox, targets)));
          }
          rungInboxes.push(encodeMessage({ kind: "inbox-doorbell", inbox }));
          break;
        }
        case "raw": {
          const queues = { directives: targets.DIRECTIVES, "webhook-events": targets.WEBHOOK_EVENTS };
          for (const [place, some] of chunks(group, BODIES_AT_ONCE).entries()) {
            if (place > 0 && !mayGoOn()) break;
            calls += 1 + some.length;
            const bodies = await letterBodies(targets.LEDGER, idsOf(some));
            const sent = await sendRaw(some, bodies, queues);
            decisions.push(...sent.decisions);
            if (sent.failure !== null) throw sent.failure;
          }
          break;
        }
        default:
          unreachable(kind);
      }
      answered.add(lane);
    } catch (error) {
      unanswered.add(lane);
      console.warn(JSON.stringify({ at: "dlq.replay", kind, lane, error: reasonOf(error) }));
    }
  });
  calls += await ring(targets.DIRECTIVES, rung);
  calls += await ring(targets.WEBHOOK_EVENTS, rungInboxes);
  for (const lane of unanswered) answered.delete(lane);
  return { decisions, answered: [...answered], unanswered: [...unanswered], calls };
}

async function readmitDirectives(
  letters: readonly ReplayLetter[],
  account: AccountId,
  { SEQUENCER }: ReplayTargets,
): Promise<readonly Decision[]> {
  const lane = SEQUENCER.getByName(account);
  const answers = await lane.readmitAll(
    letters.map(({ directiveId: id, digest, generation }) => ({ id, digest, generation })),
  );
  const ended = letters.filter((_, index) => saysNoGeneration(answers[index]));
  const views = ended.length === 0 ? [] : await lane.directives(ended.map(({ directiveId }) => directiveId));
  const viewOf = new Map(ended.map(({ ordinal }, index) => [ordinal, views[index] ?? null]));
  return letters.flatMap((letter, index) => {
    const answer = answers[index];
    return answer === undefined
      ? []
      : [readmissionDecision(letter, answer, viewOf.get(letter.ordinal) ?? null)];
  });
}

function saysNoGeneration(answer: ReadmissionAnswer | undefined): boolean {
  return answer?.kind === "already-landed" || answer?.kind === "undetermined" || answer?.kind === "reverted";
}

async function admitIntroductions(
  letters: readonly ReplayLetter[],
  account: AccountId,
  { SEQUENCER, LEDGER }: ReplayTargets,
  { callMs, mayGoOn }: { readonly callMs: number; readonly mayGoOn: () => boolean },
): Promise<readonly Decision[]> {
  const decisions: Decision[] = [];
  for (const [place, some] of chunks(letters, BODIES_AT_ONCE).entries()) {
    if (place > 0 && !mayGoOn()) break;
    const bodies = await letterBodies(LEDGER, idsOf(some));
    const readable = some.flatMap((letter) => {
      const admission = readAdmission(letter, bodies.get(letter.letterId));
      if (admission !== null) return [{ letter, admission }];
      decisions.push(refused(letter, "its stored payload cannot be read"));
      return [];
    });
    if (readable.length === 0) continue;
    const admissions = readable.map(({ admission }) => admission);
    const answers = await within(callMs, SEQUENCER.getByName(account).admit(account, admissions));
    for (const [index, { letter }] of readable.entries()) {
      const answer = answers[index];
      if (answer !== undefined) decisions.push(admissionDecision(letter, answer));
    }
  }
  return decisions;
}

async function readmitEvent(
  letter: ReplayLetter,
  inbox: InboxName,
  { WEBHOOK_INBOX }: ReplayTargets,
): Promise<Decision> {
  const { directiveId: id, digest, generation } = letter;
  const stub = WEBHOOK_INBOX.getByName(inbox);
  const answer = await stub.readmit({ id, digest, generation });
  const settled = answer.kind === "already-landed" ? await stub.event(id) : undefined;
  return eventDecision(letter, answer, settled ?? null);
}

/** One doorbell for each lane. Losing one is harmless: the lane's alarm rings too. */
async function ring(queue: RawQueue, bodies: readonly Body[]): Promise<number> {
  const batches = chunks(bodies, MESSAGES_PER_BATCH);
  for (const batch of batches) {
    try {
      await queue.sendBatch(batch.map((body) => ({ body, contentType: "json" })));
    } catch (error) {
      console.warn(JSON.stringify({ at: "dlq.replay", lanes: batch.length, error: reasonOf(error) }));
    }
  }
  return batches.length;
}

function accountOf(
  lane: string,
  config: Config,
): { readonly ok: true; readonly id: AccountId } | { readonly ok: false; readonly reason: string } {
  const parsed = parseAccount(lane);
  if (!parsed.ok) return { ok: false, reason: "its lane is no account" };
  switch (workable(config, parsed.value)) {
    case "yes":
      return { ok: true, id: parsed.value.id };
    case "unsupported_chain":
      return { ok: false, reason: "unsupported_chain: no chain of that id is configured" };
    case "no_signer":
      return { ok: false, reason: "no_signer: no signer is configured for the account" };
  }
}

/** Runs at most `width` at once. What one throws is its own affair: it must not. */
export async function eachOf<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const pending = items.values();
  await Promise.all(
    Array.from({ length: Math.min(width, items.length) }, async () => {
      for (const item of pending) await work(item);
    }),
  );
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function idsOf(letters: readonly ReplayLetter[]): readonly string[] {
  return letters.map(({ letterId }) => letterId);
}
