import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseEnv } from "node:util";
import { z } from "zod";
import { ANVIL_ACCOUNTS } from "./anvil-accounts.ts";
import { LOOPBACK } from "./ports.ts";

/** What local programs use. Of the tokens the Worker knows the digests only. */
export interface LocalTokens {
  readonly producer: string;
  readonly operator: string;
  readonly webhookSecrets: WebhookSecrets;
  /** Where events are delivered to. */
  readonly receiverUrl: string;
}

/** What each source verifies with, and what the destination `receiver` is signed with. */
export type WebhookSecrets = Readonly<Record<keyof typeof WEBHOOK_SECRETS, string>>;

const SCOPES = { PRODUCER_TOKEN: "producer", OPERATOR_TOKEN: "operator" } as const;

const WEBHOOK_SECRETS = {
  polar: "POLAR_WEBHOOK_SECRET",
  stripe: "STRIPE_WEBHOOK_SECRET",
  github: "GITHUB_WEBHOOK_SECRET",
  plain: "PLAIN_WEBHOOK_SECRET",
  receiver: "RECEIVER_WEBHOOK_SECRET",
} as const;

const DEFAULT_RECEIVER_URL = `http://${LOOPBACK}:8799/`;

const digests = z.array(z.object({ scope: z.string(), sha256: z.string() }));

/**
 * Adds to a `.dev.vars` file what the local configuration needs and the file does not have. Never changes a line.
 * Throws when API_TOKENS in the file, written by a person, does not fit the tokens in it.
 */
export function ensureDevVars(path: string): LocalTokens {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const present = parseEnv(text);
  const written = present["API_TOKENS"];
  const tokens = { PRODUCER_TOKEN: present["PRODUCER_TOKEN"], OPERATOR_TOKEN: present["OPERATOR_TOKEN"] };
  const missing: string[] = [];
  const tokenOf = (name: keyof typeof SCOPES): string => {
    const token = tokens[name];
    if (written !== undefined) {
      if (token !== undefined && knows(written, token, SCOPES[name])) return token;
      throw new Error(
        `${path}: API_TOKENS has no ${SCOPES[name]} entry with the digest of ${name}. Correct one of them, or delete the line API_TOKENS to have it written anew`,
      );
    }
    if (token !== undefined) return token;
    const fresh = randomBytes(32).toString("base64url");
    missing.push(`${name}=${fresh}`);
    return fresh;
  };
  const producer = tokenOf("PRODUCER_TOKEN");
  const operator = tokenOf("OPERATOR_TOKEN");
  if (written === undefined) {
    const entries = [
      { name: "local-producer", scope: "producer", sha256: digestOf(producer) },
      { name: "local-operator", scope: "operator", sha256: digestOf(operator) },
    ];
    missing.push(`API_TOKENS='${JSON.stringify(entries)}'`);
  }
  for (const [index, { privateKey }] of ANVIL_ACCOUNTS.entries()) {
    const name = `ANVIL_KEY_${index}`;
    if (present[name] === undefined) missing.push(`${name}=${privateKey}`);
  }
  const secretOf = (of: keyof typeof WEBHOOK_SECRETS): string => {
    const name = WEBHOOK_SECRETS[of];
    const secret = present[name];
    if (secret !== undefined) return secret;
    const fresh = `whsec_${randomBytes(24).toString("base64")}`;
    missing.push(`${name}=${fresh}`);
    return fresh;
  };
  const webhookSecrets = {
    polar: secretOf("polar"),
    stripe: secretOf("stripe"),
    github: secretOf("github"),
    plain: secretOf("plain"),
    receiver: secretOf("receiver"),
  };
  const receiverUrl = present["RECEIVER_URL"] ?? DEFAULT_RECEIVER_URL;
  if (present["RECEIVER_URL"] === undefined) missing.push(`RECEIVER_URL=${receiverUrl}`);
  if (missing.length > 0) {
    mkdirSync(dirname(path), { recursive: true });
    const separator = text === "" || text.endsWith("\n") ? "" : "\n";
    writeFileSync(path, `${text}${separator}${missing.join("\n")}\n`, { mode: 0o600 });
  }
  return { producer, operator, webhookSecrets, receiverUrl };
}

function knows(apiTokens: string, token: string, scope: string): boolean {
  try {
    const entries = digests.parse(JSON.parse(apiTokens));
    return entries.some((entry) => entry.scope === scope && entry.sha256.toLowerCase() === digestOf(token));
  } catch {
    return false;
  }
}

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
