import { z } from "zod";
import { envName, fields, flag, problemsOf, seconds, matching, wholeNumber } from "./config-fields.ts";
import { destinationSchema, type Destination, type DestinationInput } from "./destination.ts";
import type { FieldProblem } from "./directive.ts";
import { parseAccount, type Account, type AccountId, type ChainId } from "./ids.ts";
import { isSourceName } from "./inbox-name.ts";
import {
  DEFAULT_ALERTS,
  DEFAULT_REPLAY,
  OWN_SOURCE,
  operationsSchema,
  ownSource,
  type Operations,
  type OperationsInput,
} from "./operations.ts";
import { isUntypedSource, type EnvName, type UntypedSource, type WebhookSource } from "./webhook-source.ts";

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

const sectionSchema = z.record(z.string(), z.unknown(), { error: "must be an object" });

const sectionsSchema = fields({
  chains: sectionSchema,
  sources: sectionSchema.optional(),
  destinations: sectionSchema.optional(),
  operations: sectionSchema.optional(),
} satisfies Record<keyof ConfigInput, z.ZodType>);

/** Without `gapTolerant`, whose default is a matter of the chain. */
const policySchema = fields({
  confirmations: wholeNumber(1).default(DEFAULT_CHAIN_POLICY.confirmations),
  confirmEverySeconds: seconds().default(DEFAULT_CHAIN_POLICY.confirmEverySeconds),
  rebroadcastAfterSeconds: seconds().default(DEFAULT_CHAIN_POLICY.rebroadcastAfterSeconds),
  bumpAfterSeconds: seconds().default(DEFAULT_CHAIN_POLICY.bumpAfterSeconds),
  maxBumps: wholeNumber(0).default(DEFAULT_CHAIN_POLICY.maxBumps),
  maxUnconfirmed: wholeNumber(1).default(DEFAULT_CHAIN_POLICY.maxUnconfirmed),
  gapTolerant: flag().optional(),
  maxFlights: wholeNumber(1).default(DEFAULT_CHAIN_POLICY.maxFlights),
  leaseSeconds: seconds().default(DEFAULT_CHAIN_POLICY.leaseSeconds),
  rpcTimeoutSeconds: seconds().default(DEFAULT_CHAIN_POLICY.rpcTimeoutSeconds),
  probeSeconds: seconds().default(DEFAULT_CHAIN_POLICY.probeSeconds),
  giveUpAfterSeconds: seconds().default(DEFAULT_CHAIN_POLICY.giveUpAfterSeconds),
  retentionSeconds: seconds().default(DEFAULT_CHAIN_POLICY.retentionSeconds),
  breakerAfter: wholeNumber(1).default(DEFAULT_CHAIN_POLICY.breakerAfter),
} satisfies Record<keyof ChainPolicy, z.ZodType>).refine(
  ({ rpcTimeoutSeconds, leaseSeconds }) => rpcTimeoutSeconds * 3 <= leaseSeconds,
  { path: ["rpcTimeoutSeconds"], error: "must be at most a third of leaseSeconds" },
);

/** @param id null where the chain's name is none */
function chainSchema(id: ChainId | null) {
  const account = matching(/./, "a CAIP-10 account").transform((spelling, context) => {
    const parsed = parseAccount(spelling);
    if (parsed.ok && (id === null || parsed.value.chain === id)) return parsed.value;
    context.addIssue({ code: "custom", message: parsed.ok ? "is on another chain" : parsed.error });
    return z.NEVER;
  });
  return fields({
    rpcUrl: envName,
    signers: z.array(fields({ account, key: envName }), { error: "must be a list of { account, key }" }),
    policy: policySchema.prefault({}),
  } satisfies Record<keyof ChainInput, z.ZodType>);
}

/**
 * Checks the configuration when the Worker starts. Throws with all that is wrong, each by the path of its field: a
 * configuration that cannot work is a bug.
 */
export function defineConfig(input: ConfigInput): Config {
  const problems: FieldProblem[] = [];
  read(sectionsSchema, input, [], problems);
  const { chains, signers } = readChains(input.chains, problems);
  const destinations = readDestinations(input.destinations, problems);
  const operations = readOperations(input, problems);
  const sources = readSources(input.sources, operations, problems);
  if (problems.length > 0) {
    const lines = problems.map(({ field, message }) => `  ${field}: ${message}`);
    throw new Error(["lockstep.config.ts cannot work:", ...lines].join("\n"));
  }
  return { chains, signers, sources, destinations, operations };
}

