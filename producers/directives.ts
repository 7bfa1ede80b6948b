/**
 * In: POST /v1/directives, one directive or `{ "directives": [1..100] }`.
 * Out: every directive in its lane, and a receipt for each.
 * On failure: one wrong directive refuses the whole request before any lane is asked (400, 403, 413, 415). After that
 * the answer is the best that happened to any directive: 202 (one is new), else 503 (a lane did not answer), else 409
 * (an id has another payload), else 200 (all are repeated). The receipts say what happened to each; the same request
 * again is always safe, because the id is the idempotency key.
 */
import { MAX_DIRECTIVES_PER_REQUEST, problem, type Actor, type DirectiveReceipt } from "../domain/api.ts";
import { workable, type Config } from "../domain/config.ts";
import {
  digestOf,
  MAX_DIRECTIVE_BYTES,
  parseDirective,
  type Directive,
  type FieldProblem,
} from "../domain/directive.ts";
import type { Account } from "../domain/ids.ts";
import { err, ok, unreachable, type Result } from "../domain/result.ts";
import { mayUse } from "./auth.ts";
import { enqueue, type EnqueueAnswer, type EnqueueEnv } from "./enqueue.ts";
import { readJson } from "../domain/request-body.ts";

const MAX_BODY_BYTES = MAX_DIRECTIVES_PER_REQUEST * MAX_DIRECTIVE_BYTES;

/** One directive as it came, and where it stands in the body: empty when it is the body. */
interface Item {
  readonly at: string;
  readonly input: unknown;
}

export async function postDirectives(
  request: Request,
  env: EnqueueEnv,
  config: Config,
  actor: Actor,
): Promise<Response> {
  const body = await readJson(request, MAX_BODY_BYTES);
  if (!body.ok) return body.error;
  const items = itemsOf(body.value);
  if (!items.ok) return refusal(items.error);
  const directives = directivesOf(items.value, config, actor);
  if (!directives.ok) return directives.error;
  return answer(items.value, directives.value, await enqueue(env, directives.value));
}

function itemsOf(body: unknown): Result<readonly Item[], readonly FieldProblem[]> {
  if (typeof body !== "object" || body === null || !Object.hasOwn(body, "directives")) {
    return ok([{ at: "", input: body }]);
  }
  const others = Object.keys(body).filter((key) => key !== "directives");
  if (others.length > 0) {
    return err(
      others.map((field) => ({ field, message: "is not a known field beside directives: remove it" })),
    );
  }
  const list: unknown = Reflect.get(body, "directives");
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_DIRECTIVES_PER_REQUEST) {
    const message = `must be a list of 1 to ${MAX_DIRECTIVES_PER_REQUEST} directives`;
    return err([{ field: "directives", message }]);
  }
  return ok(list.map((input: unknown, index) => ({ at: `directives[${index}]`, input })));
}

function directivesOf(
  items: readonly Item[],
  config: Config,
  actor: Actor,
): Result<readonly Directive[], Response> {
  const directives: Directive[] = [];
  const wrong: FieldProblem[] = [];
  const forbidden: FieldProblem[] = [];
  const seen = new Map<string, { readonly at: string; readonly digest: string }>();
  for (const { at, input } of items) {
    const parsed = parseDirective(input);
    if (!parsed.ok) {
      wrong.push(...parsed.error.map((error) => ({ ...error, field: fieldAt(at, error.field) })));
      continue;
    }
    const { account, id } = parsed.value;
    directives.push(parsed.value);
    const unworkable = accountProblem(config, account);
    if (!mayUse(actor, account.id)) {
      forbidden.push({ field: fieldAt(at, "account"), message: "is not one that the token may use" });
    } else if (unworkable !== null) {
      wrong.push({ field: fieldAt(at, "account"), message: unworkable });
    }
    const digest = digestOf(parsed.value);
    const earlier = seen.get(`${account.id} ${id}`);
    if (earlier === undefined) seen.set(`${account.id} ${id}`, { at, digest });
    else if (earlier.digest !== digest) {
      wrong.push({ field: fieldAt(at, "id"), message: `is the id of ${earlier.at} with another action` });
    }
  }
  if (forbidden.length > 0) {
    return err(
      problem(403, "The token is limited to other accounts. Nothing was admitted.", { errors: forbidden }),
    );
  }
  return wrong.length > 0 ? err(refusal(wrong)) : ok(directives);
}

function accountProblem(config: Config, account: Account): string | null {
  const answered = workable(config, account);
  switch (answered) {
    case "yes":
      return null;
    case "unsupported_chain":
      return `is on ${account.chain}, which is not configured`;
    case "no_signer":
      return "has no signer configured";
    default:
      return unreachable(answered);
  }
}

function refusal(errors: readonly FieldProblem[]): Response {
  const tooLarge = errors.every((error) => error.tooLarge === true);
  return tooLarge
    ? problem(413, `A directive may have ${MAX_DIRECTIVE_BYTES} bytes. Nothing was admitted.`, { errors })
    : problem(400, "The request is not valid. Nothing was admitted.", { errors });
}

function answer(
  items: readonly Item[],
  directives: readonly Directive[],
  answers: readonly EnqueueAnswer[],
): Response {
  const receipts = directives.map((directive, index) => receiptOf(directive, answers[index]));
  const came = (kind: EnqueueAnswer["kind"]) => answers.some((one) => one.kind === kind);
  const errors = items.flatMap(({ at }, index) => {
    const message = receipts[index]?.error;
    return message === undefined ? [] : [{ field: fieldAt(at, "id"), message }];
  });
  if (!came("admitted") && came("unavailable")) {
    const headers = { "retry-after": "1" };
    return problem(503, "A lane did not answer. Send the same request again.", {
      errors,
      directives: receipts,
      headers,
    });
  }
  if (!came("admitted") && came("conflict")) {
    return problem(409, "Nothing new was admitted: an id has another payload.", {
      errors,
      directives: receipts,
    });
  }
  const [only, ...more] = directives;
  const location = only === undefined || more.length > 0 ? {} : { location: locationOf(only) };
  return Response.json({ directives: receipts }, { status: came("admitted") ? 202 : 200, headers: location });
}

function receiptOf({ id, account }: Directive, given: EnqueueAnswer | undefined): DirectiveReceipt {
  const key = { id, account: account.id };
  switch (given?.kind) {
    case "admitted":
    case "duplicate":
      return { ...key, status: given.status };
    case "conflict":
      return {
        ...key,
        status: "conflict",
        error: "has another payload in its lane: send this one under a new id",
      };
    case "unavailable":
    case undefined:
      return {
        ...key,
        status: "unavailable",
        error: "may or may not be in its lane: send the same request again",
      };
  }
}

function locationOf({ id, account }: Directive): string {
  return `/v1/accounts/${encodeURIComponent(account.id)}/directives/${encodeURIComponent(id)}`;
}

function fieldAt(at: string, field: string): string {
  return at === "" || field === "" ? `${at}${field}` : `${at}.${field}`;
}
