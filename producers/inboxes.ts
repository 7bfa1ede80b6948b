/**
 * In: an operator's questions about the events and inboxes of a source, and their pause, resume or skip.
 * Out: what the inboxes say, with times in ISO 8601.
 * On failure: 400 names each parameter that is wrong; 404 for an unknown source, an unknown event, and an inbox to which
 * nothing was ever admitted (none comes to be by asking); 409 where the head to skip is another, or none. An inbox that does not
 * answer goes to the application's error handler.
 */
import type { z } from "zod";
import { skipSchema, type eventsPageSchema, type inboxesPageSchema } from "../domain/api-webhooks.ts";
import { problem, type Actor } from "../domain/api.ts";
import type { Config } from "../domain/config.ts";
import {
  inboxOfKey,
  inboxOfShard,
  parseInbox,
  type InboxAddress,
  type InboxName,
} from "../domain/inbox-name.ts";
import { err, ok, type Result } from "../domain/result.ts";
import type { EventView, InboxProtocol } from "../domain/webhook-event.ts";
import type { WebhookSource } from "../domain/webhook-source.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { indexOf, latestOf, type IndexNamespace } from "./event-index.ts";
import { eventReport, eventSummary, inboxReport } from "./inbox-report.ts";
import { readQuery } from "./query.ts";
import { readAction, readReason } from "../domain/request-body.ts";
import {
  eventQuery,
  eventsQuery,
  inboxesQuery,
  inboxQuery,
  placeInIndex,
  placeInInbox,
} from "./webhook-queries.ts";

export interface InboxesEnv {
  readonly WEBHOOK_INBOX: {
    getByName(
      name: InboxName,
    ): Pick<InboxProtocol, "events" | "event" | "status" | InboxCommand | "skipHead">;
  };
  readonly WEBHOOK_INDEX: IndexNamespace<"find" | "latest">;
}

export type InboxCommand = "pause" | "resume";

/** The inboxes of a source that were ever admitted to, in the order of their names, after the given one. */
export type ListInboxes<Env> = (
  env: Env,
  source: string,
  after: string,
  limit: number,
) => Promise<readonly InboxName[]>;

/** So many inboxes are asked at once. */
const AT_ONCE = 50;

/** Events, newest first: of one inbox, or of the whole source. */
export async function getEvents(
  sourceName: string,
  url: string,
  env: InboxesEnv,
  config: Config,
): Promise<Response> {
  const source = sourceOf(config, sourceName);
  if (!source.ok) return source.error;
  const query = readQuery(url, eventsQuery);
  if (!query.ok) return query.error;
  const address = inboxOf(source.value, query.value);
  return address === null
    ? eventsOfSource(sourceName, query.value, env)
    : eventsOfInbox(address, query.value, env);
}

type Page = Pick<z.output<typeof eventsQuery>, "cursor" | "limit">;

async function eventsOfInbox(
  address: InboxAddress,
  { cursor, limit }: Page,
  env: InboxesEnv,
): Promise<Response> {
  const list = ["inbox", address.name];
  const place = cursor === undefined ? ok(null) : decodeCursor(cursor, list, placeInInbox);
  if (!place.ok) return wrongCursor(place.error);
  const found = await env.WEBHOOK_INBOX.getByName(address.name).events(place.value?.below ?? null, limit + 1);
  const events = found.slice(0, limit);
  const last = events.at(-1);
  const page: z.infer<typeof eventsPageSchema> = {
    events: events.map((event) => eventSummary(address, event)),
    nextCursor:
      found.length > limit && last !== undefined ? encodeCursor({ below: last.sequence }, list) : null,
  };
  return Response.json(page);
}

/** An event that the index names and its inbox does not have, was never admitted or is forgotten: the page leaves it out. */
async function eventsOfSource(source: string, { cursor, limit }: Page, env: InboxesEnv): Promise<Response> {
  const list = ["source", source];
  const place = cursor === undefined ? ok(null) : decodeCursor(cursor, list, placeInIndex);
  if (!place.ok) return wrongCursor(place.error);
  const { entries, more } = await latestOf(env.WEBHOOK_INDEX, source, place.value, limit);
  const found = await inTurns(entries, async ({ id, inbox }) => {
    const address = parseInbox(inbox);
    const event = address === undefined ? undefined : await env.WEBHOOK_INBOX.getByName(inbox).event(id);
    return address === undefined || event === undefined ? [] : [eventSummary(address, event)];
  });
  const last = entries.at(-1);
  const next = last === undefined ? null : { admittedAtMs: last.admittedAtMs, id: last.id };
  const page: z.infer<typeof eventsPageSchema> = {
    events: found.flat(),
    nextCursor: more && next !== null ? encodeCursor(next, list) : null,
  };
  return Response.json(page);
}

/** One event with its audit trail: of the inbox that is named, or of the one that the index names. */
export async function getEvent(
  sourceName: string,
  id: string,
  url: string,
  env: InboxesEnv,
  config: Config,
): Promise<Response> {
  const source = sourceOf(config, sourceName);
  if (!source.ok) return source.error;
  const query = readQuery(url, eventQuery);
  if (!query.ok) return query.error;
  const found = await findEvent(source.value, id, inboxOf(source.value, query.value), env);
  if (found === null) return problem(404, "There is no event with this id.");
  return Response.json(eventReport(found.address, found.event));
}