function readChains(
  given: ConfigInput["chains"],
  problems: FieldProblem[],
): Pick<Config, "chains" | "signers"> {
  const chains = new Map<string, Chain>();
  const signers = new Map<AccountId, Signer>();
  for (const [id, input] of entriesOf(given)) {
    const at = ["chains", id];
    const chainId = isChainId(id) ? id : null;
    if (chainId === null) note(problems, at, "the name must be a CAIP-2 chain id such as eip155:1");
    const chain = read(chainSchema(chainId), input, at, problems);
    if (chain === null || chainId === null) continue;
    const { rpcUrl, policy } = chain;
    const gapTolerant = policy.gapTolerant ?? id.startsWith("eip155:");
    chains.set(id, { id: chainId, rpcUrl, policy: { ...policy, gapTolerant } });
    for (const [index, signer] of chain.signers.entries()) {
      if (signers.has(signer.account.id))
        note(problems, [...at, "signers", String(index), "account"], "is there twice");
      signers.set(signer.account.id, signer);
    }
  }
  return { chains, signers };
}

function readDestinations(
  given: ConfigInput["destinations"],
  problems: FieldProblem[],
): ReadonlyMap<string, Destination> {
  const destinations = new Map<string, Destination>();
  for (const [name, input] of entriesOf(given)) {
    const destination = read(destinationSchema, input, ["destinations", name], problems);
    if (destination !== null) destinations.set(name, { ...destination, name });
  }
  return destinations;
}

function readSources(
  given: ConfigInput["sources"],
  { notify }: Operations,
  problems: FieldProblem[],
): ReadonlyMap<string, WebhookSource> {
  const sources = new Map<string, WebhookSource>();
  for (const [name, input] of entriesOf(given)) {
    const at = ["sources", name];
    if (!isSourceName(name))
      note(problems, at, "a source's name is 1 to 32 of a-z 0-9 -, beginning with a letter");
    if (name === OWN_SOURCE) note(problems, at, "the name is Lockstep's own");
    if (!isUntypedSource(input)) {
      note(problems, at, "must be webhookSource({ … })");
      continue;
    }
    const { problems: found, ...source } = input;
    for (const { field, message } of found) note(problems, [...at, field], message);
    sources.set(name, { ...source, name, internal: false });
  }
  if (notify !== null) sources.set(OWN_SOURCE, ownSource(notify));
  return sources;
}

function readOperations({ operations, destinations }: ConfigInput, problems: FieldProblem[]): Operations {
  const at = ["operations"];
  const {
    notify = null,
    alerts,
    replay,
  } = read(operationsSchema, operations ?? {}, at, problems) ?? {
    alerts: DEFAULT_ALERTS,
    replay: DEFAULT_REPLAY,
  };
  if (notify !== null && !entriesOf(destinations).some(([name]) => name === notify))
    note(problems, [...at, "notify"], `there is no destination ${notify}`);
  return { notify, alerts, replay };
}

/** Null when it is not of the schema: `problems` then has why. */
function read<Output>(
  schema: z.ZodType<Output>,
  value: unknown,
  at: readonly string[],
  problems: FieldProblem[],
): Output | null {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  problems.push(...problemsOf(parsed.error, at));
  return null;
}

function note(problems: FieldProblem[], at: readonly string[], message: string): void {
  problems.push({ field: at.join("."), message });
}

/** What is no object is told of by `sectionsSchema`. */
function entriesOf(section: unknown): readonly (readonly [string, unknown])[] {
  return typeof section === "object" && section !== null ? Object.entries(section) : [];
}

function isChainId(text: string): text is ChainId {
  return /^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$/.test(text);
}

/** Whether Lockstep can work an account at all. Asked before a lane exists. */
export function workable(config: Config, account: Account): "yes" | "unsupported_chain" | "no_signer" {
  if (!config.chains.has(account.chain)) return "unsupported_chain";
  return config.signers.has(account.id) ? "yes" : "no_signer";
}
