/**
 * In: POST /webhooks/{source}, whatever anybody sends there.
 * Out: an event that one of the source's secrets signed is in its inbox, once and in order; the consumer has been rung.
 * On failure: nothing is read of a body before its signature is verified. 401 for whatever is wrong with the signature,
 * 413 for a body over the source's limit, 400 for a signed one that is not JSON, 409 for one whose id another inbox of the
 * source has with another body: none of them reaches an inbox. 503 when no secret is set or an inbox does not answer, 500
 * when a function for the id or the ordering key throws: the provider sends again, and an event that was admitted after all
 * is a duplicate. A doorbell or an index that fails or hangs is logged only: the inbox's alarm rings too, and admission does
 * not depend on the index.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { z } from "zod";
import type { eventReceiptSchema } from "../domain/api-webhooks.ts";
import { problem } from "../domain/api.ts";
import type { Config } from "../domain/config.ts";
import { inboxOfKey, inboxOfShard, type InboxAddress, type InboxName } from "../domain/inbox-name.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import { err, ok, unreachable, type Result } from "../domain/result.ts";
import type { EventAdmission, EventAdmissionAnswer, InboxProtocol } from "../domain/webhook-event.ts";
import type { EventBody, WebhookSource } from "../domain/webhook-source.ts";
import { identify, note, type IdentityEnv } from "./event-identity.ts";
import { describeThrown, logLine } from "./log.ts";
import { decodeUtf8, parseJson, readBytes } from "../domain/request-body.ts";
import { verifySignature, type Signed, type SignatureProblem } from "./signatures/signature.ts";

/** Beside what is named here, the variables that the sources' secrets name. */
export interface WebhooksEnv extends IdentityEnv {
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): Pick<InboxProtocol, "admit" | "event"> };
  readonly WEBHOOK_EVENTS: { send(body: Body): Promise<unknown> };
}

export async function postWebhook(
  sourceName: string,
  request: Request,
  env: WebhooksEnv,
  config: Config,
  nowMs: number,
): Promise<Response> {
  const source = config.sources.get(sourceName);
  if (source === undefined || source.internal) return problem(404, "There is no source of this name.");
  const bytes = await readBytes(request, source.maxBodyBytes);
  if (!bytes.ok) return bytes.error;
  const signed = await verified(source, request.headers, bytes.value, env, nowMs);
  if (!signed.ok) return signed.error;
  const event = await eventOf(source, signed.value, bytes.value, request.headers);
  if (!event.ok) return event.error;
  const { address, admission } = event.value;
  const { id } = admission;
  const identity = await identify(env, address, admission);
  switch (identity.kind) {
    case "own": {
      const [admitted] = await Promise.all([
        admitAndRing(env, address, admission),
        identity.noted ? null : note(env, address, id, nowMs),
      ]);
      if (admitted === null) return noAnswer();
      const { kind, sequence } = admitted;
      return received({ id, sequence, duplicate: kind === "duplicate", inbox: address.name });
    }
    case "elsewhere":
      return received({ id, sequence: identity.sequence, duplicate: true, inbox: identity.inbox });
    case "taken":
      logLine("warn", "producers.webhooks", { source: source.name, refused: "id-taken" });
      return problem(
        409,
        `The id ${JSON.stringify(id)} was given to another event of this source, in the inbox ${JSON.stringify(identity.inbox)}. Ids must be unique within a source: the source's eventId in lockstep.config.ts may combine fields.`,
      );
    case "no-answer":
      return noAnswer();
    default:
      return unreachable(identity);
  }
}

function received(receipt: z.infer<typeof eventReceiptSchema>): Response {
  return Response.json(receipt, { status: 202 });
}

function noAnswer(): Response {
  return problem(503, "The inbox did not answer. Send the same event again.", {
    headers: { "retry-after": "1" },
  });
}

