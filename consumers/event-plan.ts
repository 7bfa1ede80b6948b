import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { workable, type Config } from "../domain/config.ts";
import { digestOf, encodePayload, fieldProblems, parseDirective } from "../domain/directive.ts";
import type { Failure, FailureCode } from "../domain/failure.ts";
import { isDirectiveId } from "../domain/ids.ts";
import { err, ok, type Result } from "../domain/result.ts";
import type { Effect, EventPlan, LeasedEvent } from "../domain/webhook-event.ts";
import type { WebhookSource } from "../domain/webhook-source.ts";

const MAX_EFFECTS = 100;
/** The inbox stores all effects of an event as one value, which may have twice as much. */
const MAX_PLAN_BYTES = 512 * 1024;
/** The inbox keeps it with the event: what a handler threw may be long. */
const MAX_MESSAGE_LENGTH = 1000;

/** `handle` is the user's: its type is a promise that a program without types may break. */
const outputSchema = z
  .strictObject({
    directives: z.array(z.record(z.string(), z.unknown(), { error: "must be a directive object" })).nullish(),
    deliveries: z.array(z.string()).nullish(),
  })
  .nullish();

/**
 * Runs `handle` of the event's source, and says what is to be done: directives first, then deliveries, each destination
 * once. All or nothing: what is wrong with one effect is the failure of the event, and none of it begins. Never throws.
 * @param timeoutMs a handler that is not done by then has failed
 */
export async function planEvent(
  event: LeasedEvent,
  source: WebhookSource,
  config: Config,
  timeoutMs: number,
): Promise<EventPlan> {
  const { sequence } = event;
  const effects = await effectsOf(event, source, config, timeoutMs);
  return effects.ok
    ? { sequence, effects: effects.value, failure: null }
    : { sequence, effects: [], failure: clipped(effects.error) };
}

async function effectsOf(
  { id, body, admittedAtMs }: LeasedEvent,
  source: WebhookSource,
  config: Config,
  timeoutMs: number,
): Promise<Result<readonly Effect[], Failure>> {
  try {
    const data: unknown = JSON.parse(body);
    const handled = source.handle({ source: source.name, id, data, receivedAt: new Date(admittedAtMs) });
    const output = await within(timeoutMs, handled);
    if (output === null) return failed(`handle did not answer within ${timeoutMs / 1000} s`);
    return output.ok ? readOutput(output.value, directiveIdOf(source.name, id), config) : output;
  } catch (error) {
    return failed(`the event cannot be handled: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readOutput(
  output: unknown,
  idOf: (index: number) => string,
  config: Config,
): Result<readonly Effect[], Failure> {
  const read = outputSchema.safeParse(output, { reportInput: true });
  if (!read.success) return failed(fieldProblems(read.error).map(sentence).join("; "));
  const { directives, deliveries } = read.data ?? {};
  const effects: Effect[] = [];
  for (const [index, input] of (directives ?? []).entries()) {
    const effect = directiveEffect({ ...input, id: idOf(index) }, `directives.${index}`, config);
    if (!effect.ok) return effect;
    effects.push(effect.value);
  }
  for (const [index, destination] of (deliveries ?? []).entries())
    if (!config.destinations.has(destination))
      return failed(`deliveries.${index}: there is no destination ${destination}`);
  for (const destination of new Set(deliveries)) effects.push({ kind: "delivery", destination });
  if (effects.length > MAX_EFFECTS)
    return failed(`directives and deliveries are ${effects.length}: one event may have ${MAX_EFFECTS}`);
  const bytes = utf8ToBytes(JSON.stringify(effects)).length;
  return bytes > MAX_PLAN_BYTES
    ? failed(`directives are ${bytes} bytes: one event may have ${MAX_PLAN_BYTES}`)
    : ok(effects);
}

function directiveEffect(input: unknown, at: string, config: Config): Result<Effect, Failure> {
  const parsed = parseDirective(input);
  if (!parsed.ok)
    return failed(
      parsed.error
        .map(({ field, message }) => sentence({ field: field === "" ? at : `${at}.${field}`, message }))
        .join("; "),
    );
  const directive = parsed.value;
  const answer = workable(config, directive.account);
  if (answer !== "yes") return failed(`${at}.account: ${directive.account.id} cannot be worked here`, answer);
  const { id, account, expiresAtMs } = directive;
  const admission = { id, digest: digestOf(directive), payload: encodePayload(directive), expiresAtMs };
  return ok({ kind: "directive", account: account.id, admission });
}

/** `source:event:index`; where the event's id does not fit into a directive's, the beginning of its digest stands in it. */
function directiveIdOf(source: string, eventId: string): (index: number) => string {
  return (index) => {
    const id = `${source}:${eventId}:${index}`;
    if (isDirectiveId(id)) return id;
    const digest = bytesToHex(sha256(utf8ToBytes(eventId.toWellFormed()))).slice(0, 32);
    return `${source}:sha256-${digest}:${index}`;
  };
}

/** Null when the time is over first. */
async function within<Value>(timeoutMs: number, work: Promise<Value>): Promise<Value | null> {
  const over = Promise.withResolvers<null>();
  const timer = setTimeout(() => over.resolve(null), timeoutMs);
  try {
    return await Promise.race([work, over.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function sentence({ field, message }: { readonly field: string; readonly message: string }): string {
  return `${field === "" ? "the output" : field} ${message}`;
}

function failed(message: string, code: FailureCode = "handler_failed"): Result<never, Failure> {
  return err({ code, message });
}

function clipped({ code, message }: Failure): Failure {
  return message.length <= MAX_MESSAGE_LENGTH
    ? { code, message: message.toWellFormed() }
    : { code, message: `${message.slice(0, MAX_MESSAGE_LENGTH - 1).toWellFormed()}…` };
}
