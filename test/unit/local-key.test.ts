import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { keccak256 } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, it } from "vitest";
import { feesOf, type EvmTransaction } from "../../consumers/signers/evm-transaction.ts";
import { localKeySigner, signTransaction } from "../../consumers/signers/local-key.ts";
import { parseAccount, type Account } from "../../domain/ids.ts";

const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const OTHER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const TRANSFER: EvmTransaction = {
  chainId: 31337n,
  nonce: 0n,
  maxPriorityFeePerGas: 1n,
  maxFeePerGas: 2n,
  gas: 21_000n,
  to: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
  value: 1n,
  data: "0x",
};

function accountOf(key: `0x${string}`): Account {
  const parsed = parseAccount(`eip155:31337:${privateKeyToAccount(key).address}`);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

function hexOf(bytes: Uint8Array): `0x${string}` {
  return `0x${bytesToHex(bytes)}`;
}

const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
/** Every length in bytes is as likely as any other: RLP has its corners at 0, 0x7f, 0x80 and at each new byte. */
const amount = fc.oneof(
  fc.constantFrom(0n, 1n, 0x7fn, 0x80n, 0xffn, 0x100n, 2n ** 64n - 1n, 2n ** 256n - 1n),
  bytes(1, 32).map((value) => BigInt(hexOf(value))),
);
const small = fc.oneof(fc.constantFrom(0n, 0x7fn, 0x80n), fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }));
const transactions = fc.record({
  chainId: fc.bigInt({ min: 1n, max: 2n ** 53n - 1n }),
  nonce: small,
  fees: fc.tuple(amount, amount).map(([left, right]) => (left < right ? [left, right] : [right, left])),
  gas: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  to: bytes(20, 20),
  value: amount,
  data: fc.oneof(bytes(0, 3), bytes(50, 60), bytes(250, 260), bytes(0, 2000)),
  secret: bytes(32, 32).filter((secret) => secret[0] !== 0xff && secret.some((byte) => byte !== 0)),
});

describe("a local key", () => {
  it("signs the same bytes as viem, with the same hash, for any transaction and key", async () => {
    await fc.assert(
      fc.asyncProperty(transactions, async ({ fees, to, data, secret, ...rest }) => {
        const [maxPriorityFeePerGas = 0n, maxFeePerGas = 0n] = fees;
        const ours = signTransaction(
          { ...rest, maxPriorityFeePerGas, maxFeePerGas, to: hexOf(to), data: hexOf(data) },
          secret,
        );
        const theirs = await privateKeyToAccount(hexOf(secret)).signTransaction({
          ...rest,
          type: "eip1559",
          chainId: Number(rest.chainId),
          nonce: Number(rest.nonce),
          maxPriorityFeePerGas,
          // viem refuses a fee cap of 2^256 − 1 alone.
          maxFeePerGas,
          to: hexOf(to),
          data: hexOf(data),
        });
        expect(ours).toEqual({ raw: theirs, hash: keccak256(theirs) });
        expect(feesOf(ours.raw)).toEqual({ maxPriorityFeePerGas, maxFeePerGas });
      }),
      { numRuns: 300 },
    );
  });

  it("signs with the key in the secret that is named", async () => {
    const signed = await localKeySigner({ account: accountOf(KEY), key: { env: "K" }, env: { K: KEY } }).sign(
      [TRANSFER, { ...TRANSFER, nonce: 1n }],
    );
    const viem = privateKeyToAccount(KEY);
    const expected = await Promise.all(
      [0, 1].map((nonce) => viem.signTransaction({ ...TRANSFER, type: "eip1559", chainId: 31337, nonce })),
    );
    expect(signed).toEqual({ ok: true, value: expected.map((raw) => ({ raw, hash: keccak256(raw) })) });
  });

  it("takes a key without 0x, and with white space around it", async () => {
    const signed = await localKeySigner({
      account: accountOf(KEY),
      key: { env: "K" },
      env: { K: ` ${KEY.slice(2)}\n` },
    }).sign([TRANSFER]);
    expect(signed.ok).toBe(true);
  });

  it.each([
    ["is missing", undefined],
    ["is empty", ""],
    ["is not a text", 7],
    ["is too short", KEY.slice(0, 60)],
    ["is not hex", `0x${"zz".repeat(32)}`],
    ["is zero", `0x${"00".repeat(32)}`],
    ["is no scalar of the curve", `0x${"ff".repeat(32)}`],
    ["is another account's key", OTHER_KEY],
  ])("is unavailable when the secret %s, and says nothing of its value", async (_, value) => {
    const signed = await localKeySigner({
      account: accountOf(KEY),
      key: { env: "SECRET_NAME" },
      env: { SECRET_NAME: value },
    }).sign([TRANSFER]);
    expect(signed).toMatchObject({ ok: false, error: { code: "signer_unavailable" } });
    const text = JSON.stringify(signed);
    expect(text).toContain("SECRET_NAME");
    if (typeof value === "string" && value !== "") expect(text).not.toContain(value.slice(2, 20));
  });

  it("checks a rotated secret anew", async () => {
    const env = { K: KEY };
    const signer = localKeySigner({ account: accountOf(KEY), key: { env: "K" }, env });
    expect((await signer.sign([TRANSFER])).ok).toBe(true);
    env.K = OTHER_KEY;
    expect((await signer.sign([TRANSFER])).ok).toBe(false);
  });
});
