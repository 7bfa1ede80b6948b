import { keccak256, stringToHex } from "viem";
import { anvilAccount, type AnvilAccount } from "../anvil-accounts.ts";
import type { DirectiveInput } from "../../domain/directive.ts";
import type { FailureCode } from "../../domain/failure.ts";

/**
 * `crash`: over HTTP while the Worker is killed. `webhook`: made of an event. `vault` and `breaker`: through the storm of
 * dead letters.
 */
export type Source = "http-single" | "http-batch" | "queue" | "crash" | "webhook" | "vault" | "breaker";

/** A directive that must land exactly once. Its recipient gets nothing else, so the balance proves it. */
export interface Good {
  readonly source: Source;
  readonly account: AnvilAccount;
  readonly recipient: `0x${string}`;
  readonly value: bigint;
  readonly directive: DemoDirective;
}

/** What must never land, and must be found in the ledger under one code. */
export interface Poison {
  readonly label: string;
  readonly code: FailureCode;
  readonly via: "http" | "queue";
  /** The lane that admits it, if any does. */
  readonly lane: AnvilAccount | null;
  readonly items: readonly PoisonItem[];
}

export type DemoDirective = DirectiveInput & { readonly id: string };

/** A raw one has no id that a letter could name. `recipient` gets nothing else. */
export type PoisonItem =
  | { readonly directive: DemoDirective; readonly recipient: `0x${string}` }
  | { readonly raw: unknown };

export interface Traffic {
  readonly good: readonly Good[];
  /** Sent a second time, over HTTP and over the queue, whatever way they came first. */
  readonly repeatedOverHttp: readonly Good[];
  readonly repeatedOnQueue: readonly Good[];
  readonly poison: readonly Poison[];
  /** A known id with another payload: HTTP says 409, the queue's goes to the ledger (in `poison`). */
  readonly conflictOverHttp: { readonly directive: DemoDirective; readonly recipient: `0x${string}` };
  /** The contract that reverts every call. */
  readonly reverter: `0x${string}`;
}

const SINGLES = 30;
const BATCHED = 150;
const QUEUED = 150;
const CRASHED = 60;
const REPEATED = 25;
/** Of the poison that comes in numbers: what a replay cannot help. */
const MALFORMED = 12;
const STRANGERS = 6;
const EXPIRED = 10;

/** The accounts whose calls the endpoint refuses, and those that only poison uses. */
export const REFUSED_ACCOUNT = anvilAccount(5);
const REVERTING_ACCOUNT = anvilAccount(3);
const LATE_ACCOUNT = anvilAccount(4);
export const GOOD_ACCOUNTS = [anvilAccount(0), anvilAccount(1), anvilAccount(2)];
/** The lanes of all but the storm. */
export const ACCOUNTS = [...GOOD_ACCOUNTS, REVERTING_ACCOUNT, LATE_ACCOUNT, REFUSED_ACCOUNT];

/** An address that nothing but the demo's run of this name knows. */
export function addressOf(run: string, name: string): `0x${string}` {
  return `0x${keccak256(stringToHex(`${run} ${name}`)).slice(-40)}`;
}

export function transferOf(run: string, account: string, name: string, to: `0x${string}`, value: bigint) {
  return { id: `${run}-${name}`, account, action: { type: "evm.transaction" as const, to, value } };
}

/** @param run makes every id and recipient new, so that the demo can run again over old state */
export function planTraffic(run: string): Traffic {
  const goodOf = (source: Source, count: number, first: number): Good[] =>
    Array.from({ length: count }, (_, offset) => {
      const index = first + offset;
      const account = anvilAccount(index % GOOD_ACCOUNTS.length);
      const recipient = addressOf(run, `recipient ${index}`);
      const value = 1_000_000_000n + BigInt(index);
      return {
        source,
        account,
        recipient,
        value,
        directive: transferOf(run, account.id, `good-${index}`, recipient, value),
      };
    });
  const good = [
    ...goodOf("http-single", SINGLES, 0),
    ...goodOf("http-batch", BATCHED, SINGLES),
    ...goodOf("queue", QUEUED, SINGLES + BATCHED),
    ...goodOf("crash", CRASHED, SINGLES + BATCHED + QUEUED),
  ];
  const [first, second] = good;
  if (first === undefined || second === undefined) throw new Error("there is no good directive");
  const reverter = addressOf(run, "reverter");
  const conflict = ({ directive, value }: Good, name: string) => {
    const recipient = addressOf(run, name);
    return {
      recipient,
      directive: { ...directive, action: { type: "evm.transaction" as const, to: recipient, value } },
    };
  };
  const one = (account: string, name: string, recipient = addressOf(run, name)) => ({
    recipient,
    directive: transferOf(run, account, name, recipient, 1n),
  });
  const expiresAt = new Date(Date.now() - 60_000);
  const version = { json: { v: 99, kind: "directive", id: `${run}-version`, account: first.account.id } };

  const poison: Poison[] = [
    {
      label: "malformed body",
      code: "malformed_message",
      via: "queue",
      lane: null,
      items: Array.from({ length: MALFORMED }, (_, index) => ({
        raw:
          index % 2 === 0
            ? { hello: run, index }
            : { json: { v: 1, kind: "directive", id: "not an id", run, index } },
      })),
    },
    {
      label: "unknown version",
      code: "unsupported_version",
      via: "queue",
      lane: null,
      items: [{ raw: version }],
    },
    {
      label: "no signer",
      code: "no_signer",
      via: "queue",
      lane: null,
      items: Array.from({ length: STRANGERS }, (_, index) =>
        one(`eip155:31337:${addressOf(run, "stranger")}`, `no-signer-${index}`),
      ),
    },
    {
      label: "unknown chain",
      code: "unsupported_chain",
      via: "queue",
      lane: null,
      items: [one(`eip155:1:${first.account.address}`, "unknown-chain")],
    },
    {
      label: "other payload",
      code: "conflicting_payload",
      via: "queue",
      lane: null,
      items: [conflict(first, "conflict-queue")],
    },
    {
      label: "call that reverts",
      code: "execution_reverted",
      via: "http",
      lane: REVERTING_ACCOUNT,
      items: [
        one(REVERTING_ACCOUNT.id, "reverts-0", reverter),
        one(REVERTING_ACCOUNT.id, "reverts-1", reverter),
      ],
    },
    {
      label: "expired",
      code: "expired",
      via: "http",
      lane: LATE_ACCOUNT,
      items: Array.from({ length: EXPIRED }, (_, index) => {
        const late = one(LATE_ACCOUNT.id, `expired-${index}`);
        return { ...late, directive: { ...late.directive, expiresAt } };
      }),
    },
    {
      label: "endpoint says 401",
      code: "unauthorized",
      via: "http",
      lane: REFUSED_ACCOUNT,
      items: [one(REFUSED_ACCOUNT.id, "refused-0"), one(REFUSED_ACCOUNT.id, "refused-1")],
    },
  ];
  const repeatable = good.filter(({ source }) => source !== "crash");
  return {
    good,
    repeatedOverHttp: repeatable.filter((_, index) => index % 13 === 0).slice(0, REPEATED),
    repeatedOnQueue: repeatable.filter((_, index) => index % 13 === 5).slice(0, REPEATED),
    poison,
    conflictOverHttp: conflict(second, "conflict-http"),
    reverter,
  };
}