/** An event without a key is found without the index too: its id names its shard. */
async function findEvent(
  source: WebhookSource,
  id: string,
  named: InboxAddress | null,
  env: InboxesEnv,
): Promise<{ readonly address: InboxAddress; readonly event: EventView } | null> {
  let address = named;
  if (address === null) {
    const entry = await indexOf(env.WEBHOOK_INDEX, source.name, id).find(id);
    address = (entry && parseInbox(entry.inbox)) ?? inboxOfShard(source.name, id, source.shards);
  }
  const event = await env.WEBHOOK_INBOX.getByName(address.name).event(id);
  return event === undefined ? null : { address, event };
}

/** Every inbox of a source with its status, a page at a time: `after` is the `next` of the page before. */
export async function getInboxes<Env extends InboxesEnv>(
  sourceName: string,
  url: string,
  env: Env,
  config: Config,
  listInboxes: ListInboxes<Env>,
): Promise<Response> {
  const source = sourceOf(config, sourceName);
  if (!source.ok) return source.error;
  const query = readQuery(url, inboxesQuery);
  if (!query.ok) return query.error;
  const { after, limit } = query.value;
  const names = await listInboxes(env, sourceName, after, limit + 1);
  const shown = names.slice(0, limit);
  const inboxes = await inTurns(shown, async (name) => {
    const address = parseInbox(name);
    if (address === undefined) return [];
    return [inboxReport(address, await env.WEBHOOK_INBOX.getByName(name).status())];
  });
  const page: z.infer<typeof inboxesPageSchema> = {
    inboxes: inboxes.flat(),
    next: names.length > limit ? (shown.at(-1) ?? null) : null,
  };
  return Response.json(page);
}

export async function getInbox(
  sourceName: string,
  url: string,
  env: InboxesEnv,
  config: Config,
): Promise<Response> {
  const address = namedInbox(sourceName, url, config);
  if (!address.ok) return address.error;
  const status = await env.WEBHOOK_INBOX.getByName(address.value.name).status();
  return status.nextSequence === 0 ? unknownInbox() : Response.json(inboxReport(address.value, status));
}

/** The inbox's log keeps the reason with the actor's name. */
export async function commandInbox(
  command: InboxCommand,
  sourceName: string,
  request: Request,
  env: InboxesEnv,
  config: Config,
  actor: Actor,
): Promise<Response> {
  const address = namedInbox(sourceName, request.url, config);
  if (!address.ok) return address.error;
  const reason = await readReason(request);
  if (!reason.ok) return reason.error;
  const inbox = env.WEBHOOK_INBOX.getByName(address.value.name);
  if ((await inbox.status()).nextSequence === 0) return unknownInbox();
  return Response.json(inboxReport(address.value, await inbox[command](reason.value, actor.name)));
}

/** Gives up the event that the others wait for. The inbox's log keeps the reason with the actor's name. */
export async function skipHead(
  sourceName: string,
  request: Request,
  env: InboxesEnv,
  config: Config,
  actor: Actor,
): Promise<Response> {
  const address = namedInbox(sourceName, request.url, config);
  if (!address.ok) return address.error;
  const action = await readAction(request, skipSchema, "{ reason, sequence? }");
  if (!action.ok) return action.error;
  const { reason, sequence = null } = action.value;
  const inbox = env.WEBHOOK_INBOX.getByName(address.value.name);
  if ((await inbox.status()).nextSequence === 0) return unknownInbox();
  const answer = await inbox.skipHead(reason, actor.name, sequence);
  switch (answer.kind) {
    case "skipped":
      return Response.json(inboxReport(address.value, answer.status));
    case "not-head":
      return problem(409, notHead(sequence, answer.head));
  }
}

function notHead(sequence: number | null, head: number | null): string {
  if (sequence === null || head === null) return "No event of the inbox waits.";
  return `Event ${sequence} is not the head: the others wait for event ${head}. Look at the inbox again.`;
}

function sourceOf(config: Config, name: string): Result<WebhookSource, Response> {
  const source = config.sources.get(name);
  return source === undefined ? err(problem(404, "There is no source of this name.")) : ok(source);
}

function namedInbox(sourceName: string, url: string, config: Config): Result<InboxAddress, Response> {
  const source = sourceOf(config, sourceName);
  if (!source.ok) return source;
  const query = readQuery(url, inboxQuery);
  if (!query.ok) return query;
  const address = inboxOf(source.value, query.value);
  return address === null ? err(unknownInbox()) : ok(address);
}

/** Null where neither is given. Shards beyond those that the source has now may hold events of before. */
function inboxOf(
  { name }: WebhookSource,
  { key, shard }: { readonly key?: string | undefined; readonly shard?: number | undefined },
): InboxAddress | null {
  if (key !== undefined) return inboxOfKey(name, key);
  return shard === undefined ? null : (parseInbox(`webhook:${name}#${shard}`) ?? null);
}

function unknownInbox(): Response {
  return problem(404, "Nothing was ever admitted to this inbox.");
}

function wrongCursor(message: string): Response {
  return problem(400, "The cursor is wrong.", { errors: [{ field: "cursor", message }] });
}

async function inTurns<Item, Found>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Found>,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  for (let from = 0; from < items.length; from += AT_ONCE)
    found.push(...(await Promise.all(items.slice(from, from + AT_ONCE).map(ask))));
  return found;
}
