/**
 * In: parsed directives, whose accounts have signers.
 * Out: each is in the outbox of its lane, and every lane that took something new has been rung.
 * On failure: a lane that does not answer makes its own directives `unavailable`; a doorbell that cannot be sent is
 * logged, since the lane's alarm rings too.
 */
import { digestOf, encodePayload, type Directive } from "../domain/directive.ts";
import type { AccountId } from "../domain/ids.ts";
import type { Admission, AdmissionAnswer, SequencerProtocol } from "../domain/lane.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import { describeThrown, logLine } from "./log.ts";

export interface EnqueueEnv {
  readonly SEQUENCER: { getByName(name: AccountId): Pick<SequencerProtocol, "admit"> };
  readonly DIRECTIVES: {
    sendBatch(messages: readonly { readonly body: Body; readonly contentType: "json" }[]): Promise<unknown>;
  };
}

/** `unavailable`: the lane did not answer, so it may or may not have the directive. */
export type EnqueueAnswer = AdmissionAnswer | { readonly kind: "unavailable" };

/** Admits directives, at most 100, account by account in parallel. One answer for each, in order. Never throws. */
export async function enqueue(
  env: EnqueueEnv,
  directives: readonly Directive[],
): Promise<readonly EnqueueAnswer[]> {
  const answers: EnqueueAnswer[] = directives.map(() => ({ kind: "unavailable" }));
  const lanes = Map.groupBy(directives.keys(), (index) => directives[index]?.account.id);
  const rung: AccountId[] = [];
  await Promise.all(
    [...lanes].map(async ([account, indices]) => {
      if (account === undefined) return;
      const admissions = indices.flatMap((index) => directives[index] ?? []).map(admissionOf);
      const admitted = await admit(env, account, admissions);
      for (const [position, index] of indices.entries())
        answers[index] = admitted[position] ?? { kind: "unavailable" };
      if (admitted.some(({ kind }) => kind === "admitted")) rung.push(account);
    }),
  );
  await ring(env, rung);
  return answers;
}

function admissionOf(directive: Directive): Admission {
  return {
    id: directive.id,
    digest: digestOf(directive),
    payload: encodePayload(directive),
    expiresAtMs: directive.expiresAtMs,
  };
}

async function admit(
  env: EnqueueEnv,
  account: AccountId,
  admissions: readonly Admission[],
): Promise<readonly AdmissionAnswer[]> {
  try {
    return await env.SEQUENCER.getByName(account).admit(account, admissions);
  } catch (error) {
    logLine("error", "producers.admit", { account, ...describeThrown(error) });
    return [];
  }
}

async function ring(env: EnqueueEnv, accounts: readonly AccountId[]): Promise<void> {
  if (accounts.length === 0) return;
  try {
    const contentType = "json" as const;
    await env.DIRECTIVES.sendBatch(
      accounts.map((account) => ({ body: encodeMessage({ kind: "doorbell", account }), contentType })),
    );
  } catch (error) {
    logLine("warn", "producers.ring", { lanes: accounts.length, ...describeThrown(error) });
  }
}
