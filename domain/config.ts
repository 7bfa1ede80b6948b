import type { Destination, DestinationInput } from "./destination.ts";
import { parseAccount, type Account, type AccountId, type ChainId } from "./ids.ts";
import { isSourceName } from "./inbox-name.ts";
import {
  DEFAULT_ALERTS,
  DEFAULT_REPLAY,
  OWN_SOURCE,
  ownSource,
  type Operations,
  type OperationsInput,
} from "./operations.ts";
import { sourceProblem, type EnvName, type UntypedSource, type WebhookSource } from "./webhook-source.ts";

export interface ChainInput {
  /** JSON-RPC endpoint; the URL may hold a credential, so it is a secret. */
  readonly rpcUrl: EnvName;
  /** One for each account that Lockstep signs for: a hex private key, in the secret named `key`. */
  readonly signers: readonly { readonly account: string; readonly key: EnvName }[];
  readonly policy?: Partial<ChainPolicy>;
}

/** Durations in seconds unless the name says otherwise. */
export interface ChainPolicy {
  /** A transaction is final when its block has so many blocks on it, itself included. */
  readonly confirmations: number;
  /** How often the open slots of a lane are looked up: about one block time. */
  readonly confirmEverySeconds: number;
  /** An accepted or uncertain transaction that is not final is sent again after so long. */
  readonly rebroadcastAfterSeconds: number;
  /** An accepted transaction that is not final after so long is replaced at a higher fee, at the same sequence. */
  readonly bumpAfterSeconds: number;
  /** So often at the most. */
  readonly maxBumps: number;
  /** Backpressure: so many open slots at the most. */
  readonly maxUnconfirmed: number;
  /** The chain's pool keeps a transaction whose predecessors are missing, and takes another at a higher fee in its place. */
  readonly gapTolerant: boolean;
  /** So many leases of one lane at once; one where the chain is not gap-tolerant. */
  readonly maxFlights: number;
  readonly leaseSeconds: number;
  /** One JSON-RPC call may take so long. Less than a third of `leaseSeconds`. */
  readonly rpcTimeoutSeconds: number;
  /** A degraded lane, or one whose chain is away, tries again after so long to twice as long, with jitter. */
  readonly probeSeconds: number;
  /** The time budget of transient failures; time paused or broken does not count. */
  readonly giveUpAfterSeconds: number;
  /** Payloads and raw bytes of what is settled are kept so long; ids, digests and outcomes stay for good. */
  readonly retentionSeconds: number;
  /** So many requests in a row for which the endpoint's HTTP 400, 401 or 403 blamed a directive pause the lane. */
  readonly breakerAfter: number;
}

export const DEFAULT_CHAIN_POLICY: ChainPolicy = {
  confirmations: 12,
  confirmEverySeconds: 12,
  rebroadcastAfterSeconds: 60,
  bumpAfterSeconds: 120,
  maxBumps: 5,
  maxUnconfirmed: 100,
  gapTolerant: true,
  maxFlights: 3,
  leaseSeconds: 30,
  rpcTimeoutSeconds: 8,
  probeSeconds: 15,
  giveUpAfterSeconds: 24 * 3600,
  retentionSeconds: 30 * 24 * 3600,
  breakerAfter: 5,
};

export interface ConfigInput {
  /** By CAIP-2 chain id. */
  readonly chains: Readonly<Record<string, ChainInput>>;
  /** By the name in `/webhooks/{source}`. */
  readonly sources?: Readonly<Record<string, UntypedSource>>;
  /** By the name that `handle` delivers to. */
  readonly destinations?: Readonly<Record<string, DestinationInput>>;
  readonly operations?: OperationsInput;
}

export interface Chain {
  readonly id: ChainId;
  readonly rpcUrl: EnvName;
  readonly policy: ChainPolicy;
}

export interface Signer {
  readonly account: Account;
  readonly key: EnvName;
}

export interface Config {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly signers: ReadonlyMap<AccountId, Signer>;
  readonly sources: ReadonlyMap<string, WebhookSource>;
  readonly destinations: ReadonlyMap<string, Destination>;
  readonly operations: Operations;
}

