import { anvilAccount } from "../anvil-accounts.ts";
import type { Provider } from "../webhook-providers.ts";
import { addressOf, transferOf, type Good } from "./traffic.ts";
import { customerOf, type Customer } from "./webhook-traffic.ts";

/** The vault's funds are gone, so every payment that is asked of it reverts. */
export const VAULT_ACCOUNT = anvilAccount(6);
/** The endpoint refuses the credential for this account, until it is renewed. */
export const BREAKER_ACCOUNT = anvilAccount(8);

/** So many letters a refused credential costs, before the breaker pauses the lane. */
export const BREAKER_AFTER = 5;

/** Events that their destination refuses for good, until it is put in order. */
export interface RefusedGroup {
  readonly status: number;
  readonly code: "forbidden" | "not_found" | "payload_rejected";
  readonly customers: readonly Customer[];
}

/** What makes hundreds of dead letters that all land once their cause is gone. */
export interface Storm {
  readonly vault: `0x${string}`;
  readonly payments: readonly Good[];
  readonly held: readonly Good[];
  readonly groups: readonly RefusedGroup[];
}

const PAYMENTS = 120;
const HELD = 40;
const CUSTOMERS = 5;
const EVENTS = 26;

const GROUPS = [
  { status: 403, code: "forbidden", provider: "stripe" },
  { status: 404, code: "not_found", provider: "github" },
  { status: 422, code: "payload_rejected", provider: "plain" },
] as const satisfies readonly (Omit<RefusedGroup, "customers"> & { provider: Provider })[];

export function planStorm(run: string): Storm {
  const vault = addressOf(run, "vault");
  return {
    vault,
    payments: Array.from({ length: PAYMENTS }, (_, index): Good => {
      const recipient = addressOf(run, `payee ${index}`);
      const value = 3_000_000_000n + BigInt(index);
      const call = transferOf(run, VAULT_ACCOUNT.id, `payment-${index}`, vault, 0n);
      const directive = { ...call, action: { ...call.action, data: paymentData(recipient, value) } };
      return { source: "vault", account: VAULT_ACCOUNT, recipient, value, directive };
    }),
    held: Array.from({ length: HELD }, (_, index): Good => {
      const recipient = addressOf(run, `held ${index}`);
      const value = 4_000_000_000n + BigInt(index);
      const directive = transferOf(run, BREAKER_ACCOUNT.id, `held-${index}`, recipient, value);
      return { source: "breaker", account: BREAKER_ACCOUNT, recipient, value, directive };
    }),
    groups: GROUPS.map(({ status, code, provider }) => ({
      status,
      code,
      customers: Array.from({ length: CUSTOMERS }, (_, index) =>
        customerOf(run, provider, `storm-${provider}-${index}`, EVENTS),
      ),
    })),
  };
}

/** Two words: to whom, how much. */
function paymentData(recipient: string, value: bigint): `0x${string}` {
  return `0x${recipient.slice(2).padStart(64, "0")}${value.toString(16).padStart(64, "0")}`;
}
