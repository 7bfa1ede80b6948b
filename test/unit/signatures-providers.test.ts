import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  AT,
  BODY,
  bytes,
  hmac,
  ID,
  standardFields,
  TEXT_SECRET,
  verdict,
  WHSEC,
  whsecKey,
} from "./signatures-fixture.ts";

afterEach(() => {
  vi.useRealTimers();
});

describe("Standard Webhooks signatures", () => {
  const scheme = { scheme: "standard-webhooks" } as const;
  const fields = standardFields({ body: bytes(BODY), at: AT, secret: WHSEC }, whsecKey(WHSEC));
  const genuine = fields["webhook-signature"] ?? "";
  const forged = `v1,${Buffer.alloc(32, 1).toString("base64")}`;

  test("are those of the specification's example", async () => {
    const signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    expect(await verdict(scheme, { ...fields, "webhook-signature": signature }, [WHSEC])).toBe("accepted");
  });

  test("are good with a secret without prefix or padding", async () => {
    const secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaA";
    const signed = standardFields({ body: bytes(BODY), at: AT, secret }, whsecKey(secret));
    for (const spelling of [secret, `${secret}=`, `whsec_${secret}`]) {
      expect(await verdict(scheme, signed, [spelling])).toBe("accepted");
    }
  });

  test("are a fault of the configuration when a secret is not base64, or zeros", async () => {
    for (const secret of [
      "whsec_not base64",
      "whsec_a",
      "whsec_ab=",
      "whsec_ab_d",
      `${WHSEC}\n`,
      "=",
      "polar_whs_x",
      `whsec_${"A".repeat(32)}`,
    ]) {
      expect(await verdict(scheme, fields, [secret])).toBe("no-secret");
      expect(await verdict(scheme, fields, [WHSEC, secret])).toBe("no-secret");
    }
  });

  test.each([
    ["accepted", "the last of several is genuine", `${forged} ${genuine}`],
    ["accepted", "the first of several is genuine", `${genuine} ${forged}`],
    ["accepted", "a genuine one stands among unknown versions", `v1a,x ${genuine} v2,${"0".repeat(99)}`],
    ["accepted", "a genuine one stands beside one of another shape", `v1,short ${genuine}`],
    ["accepted", "sixteen are there", `${`${forged} `.repeat(15)}${genuine}`],
    ["malformed-header", "seventeen are there", `${`${forged} `.repeat(16)}${genuine}`],
    ["accepted", "the header has 4096 characters", `${genuine} v2,`.padEnd(4096, "0")],
    ["malformed-header", "the header has 4097 characters", `${genuine} v2,`.padEnd(4097, "0")],
    ["bad-signature", "all are forged", `${forged} ${forged}`],
    ["malformed-header", "the genuine one is of another version", genuine.replace("v1", "v1a")],
    ["malformed-header", "the version is upper case", genuine.replace("v1", "V1")],
    ["malformed-header", "the version is not there", genuine.replace("v1,", "")],
    ["malformed-header", "commas separate them", `${forged},${genuine}`],
    ["malformed-header", "two spaces separate them", `${forged}  ${genuine}`],
    ["malformed-header", "the base64 has spare bits", genuine.replace("E=", "F=")],
  ])("answer %s when %s", async (answer, _, signature) => {
    expect(await verdict(scheme, { ...fields, "webhook-signature": signature }, [WHSEC])).toBe(answer);
  });

  test("are refused when the id is another", async () => {
    expect(await verdict(scheme, { ...fields, "webhook-id": `${ID}x` }, [WHSEC])).toBe("bad-signature");
  });

  test("are refused for an id that could be read in another way, though it was signed", async () => {
    for (const id of ["a.b", "a b", "é", "x".repeat(257)]) {
      const signed = standardFields({ body: bytes(BODY), at: AT, secret: WHSEC }, whsecKey(WHSEC), id);
      expect(await verdict(scheme, signed, [WHSEC])).toBe("malformed-header");
    }
  });

  test("are good under both keys that Polar makes of a secret, where the form is either", async () => {
    const either = { scheme: "standard-webhooks", secretForm: "either" } as const;
    const raw = standardFields({ body: bytes(BODY), at: AT, secret: WHSEC }, WHSEC);
    expect(await verdict(either, raw, [WHSEC])).toBe("accepted");
    expect(await verdict(either, fields, [WHSEC])).toBe("accepted");
    expect(await verdict(either, fields, [WHSEC.replace("whsec_", "")])).toBe("bad-signature");
    expect(await verdict(either, fields, ["polar_whs_old", WHSEC])).toBe("accepted");
    expect(await verdict(either, fields, ["polar_whs_old"])).toBe("bad-signature");
    expect(await verdict({ ...either, secretForm: "raw" }, fields, [WHSEC])).toBe("bad-signature");
    expect(await verdict(scheme, raw, [WHSEC])).toBe("bad-signature");
  });

  test("are those that the reference library makes and takes", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: AT * 1000 });
    for (const body of ["", BODY, "Grüße \u{1F512}", "x".repeat(100_000)]) {
      for (const secret of [WHSEC, WHSEC.replace("whsec_", ""), Buffer.alloc(64, 3).toString("base64")]) {
        const library = new Webhook(secret);
        const made = library.sign(ID, new Date(AT * 1000), body);
        const signed = { ...fields, "webhook-signature": made };
        expect(await verdict(scheme, signed, [secret], { body: bytes(body) })).toBe("accepted");
        const own = standardFields({ body: bytes(body), at: AT, secret }, whsecKey(secret));
        expect(() => library.verify(body, own, { jsonParse: false })).not.toThrow();
      }
    }
  });

  test("are those that the reference library makes of Polar's raw secret", async () => {
    const secret = "polar_whs_Grüße";
    const library = new Webhook(Buffer.from(secret, "utf8").toString("base64"));
    const signed = { ...fields, "webhook-signature": library.sign(ID, new Date(AT * 1000), BODY) };
    for (const secretForm of ["raw", "either"] as const) {
      expect(await verdict({ ...scheme, secretForm }, signed, [secret])).toBe("accepted");
    }
  });

  test("do not cover other bytes that decode to the same text, as they do in the reference library", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: AT * 1000 });
    const signed = standardFields({ body: bytes("\uFFFD"), at: AT, secret: WHSEC }, whsecKey(WHSEC));
    const body = Buffer.from([0xff]);
    expect(() => new Webhook(WHSEC).verify(body, signed, { jsonParse: false })).not.toThrow();
    expect(await verdict(scheme, signed, [WHSEC], { body })).toBe("bad-signature");
  });
});

