import { z } from "zod";
import { isFailureCode } from "../domain/failure.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { parseInbox, type InboxAddress } from "../domain/inbox-name.ts";
import { text, type LaneSql } from "./sequencer-rows.ts";
import { newRecord, type AdmittedEvent } from "./webhook-inbox-admission.ts";
import type { EventRecord, InboxHeader } from "./webhook-inbox-state.ts";

type Row = ReturnType<ReturnType<LaneSql["exec"]>["one"]>;

const addressSchema = z.string().transform((name): InboxAddress => {
  const address = parseInbox(name);
  if (address === undefined) throw new Error("the inbox's database holds a name that is no inbox's");
  return address;
});
const accountSchema = z.string().transform((spelling): AccountId => {
  const parsed = parseAccount(spelling);
  if (!parsed.ok) throw new Error(`the inbox's database holds an account that ${parsed.error}`);
  return parsed.value.id;
});
const failureSchema = z
  .object({
    code: z.string().refine(isFailureCode),
    message: z.string(),
    retryAfterSeconds: z.number().exactOptional(),
    atMs: z.number(),
  })
  .nullable();
const headerSchema = z.object({
  address: addressSchema.nullable(),
  nextSequence: z.number(),
  freshFrom: z.number(),
  token: z.number(),
  lease: z
    .object({
      token: z.number(),
      holder: z.string(),
      deadlineMs: z.number(),
      sequences: z.array(z.number()),
      freshBase: z.number(),
      alone: z.boolean().default(false),
    })
    .nullable(),
  counts: z.object({ settled: z.number(), dead: z.number(), pruned: z.number() }),
  attempts: z.record(z.string(), z.number()),
  paused: z.object({ reason: z.string(), actor: z.string(), sinceMs: z.number() }).nullable(),
  pausedMs: z.number(),
  lateTurn: z.boolean(),
  prompt: z.boolean(),
  quietUntilMs: z.number(),
  rings: z.number(),
  pruneAtMs: z.number().nullable(),
  pruneFrom: z.number(),
});
const effectSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("directive"),
    account: accountSchema,
    admission: z.object({
      id: z.string(),
      digest: z.string(),
      payload: z.string(),
      expiresAtMs: z.number().nullable(),
    }),
  }),
  z.object({ kind: z.literal("delivery"), destination: z.string() }),
]);
const factsSchema = z.object({
  state: z.enum(["queued", "settled", "dead"]),
  effects: z
    .array(z.object({ effect: effectSchema, state: z.enum(["pending", "done", "failed"]) }))
    .nullable(),
  attempts: z.number(),
  generation: z.number(),
  retries: z.number(),
  lastRetry: z.object({ atMs: z.number(), delayMs: z.number(), pausedMs: z.number() }).nullable(),
  spentMs: z.number(),
  lone: z.boolean(),
  altered: z.boolean().default(false),
  fatal: failureSchema,
  firstFailure: failureSchema,
  failure: failureSchema,
  audit: z.array(
    z.object({
      atMs: z.number(),
      what: z.string(),
      status: z.number().nullable(),
      latencyMs: z.number().nullable(),
    }),
  ),
  updatedAtMs: z.number(),
});

/** The address is stored as its name, which says all of it. */
export function writeInboxHeader({ address, ...header }: InboxHeader): string {
  return JSON.stringify({ address: address?.name ?? null, ...header });
}

export function readInboxHeader(json: string): InboxHeader {
  return headerSchema.parse(JSON.parse(json));
}

/** What changes after the admission. */
export function writeFacts(record: EventRecord): string {
  const { sequence: _, id: _id, digest: _digest, contentType: _type, admittedAtMs: _at, ...facts } = record;
  return JSON.stringify(facts);
}

/** An event of which nothing changed since its admission has no facts. */
export function readEvent(row: Row): EventRecord {
  const event: AdmittedEvent = {
    sequence: Number(row["sequence"]),
    id: text(row["id"]),
    digest: text(row["digest"]),
    contentType: text(row["content_type"]),
    admittedAtMs: Number(row["admitted_ms"]),
  };
  const { facts } = row;
  return facts === null ? newRecord(event) : { ...event, ...factsSchema.parse(JSON.parse(text(facts))) };
}
