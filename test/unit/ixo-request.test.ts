import { describe, expect, test } from "vitest";
import { defineConfig } from "../../domain/config.ts";
import { readIxoSettings, readSignerDataRequest } from "../../durable-objects/ixo-request.ts";
import { IxoBench, PAIR } from "./ixo-fixture.ts";

describe("the variables", () => {
  test("without them, 400 ms lie between two numbers and a lost one is given again after 30 s", () => {
    expect(readIxoSettings({})).toEqual({ ok: true, value: { minDelayMs: 400, healAfterMs: 30_000 } });
  });

  test.each([0, "0", 1, "350", 60_000, "60000"])("a stagger of %j is taken", (value) => {
    const settings = readIxoSettings({ IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: value });
    expect(settings).toMatchObject({ ok: true, value: { minDelayMs: Number(value) } });
  });

  test.each([
    "abc",
    "",
    " 400",
    "400ms",
    "-5",
    -5,
    "4.5",
    4.5,
    "1e3",
    "0x10",
    "NaN",
    Number.NaN,
    Infinity,
    60_001,
    "60001",
    true,
    null,
    {},
  ])("a stagger of %j is refused by name", (value) => {
    const settings = readIxoSettings({ IXO_CLIENT_SEQUENCE_MIN_DELAY_MS: value });
    expect(settings.ok ? "taken" : settings.error).toContain("IXO_CLIENT_SEQUENCE_MIN_DELAY_MS");
  });

  test.each(["999", 3_600_001, "abc", ""])(
    "a time of %j until lost numbers are given again is refused",
    (value) => {
      const settings = readIxoSettings({ IXO_CLIENT_SEQUENCE_HEAL_AFTER_MS: value });
      expect(settings.ok ? "taken" : settings.error).toContain("IXO_CLIENT_SEQUENCE_HEAL_AFTER_MS");
    },
  );
});

describe("a body", () => {
  const good = { chainId: "ixo-5", accountNumber: 7, chainSequence: 100 };

  test("is read with fields that are not known, which a later SDK may send", () => {
    expect(readSignerDataRequest(JSON.stringify({ ...good, memo: "x" }))).toEqual({
      ok: true,
      value: { pair: { chainId: "ixo-5", accountNumber: 7 }, chainSequence: 100, requestId: null },
    });
  });

  test.each([
    ["chainSequence", "100"],
    ["chainSequence", 9e15],
    ["chainSequence", 1e300],
    ["chainSequence", -1],
    ["chainSequence", 1.5],
    ["chainSequence", null],
    ["chainSequence", undefined],
    ["accountNumber", "7"],
    ["accountNumber", -1],
    ["accountNumber", 2 ** 53],
    ["accountNumber", undefined],
    ["chainId", ""],
    ["chainId", "ixo 5"],
    ["chainId", "x".repeat(65)],
    ["chainId", 5],
    ["chainId", undefined],
    ["requestId", ""],
    ["requestId", 5],
    ["requestId", "x".repeat(129)],
  ])("with %s %j is refused, and the error names the field", (field, value) => {
    const read = readSignerDataRequest(JSON.stringify({ ...good, [field]: value }));
    expect(read.ok ? "read" : read.error).toContain(`${field} must`);
  });

  test.each(["", "{", "nonsense", "null", "[]", '"x"', "5"])("that is %j is refused", (text) => {
    expect(readSignerDataRequest(text)).toMatchObject({ ok: false });
  });
});

describe("an account that Lockstep may sign for", () => {
  const config = defineConfig({
    chains: {
      "cosmos:ixo-5": {
        rpcUrl: { env: "CHAIN_URL" },
        signers: [
          { account: "cosmos:ixo-5:ixo1n8yrmeatsk74dw0zs95ess9sgzptd6thgjgcj2", key: { env: "KEY" } },
        ],
      },
    },
  });

  test("gets no number on a chain with a configured signer, and the error says what to do instead", async () => {
    const bench = new IxoBench({}, config.signers);
    const answer = await bench.call({ ...PAIR, chainSequence: 100 });
    expect(answer.status).toBe(409);
    expect(answer.error).toContain("directives");
  });

  test("gets numbers on every other chain", async () => {
    const bench = new IxoBench({}, config.signers);
    expect((await bench.call({ chainId: "pandora-8", accountNumber: 7, chainSequence: 5 })).sequence).toBe(5);
  });
});