/** Checks the configuration when the Worker starts. Throws with the name of what is wrong: a wrong configuration is a bug. */
export function defineConfig(input: ConfigInput): Config {
  const chains = new Map<string, Chain>();
  const signers = new Map<AccountId, Signer>();
  for (const [id, chain] of Object.entries(input.chains)) {
    if (!isChainId(id))
      throw new Error(`lockstep.config.ts: chains.${id}: the key must be a CAIP-2 chain id such as eip155:1`);
    const gapTolerant = id.startsWith("eip155:");
    const policy = { ...DEFAULT_CHAIN_POLICY, gapTolerant, ...chain.policy };
    for (const [name, value] of Object.entries(policy)) {
      if (typeof value === "number" && !(Number.isFinite(value) && value > 0))
        throw new Error(`lockstep.config.ts: chains.${id}.policy.${name} must be a positive number`);
    }
    if (policy.rpcTimeoutSeconds * 3 > policy.leaseSeconds) {
      throw new Error(
        `lockstep.config.ts: chains.${id}.policy: rpcTimeoutSeconds must be at most a third of leaseSeconds`,
      );
    }
    chains.set(id, { id, rpcUrl: chain.rpcUrl, policy });
    for (const { account: text, key } of chain.signers) {
      const account = parseAccount(text);
      if (!account.ok) throw new Error(`lockstep.config.ts: chains.${id}.signers: ${text} ${account.error}`);
      if (account.value.chain !== id)
        throw new Error(`lockstep.config.ts: chains.${id}.signers: ${text} is on another chain`);
      if (signers.has(account.value.id))
        throw new Error(`lockstep.config.ts: chains.${id}.signers: ${text} is there twice`);
      signers.set(account.value.id, { account: account.value, key });
    }
  }
  const destinations = readDestinations(input);
  const operations = readOperations(input, destinations);
  return { chains, signers, sources: readSources(input, operations), destinations, operations };
}

function readDestinations(input: ConfigInput): ReadonlyMap<string, Destination> {
  const destinations = new Map<string, Destination>();
  for (const [name, destination] of Object.entries(input.destinations ?? {})) {
    const { url, secrets, timeoutSeconds = 10, allowPrivate = false, statuses = {} } = destination;
    const at = `lockstep.config.ts: destinations.${name}`;
    if (secrets.length === 0) throw new Error(`${at}.secrets must name at least one secret`);
    if (!(timeoutSeconds > 0 && timeoutSeconds <= 60))
      throw new Error(`${at}.timeoutSeconds must be above 0, at most 60`);
    for (const status of Object.keys(statuses))
      if (!/^[1-5][0-9]{2}$/.test(status)) throw new Error(`${at}.statuses.${status} must be an HTTP status`);
    destinations.set(name, { name, url, secrets, timeoutSeconds, allowPrivate, statuses });
  }
  return destinations;
}

function readSources(input: ConfigInput, { notify }: Operations): ReadonlyMap<string, WebhookSource> {
  const sources = new Map<string, WebhookSource>();
  for (const [name, source] of Object.entries(input.sources ?? {})) {
    const at = `lockstep.config.ts: sources.${name}`;
    if (!isSourceName(name))
      throw new Error(`${at}: a source's name is 1 to 32 of a-z 0-9 -, beginning with a letter`);
    if (name === OWN_SOURCE) throw new Error(`${at}: the name is Lockstep's own`);
    const problem = sourceProblem(source);
    if (problem !== null) throw new Error(`${at}: ${problem}`);
    sources.set(name, { ...source, name, internal: false });
  }
  if (notify !== null) sources.set(OWN_SOURCE, ownSource(notify));
  return sources;
}

function readOperations(input: ConfigInput, destinations: ReadonlyMap<string, Destination>): Operations {
  const { notify = null, alerts, replay } = input.operations ?? {};
  if (notify !== null && !destinations.has(notify))
    throw new Error(`lockstep.config.ts: operations.notify: there is no destination ${notify}`);
  const operations = {
    notify,
    alerts: { ...DEFAULT_ALERTS, ...alerts },
    replay: { ...DEFAULT_REPLAY, ...replay },
  };
  for (const part of ["alerts", "replay"] as const)
    for (const [name, value] of Object.entries(operations[part]))
      if (typeof value === "number" && !(Number.isFinite(value) && value > 0))
        throw new Error(`lockstep.config.ts: operations.${part}.${name} must be a positive number`);
  return operations;
}

function isChainId(text: string): text is ChainId {
  return /^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$/.test(text);
}

/** Whether Lockstep can work an account at all. Asked before a lane exists. */
export function workable(config: Config, account: Account): "yes" | "unsupported_chain" | "no_signer" {
  if (!config.chains.has(account.chain)) return "unsupported_chain";
  return config.signers.has(account.id) ? "yes" : "no_signer";
}