describe("Stripe signatures", () => {
  const secret = "whsec_stripe";
  const genuine = `v1=${hmac(secret, `${AT}.`, bytes(BODY)).toString("hex")}`;
  const forged = `v1=${"0".repeat(64)}`;

  test.each([
    ["accepted", "the last of several is genuine", `t=${AT},${forged},${genuine}`],
    ["accepted", "a test signature comes with it", `t=${AT},${genuine},v0=${"0".repeat(64)}`],
    ["accepted", "the time comes last", `${genuine},t=${AT}`],
    ["accepted", "sixteen are there", `t=${AT},${`${forged},`.repeat(15)}${genuine}`],
    ["malformed-header", "seventeen are there", `t=${AT},${`${forged},`.repeat(16)}${genuine}`],
    ["accepted", "the header has 4096 characters", `t=${AT},${genuine},v0=`.padEnd(4096, "0")],
    ["malformed-header", "the header has 4097 characters", `t=${AT},${genuine},v0=`.padEnd(4097, "0")],
    ["bad-signature", "all are forged", `t=${AT},${forged},${forged}`],
    ["malformed-header", "the genuine one is called v0", `t=${AT},${genuine.replace("v1", "v0")}`],
    ["malformed-header", "there is no time", genuine],
    ["malformed-header", "there are two times", `t=${AT},t=${AT},${genuine}`],
    ["malformed-header", "there is a space", `t=${AT}, ${genuine}`],
    ["malformed-header", "there is an empty part", `t=${AT},,${genuine}`],
  ])("answer %s when %s", async (answer, _, signature) => {
    expect(await verdict({ scheme: "stripe" }, { "stripe-signature": signature }, [secret])).toBe(answer);
  });
});

describe("GitHub signatures", () => {
  const body = bytes("Hello, World!");
  const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

  test("are those of GitHub's documentation", async () => {
    const fields = { "X-Hub-Signature-256": signature };
    expect(await verdict({ scheme: "github" }, fields, [TEXT_SECRET], { body })).toBe("accepted");
  });

  test("are not there when only the one with SHA-1 is", async () => {
    const sha1 = `sha1=${createHmac("sha1", TEXT_SECRET).update(body).digest("hex")}`;
    const github = { scheme: "github" } as const;
    expect(await verdict(github, { "x-hub-signature": sha1 }, [TEXT_SECRET], { body })).toBe(
      "missing-header",
    );
    for (const value of [
      sha1,
      "sha256=",
      signature.replace("sha256=", ""),
      signature.replace("sha256", "SHA256"),
    ]) {
      const fields = { "x-hub-signature-256": value };
      expect(await verdict(github, fields, [TEXT_SECRET], { body })).toBe("malformed-header");
    }
  });
});