/** Error: the answer to give. The log says which source, and never what the request or a secret held. */
async function verified(
  source: WebhookSource,
  headers: Headers,
  body: Uint8Array,
  env: object,
  nowMs: number,
): Promise<Result<Signed, Response>> {
  const secrets = source.secrets.flatMap((secret) => {
    const value: unknown = Reflect.get(env, secret.env);
    return typeof value === "string" && value !== "" ? [value] : [];
  });
  const { toleranceSeconds } = source;
  const signed = await verifySignature(source.signature, { headers, body, secrets, nowMs, toleranceSeconds });
  if (signed.ok) return signed;
  const { kind, message } = signed.error;
  if (kind === "no-secret") {
    logLine("error", "producers.webhooks", { source: source.name, error: message });
    return err(problem(503, "The source's secrets cannot be used: an operator must correct them."));
  }
  logLine("warn", "producers.webhooks", { source: source.name, refused: kind });
  return err(problem(401, `${refusalOf(kind)}: ${message}.`));
}

function refusalOf(kind: Exclude<SignatureProblem["kind"], "no-secret">): string {
  switch (kind) {
    case "missing-header":
      return "The request is not signed";
    case "malformed-header":
      return "The signature cannot be read";
    case "bad-signature":
      return "The signature is not valid";
    case "too-old":
      return "The signature is stale";
    case "too-new":
      return "The signature is from the future";
    default:
      return unreachable(kind);
  }
}

/** Reads a verified body. Error: the answer to give: 400, or 500 for a fault of the configuration. */
async function eventOf(
  source: WebhookSource,
  { idSigned }: Signed,
  bytes: Uint8Array<ArrayBuffer>,
  headers: Headers,
): Promise<Result<{ readonly address: InboxAddress; readonly admission: EventAdmission }, Response>> {
  if (bytes.length === 0) return err(problem(400, "The body is empty."));
  const text = decodeUtf8(bytes);
  if (!text.ok) return text;
  const json = parseJson(text.value);
  if (!json.ok) return json;
  const digest = bytesToHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  const place = placeOf(source, idSigned, digest, { text: text.value, json: json.value });
  if (place === null)
    return err(problem(500, "The event's id or ordering key cannot be read: the source's log says why."));
  const { id, address } = place;
  return ok({ address, admission: { id, digest, body: text.value, contentType: contentTypeOf(headers) } });
}

/** Null when a function of the configuration throws, or returns no text: without its key an event has no order. */
function placeOf(
  source: WebhookSource,
  idSigned: string | null,
  digest: string,
  body: EventBody,
): { readonly id: string; readonly address: InboxAddress } | null {
  try {
    const id = idSigned ?? source.eventIdOf(body) ?? digest;
    const key = source.keyOf(body);
    const address =
      key === null ? inboxOfShard(source.name, id, source.shards) : inboxOfKey(source.name, key);
    return { id, address };
  } catch (error) {
    logLine("error", "producers.webhooks", { source: source.name, ...describeThrown(error) });
    return null;
  }
}

/** No scheme signs it, so it is not taken as it comes: a destination gets it as a header. */
function contentTypeOf(headers: Headers): string {
  const type = headers.get("content-type") ?? "";
  return /^[!-~][ -~]{0,255}$/.test(type) ? type : "application/json";
}

/** Null when the inbox did not answer: it may or may not have the event. */
async function admitAndRing(
  env: WebhooksEnv,
  address: InboxAddress,
  event: EventAdmission,
): Promise<EventAdmissionAnswer | null> {
  const admitted = await admit(env, address, event);
  if (admitted?.kind === "admitted") await ring(env, address);
  return admitted;
}

async function admit(
  env: WebhooksEnv,
  address: InboxAddress,
  event: EventAdmission,
): Promise<EventAdmissionAnswer | null> {
  try {
    return await env.WEBHOOK_INBOX.getByName(address.name).admit(address, event);
  } catch (error) {
    logLine("error", "producers.admit", { source: address.source, ...describeThrown(error) });
    return null;
  }
}

async function ring(env: WebhooksEnv, { source, name }: InboxAddress): Promise<void> {
  try {
    await env.WEBHOOK_EVENTS.send(encodeMessage({ kind: "inbox-doorbell", inbox: name }));
  } catch (error) {
    logLine("warn", "producers.ring", { source, ...describeThrown(error) });
  }
}
