import { sha256 } from "@noble/hashes/sha2.js";
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import { z } from "zod";
import { problem, type Actor } from "../domain/api.ts";
import { parseAccount, type AccountId } from "../domain/ids.ts";
import { err, ok, type Result } from "../domain/result.ts";
import { logLine } from "./log.ts";

export interface AuthEnv {
  /**
   * JSON: `[{ "name": "billing", "scope": "producer" | "operator", "sha256": "<64 hex>", "accounts"?: ["eip155:…"] }]`.
   * `sha256` is the digest of the token; `accounts` limits a producer. Several of one name allow rotation.
   */
  readonly API_TOKENS: string;
}

export type Scope = "public" | Actor["scope"];

/** The scope that a call needs. Whatever is not named here needs an operator. */
export function requiredScope(method: string, path: string): Scope {
  if (path === "/healthz") return "public";
  // The signature is the authorization; it comes by POST alone, and nothing answers another method.
  if (/^\/webhooks\/[^/]+$/.test(path)) return "public";
  if (path === "/v1/directives" && method === "POST") return "producer";
  const reads = method === "GET" || method === "HEAD";
  if (reads && path === "/openapi.json") return "producer";
  return reads && /^\/v1\/accounts\/[^/]+\/directives\/[^/]+$/.test(path) ? "producer" : "operator";
}

/** Whether the actor may use the account. */
export function mayUse(actor: Actor, account: AccountId): boolean {
  return actor.accounts === null || actor.accounts.includes(account);
}

/**
 * Lets a call through that `requiredScope` allows, with its `actor`; a public one needs, and has, none. A known token of
 * any scope gets through to where no route is, to hear of 404 or 405.
 * Answers 401 without a known token, 403 with one of the wrong scope, 503 while API_TOKENS cannot be read.
 */
export function authenticate() {
  return createMiddleware<{ Bindings: AuthEnv; Variables: { actor: Actor } }>(async (context, next) => {
    const scope = requiredScope(context.req.method, context.req.path);
    if (scope === "public") return next();
    const tokens = readTokens(context.env.API_TOKENS);
    if (!tokens.ok) {
      logLine("error", "producers.auth", { error: `API_TOKENS ${tokens.error}` });
      return problem(503, "The Worker's API tokens cannot be read: an operator must correct API_TOKENS.");
    }
    const actor = holderOf(tokens.value, context.req.header("authorization"));
    if (actor === null) {
      return problem(401, "The call needs a known token: Authorization: Bearer <token>.", {
        headers: { "www-authenticate": "Bearer" },
      });
    }
    const isServed = matchedRoutes(context).some(({ method }) => method !== "ALL");
    if (isServed && scope === "operator" && actor.scope !== "operator") {
      return problem(403, "The call needs an operator's token.");
    }
    context.set("actor", actor);
    return next();
  });
}

interface Token {
  readonly digest: Uint8Array;
  readonly actor: Actor;
}

/** No early exit, so that the time taken tells nothing of which token was nearly right. */
function holderOf(tokens: readonly Token[], authorization: string | undefined): Actor | null {
  const presented = /^bearer +([^\s]+) *$/i.exec(authorization ?? "")?.[1];
  if (presented === undefined) return null;
  const digest = sha256(utf8ToBytes(presented));
  let holder: Actor | null = null;
  for (const token of tokens) {
    if (equalBytes(token.digest, digest)) holder = token.actor;
  }
  return holder;
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  let difference = left.length ^ right.length;
  for (const [index, byte] of left.entries()) difference |= byte ^ (right[index] ?? 0);
  return difference === 0;
}

const tokensSchema = z.array(
  z.strictObject({
    // The ledger writes its own name for what nobody asked for.
    name: z
      .string()
      .min(1)
      .max(100)
      .refine((name) => name !== "lockstep"),
    scope: z.enum(["producer", "operator"]),
    sha256: z.string().regex(/^[0-9a-fA-F]{64}$/),
    accounts: z.array(z.string()).min(1).optional(),
  }),
);

let cached: { readonly text: string; readonly tokens: Result<readonly Token[], string> } | undefined;

function readTokens(text: string): Result<readonly Token[], string> {
  if (cached?.text !== text) cached = { text, tokens: parseTokens(text) };
  return cached.tokens;
}

/** Error: what is wrong and where, in words that hold nothing of the text: whoever reads logs may not read secrets. */
function parseTokens(text: unknown): Result<readonly Token[], string> {
  if (typeof text !== "string") return err("is not set");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return err("is not JSON");
  }
  const parsed = tokensSchema.safeParse(json);
  if (!parsed.success) {
    return err(
      parsed.error.issues.map(({ path, code }) => `[${path.map(String).join(".")}] ${code}`).join("; "),
    );
  }
  const tokens: Token[] = [];
  const digests = new Set<string>();
  for (const [index, { name, scope, sha256: hex, accounts }] of parsed.data.entries()) {
    if (digests.has(hex.toLowerCase())) return err(`[${index}.sha256] is there twice`);
    digests.add(hex.toLowerCase());
    if (scope === "operator" && accounts !== undefined) return err(`[${index}.accounts] limits an operator`);
    const limits = (accounts ?? []).map(parseAccount);
    const allowed = limits.flatMap((account) => (account.ok ? [account.value.id] : []));
    if (allowed.length < limits.length) return err(`[${index}.accounts] holds what is not a CAIP-10 account`);
    const actor = { name, scope, accounts: accounts === undefined ? null : allowed };
    tokens.push({ digest: hexToBytes(hex), actor });
  }
  return ok(tokens);
}
