import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { z } from "zod";
import { CliFailure, EXIT } from "./exit.ts";
import { readJson } from "./json.ts";
import type { Terminal } from "./terminal.ts";

/** Where the Worker is, and what lets this program in. The token is in no flag: those are in the shell's history. */
export interface Settings {
  readonly url: string;
  readonly token: string | null;
}

export interface SettingFlags {
  readonly url?: string | undefined;
  readonly profile?: string | undefined;
}

const profileSchema = z.strictObject({
  url: z.string(),
  token: z.string().min(1).optional(),
});
const configSchema = z.strictObject({
  /** The profile that is used when none is named. */
  profile: z.string().optional(),
  profiles: z.record(z.string(), profileSchema),
});

interface Profile extends z.infer<typeof profileSchema> {
  readonly path: string;
  readonly mode: number;
}

const LOCAL_URL = "http://127.0.0.1:8787";
const READABLE_BY_OTHERS = 0o077;

/**
 * URL: `--url`, LOCKSTEP_URL, the profile, the local one. Token: LOCKSTEP_TOKEN; else the profile's, if the URL is
 * of the profile's origin; else, for a loopback URL, OPERATOR_TOKEN of `.dev.vars`. No token goes to an origin that it
 * was not meant for. Throws `CliFailure` for what is wrong in them.
 */
export function readSettings(terminal: Terminal, flags: SettingFlags): Settings {
  const { env } = terminal;
  const profile = readProfile(terminal, flags.profile ?? given(env["LOCKSTEP_PROFILE"]));
  const origin = originOf(
    flags.url ?? given(env["LOCKSTEP_URL"]) ?? profile?.url ?? LOCAL_URL,
    flags.url === undefined ? "LOCKSTEP_URL, or the profile's url," : "--url",
  );
  const token =
    given(env["LOCKSTEP_TOKEN"]) ?? tokenOf(profile, origin) ?? localToken(origin, terminal.projects);
  if (token !== null && /[^\u0021-\u007E]/.test(token)) {
    throw new CliFailure(EXIT.usage, "the token has characters that no token has: a space, or a line's end?");
  }
  return { url: origin.origin, token };
}

/** Whether the token would go over a network in the clear. */
export function isExposed({ url, token }: Settings): boolean {
  const origin = new URL(url);
  return token !== null && origin.protocol === "http:" && !isLoopback(origin);
}

function originOf(text: string, where: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.username !== "") {
    throw new CliFailure(EXIT.usage, `${where} must be http(s)://host[:port]: ${JSON.stringify(text)}`);
  }
  return url;
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

function readProfile({ env, home }: Terminal, wanted: string | undefined): Profile | null {
  const explicit = given(env["LOCKSTEP_CONFIG"]);
  const base = given(env["XDG_CONFIG_HOME"]) ?? join(home, ".config");
  const path = explicit ?? join(base, "lockstep", "config.json");
  const text = readIfThere(path);
  if (text === null) {
    if (explicit === undefined && wanted === undefined) return null;
    throw new CliFailure(EXIT.usage, `${path}: no such file`);
  }
  const json = readJson(text);
  if (!json.ok) throw new CliFailure(EXIT.usage, `${path}: ${json.error}`);
  const config = configSchema.safeParse(json.value);
  if (!config.success) {
    const wrong = config.error.issues.map(
      ({ path: at, message }) => `${at.map(String).join(".")}: ${message}`,
    );
    throw new CliFailure(EXIT.usage, `${path}: ${wrong.join("; ")}`);
  }
  const name = wanted ?? config.data.profile;
  if (name === undefined) return null;
  const profile = Object.hasOwn(config.data.profiles, name) ? config.data.profiles[name] : undefined;
  if (profile === undefined) {
    const known = Object.keys(config.data.profiles).join(", ");
    throw new CliFailure(
      EXIT.usage,
      `${path}: has no profile ${JSON.stringify(name)}; it has ${known || "none"}`,
    );
  }
  return { ...profile, path, mode: statSync(path).mode };
}

function tokenOf(profile: Profile | null, origin: URL): string | null {
  if (profile?.token === undefined) return null;
  if (originOf(profile.url, "the profile's url").origin !== origin.origin) return null;
  if (process.platform !== "win32" && (profile.mode & READABLE_BY_OTHERS) !== 0) {
    throw new CliFailure(
      EXIT.usage,
      `${profile.path}: others can read it, and it holds a token: chmod 600 ${profile.path}`,
    );
  }
  return profile.token;
}

/** What `npm start` wrote. Only ever for a Worker on this machine. */
function localToken(origin: URL, projects: readonly string[]): string | null {
  if (!isLoopback(origin)) return null;
  for (const project of projects) {
    const text = readIfThere(join(project, ".dev.vars"));
    const token = text === null ? undefined : parseEnv(text)["OPERATOR_TOKEN"];
    if (token !== undefined && token !== "") return token;
  }
  return null;
}

/** Null when there is none. Throws `CliFailure` when it cannot be read. */
function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw new CliFailure(EXIT.usage, `${path}: cannot be read (${code})`);
  }
}

function given(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}
