import { toHex } from "viem";
import { mnemonicToAccount } from "viem/accounts";

/** One of the ten accounts that anvil funds. Known to everybody, of no value anywhere. */
export interface AnvilAccount {
  /** CAIP-10, in its one spelling. */
  readonly id: string;
  readonly address: `0x${string}`;
  readonly privateKey: `0x${string}`;
}

const MNEMONIC = `${"test ".repeat(11)}junk`;

/** By index, as anvil and lockstep.config.ts count them. */
export const ANVIL_ACCOUNTS: readonly AnvilAccount[] = Array.from({ length: 10 }, (_, addressIndex) => {
  const account = mnemonicToAccount(MNEMONIC, { addressIndex });
  const { privateKey } = account.getHdKey();
  if (privateKey === null) throw new Error("the derivation of anvil's accounts gave no private key");
  const address: `0x${string}` = `0x${account.address.slice(2).toLowerCase()}`;
  return { id: `eip155:31337:${address}`, address, privateKey: toHex(privateKey) };
});

/** Throws for an index that is not 0 to 9. */
export function anvilAccount(index: number): AnvilAccount {
  const account = ANVIL_ACCOUNTS[index];
  if (account === undefined) throw new Error(`anvil has accounts 0 to 9, not ${index}`);
  return account;
}
