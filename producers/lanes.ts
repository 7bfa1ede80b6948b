/**
 * In: questions about a lane or a directive, and an operator's pause, resume or repair.
 * Out: what the lane says, with times in ISO 8601.
 * On failure: 400 for what is not an account, an id or a reason; 403 for an account that the token may not use; 404
 * for an account that is not configured (no lane comes to be by asking) and for an unknown directive.
 */
import { z } from "zod";
import { problem, type Actor, type DirectiveReport, type LaneReport } from "../domain/api.ts";
import { workable, type Config } from "../domain/config.ts";
import type { TimedFailure } from "../domain/failure.ts";
import { isDirectiveId, parseAccount, type AccountId } from "../domain/ids.ts";
import type { DirectiveView, LaneStatusView, SequencerProtocol } from "../domain/lane.ts";
import { err, ok, type Result } from "../domain/result.ts";
import { mayUse } from "./auth.ts";
import { readQuery } from "./query.ts";
import { readReason } from "../domain/request-body.ts";

export interface LanesEnv {
  readonly SEQUENCER: {
    getByName(name: AccountId): Pick<SequencerProtocol, "directive" | "status" | LaneCommand>;
  };
}

export async function getDirective(
  accountText: string,
  id: string,
  env: LanesEnv,
  config: Config,
  actor: Actor,
): Promise<Response> {
  const account = laneOf(accountText, config, actor);
  if (!account.ok) return account.error;
  if (!isDirectiveId(id)) {
    return problem(400, "The id is not a directive id.", {
      errors: [{ field: "id", message: "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -" }],
    });
  }
  const directive = await env.SEQUENCER.getByName(account.value).directive(id);
  if (directive === undefined) return problem(404, "The account has no directive with this id.");
  return Response.json(directiveReport(directive));
}

export async function getLane(
  accountText: string,
  env: LanesEnv,
  config: Config,
  actor: Actor,
): Promise<Response> {
  const account = laneOf(accountText, config, actor);
  if (!account.ok) return account.error;
  return Response.json(laneReport(account.value, await env.SEQUENCER.getByName(account.value).status()));
}

const LANES_PER_PAGE = 100;
export const lanesQuery = z.strictObject({
  after: z.string().default("").describe("`next` of the page before."),
  limit: z.coerce
    .number({ error: "must be a number" })
    .int("must be a whole number")
    .min(1, "must be at least 1")
    .max(LANES_PER_PAGE, `must be at most ${LANES_PER_PAGE}`)
    .default(LANES_PER_PAGE),
});

/** The lanes that were ever admitted to, in the order of their accounts, after the given one. */
export type ListLanes<Env> = (env: Env, after: string, limit: number) => Promise<readonly AccountId[]>;

/** Every lane with its status, a page at a time: `after` is the `next` of the page before. */
export async function getLanes<Env extends LanesEnv>(
  url: string,
  env: Env,
  listLanes: ListLanes<Env>,
): Promise<Response> {
  const query = readQuery(url, lanesQuery);
  if (!query.ok) return query.error;
  const { after, limit } = query.value;
  const accounts = await listLanes(env, after, limit);
  const lanes = await Promise.all(
    accounts.map(async (account) => laneReport(account, await env.SEQUENCER.getByName(account).status())),
  );
  return Response.json({
    accounts: lanes,
    next: accounts.length === limit ? (accounts.at(-1) ?? null) : null,
  });
}

/** `repair` forgets every delay: look-ups, rebroadcasts and the next attempt are due at once. */
export type LaneCommand = "pause" | "resume" | "repair";

/** Pauses, resumes or repairs a lane; the body is `{ reason }`, and the lane's log keeps it with the actor's name. */
export async function commandLane(
  command: LaneCommand,
  request: Request,
  accountText: string,
  env: LanesEnv,
  config: Config,
  actor: Actor,
): Promise<Response> {
  const account = laneOf(accountText, config, actor);
  if (!account.ok) return account.error;
  const reason = await readReason(request);
  if (!reason.ok) return reason.error;
  const lane = env.SEQUENCER.getByName(account.value);
  return Response.json(
    laneReport(account.value, await lane[command](account.value, reason.value, actor.name)),
  );
}

function laneOf(text: string, config: Config, actor: Actor): Result<AccountId, Response> {
  const account = parseAccount(text);
  if (!account.ok) {
    const errors = [{ field: "account", message: account.error }];
    return err(problem(400, "The account is not a CAIP-10 account.", { errors }));
  }
  if (!mayUse(actor, account.value.id)) return err(problem(403, "The token is limited to other accounts."));
  if (workable(config, account.value) !== "yes") return err(problem(404, "The account is not configured."));
  return ok(account.value.id);
}

function directiveReport(view: DirectiveView): DirectiveReport {
  return {
    id: view.id,
    account: view.account,
    status: view.status,
    ...(view.sequence === null ? {} : { sequence: view.sequence }),
    transactions: view.transactions.map(({ hash, status, sequence }) => ({ hash, status, sequence })),
    attempts: view.attempts,
    ...(view.failure === null ? {} : { failure: failureReport(view.failure) }),
    admittedAt: iso(view.admittedAtMs),
    updatedAt: iso(view.updatedAtMs),
  };
}

function laneReport(account: AccountId, view: LaneStatusView): LaneReport {
  return {
    account,
    status: view.status,
    reason: view.reason,
    nextSequence: view.nextSequence,
    chainSequence: view.chainSequence,
    checkpoint: { received: view.checkpoint.received, contiguous: view.checkpoint.contiguous },
    leases: view.leases.map(({ token, holder, endsInMs }) => ({ token, holder, endsInMs })),
    counts: { ...view.counts },
    open: view.open,
    lettersOwed: view.lettersOwed,
    attempts: { ...view.attempts },
    outage: view.outage === null ? null : failureReport(view.outage),
    events: view.events.map(({ atMs, kind, detail }) => ({ at: iso(atMs), kind, detail })),
  };
}

function failureReport({ code, message, atMs }: TimedFailure): LaneReport["outage"] & object {
  return { code, message, at: iso(atMs) };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
