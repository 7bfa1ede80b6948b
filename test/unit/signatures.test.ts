import { describe, expect, test } from "vitest";
import { verifySignature } from "../../producers/signatures/signature.ts";
import { AT, BODY, bytes, hmac, SCHEMES, verdict } from "./signatures-fixture.ts";

describe.each(SCHEMES)("$name", ({ scheme, secrets: [secret, other], header, at, idSigned, sign }) => {
  const message = { body: bytes(BODY), at: AT, secret };
  const fields = sign(message);
  const value = fields[header] ?? "";

  test("vouches for what it signed", async () => {
    const request = { headers: new Headers({ ...fields }), body: bytes(BODY), nowMs: AT * 1000 };
    expect(await verifySignature(scheme, { ...request, secrets: [secret] })).toEqual({
      ok: true,
      value: { idSigned, timestampMs: at === null ? null : AT * 1000 },
    });
  });

  test("covers bodies that are empty, large, or not UTF-8", async () => {
    for (const body of [new Uint8Array(), new Uint8Array(1_000_000).fill(0xff), bytes("\u{1F512}")]) {
      expect(await verdict(scheme, sign({ ...message, body }), [secret], { body })).toBe("accepted");
    }
  });

  test("covers a body that is a part of a larger buffer", async () => {
    const body = new Uint8Array(bytes(`xx${BODY}xx`).buffer, 2, BODY.length);
    expect(await verdict(scheme, fields, [secret], { body })).toBe("accepted");
  });

  test("is refused when a byte of the body changed, came or went", async () => {
    for (const text of [BODY.replace("2", "3"), `${BODY} `, BODY.slice(1), "", `\uFEFF${BODY}`]) {
      expect(await verdict(scheme, fields, [secret], { body: bytes(text) })).toBe("bad-signature");
    }
  });

  test("is refused when bytes that are not UTF-8 take the place of others that are not", async () => {
    const forged = { body: new Uint8Array([0xfe]) };
    for (const body of [new Uint8Array([0xff]), bytes("\uFFFD")]) {
      expect(await verdict(scheme, sign({ ...message, body }), [secret], forged)).toBe("bad-signature");
    }
  });

  test("is good under each of several secrets and no other", async () => {
    const signedWithOther = sign({ ...message, secret: other });
    expect(await verdict(scheme, signedWithOther, [secret])).toBe("bad-signature");
    expect(await verdict(scheme, signedWithOther, [secret, other])).toBe("accepted");
    expect(await verdict(scheme, signedWithOther, [other, secret])).toBe("accepted");
  });

  test("asks for a secret before all else, and for each of them", async () => {
    for (const secrets of [[], [""], [secret, ""], ["", secret], ["whsec_"]]) {
      expect(await verdict(scheme, fields, secrets)).toBe("no-secret");
      expect(await verdict(scheme, {}, secrets)).toBe("no-secret");
    }
  });

  test("takes what the Worker was not given for a secret that is not set", async () => {
    const secrets = [undefined] as unknown as string[];
    const request = { headers: new Headers({ ...fields }), body: bytes(BODY), nowMs: AT * 1000, secrets };
    const error = { kind: "no-secret", message: "secret 1 of 1 is not set" };
    expect(await verifySignature(scheme, request)).toEqual({ ok: false, error });
  });

  test("takes no key of zeros, which anybody could sign with", async () => {
    for (const zeros of ["\0", "\0".repeat(64)]) {
      expect(await verdict(scheme, sign({ ...message, secret: zeros }), [zeros])).toBe("no-secret");
    }
  });

  test("is missing when a header is, or is empty", async () => {
    for (const name of Object.keys(fields)) {
      const others = Object.entries(fields).filter(([key]) => key !== name);
      expect(await verdict(scheme, Object.fromEntries(others), [secret])).toBe("missing-header");
      expect(await verdict(scheme, { ...fields, [name]: "" }, [secret])).toBe("missing-header");
    }
  });

  test("is malformed when a header came twice, even with the same value", async () => {
    for (const [name, text] of Object.entries(fields)) {
      const doubled = new Headers({ ...fields });
      doubled.append(name, text);
      expect(await verdict(scheme, doubled, [secret])).toBe("malformed-header");
    }
  });

  test("is malformed when a header is over 4096 characters", async () => {
    for (const name of Object.keys(fields)) {
      const long = { ...fields, [name]: `${fields[name]}${"0".repeat(4096)}` };
      expect(await verdict(scheme, long, [secret])).toBe("malformed-header");
    }
  });

  test("is malformed when it is truncated, lengthened, or in another encoding", async () => {
    const digest = hmac(secret, "", bytes(BODY));
    const mac = /(?:[0-9a-f]{64}|[A-Za-z0-9+/]{43}=)$/.exec(value)?.[0] ?? "";
    const encoded = mac.length === 64 ? digest.toString("base64") : digest.toString("hex");
    const others = [
      mac.slice(0, -1),
      mac.slice(1),
      `${mac}0`,
      `${mac}=`,
      encoded,
      digest.toString("base64url"),
      "x",
    ];
    for (const text of others) {
      const changed = { ...fields, [header]: value.replace(mac, text) };
      expect(await verdict(scheme, changed, [secret])).toBe("malformed-header");
    }
  });

  test("is refused when any one character of it is another", async () => {
    for (const [index, character] of Array.from(value).entries()) {
      const changed = `${value.slice(0, index)}${character === "0" ? "1" : "0"}${value.slice(index + 1)}`;
      expect(await verdict(scheme, { ...fields, [header]: changed }, [secret])).not.toBe("accepted");
    }
  });
});

const TIMED = SCHEMES.flatMap(({ at, ...scheme }) => (at === null ? [] : [{ ...scheme, at }]));

describe.each(TIMED)("$name", ({ scheme, secrets: [secret], at, sign }) => {
  const message = { body: bytes(BODY), at: AT, secret };
  const fields = sign(message);

  test("is refused when its time is another", async () => {
    const changed = { ...fields, [at]: (fields[at] ?? "").replace(`${AT}`, `${AT + 1}`) };
    expect(await verdict(scheme, changed, [secret])).toBe("bad-signature");
  });

  test("is good for 300 s either way, to the millisecond", async () => {
    for (const [aheadMs, answer] of [
      [300_000, "accepted"],
      [300_001, "too-old"],
      [-300_000, "accepted"],
      [-300_001, "too-new"],
      [Number.NaN, "too-old"],
    ] as const) {
      expect(await verdict(scheme, fields, [secret], { nowMs: AT * 1000 + aheadMs })).toBe(answer);
    }
  });

  test("is good for as long as the caller says", async () => {
    const nowMs = AT * 1000 + 60_000;
    expect(await verdict(scheme, fields, [secret], { nowMs, toleranceSeconds: 60 })).toBe("accepted");
    expect(await verdict(scheme, fields, [secret], { nowMs, toleranceSeconds: 59 })).toBe("too-old");
    expect(await verdict(scheme, fields, [secret], { nowMs, toleranceSeconds: Number.NaN })).toBe("too-old");
  });

  test("is malformed when its time is not plain digits, though it was signed so", async () => {
    const spellings = [
      "1e9",
      "+1",
      "-1",
      "NaN",
      "",
      "0x10",
      `0${AT}`,
      `${AT}.0`,
      `${AT}abc`,
      `${AT}000`,
      "1 2",
    ];
    for (const spelling of [...spellings, "9".repeat(400), "١٦"]) {
      const signed = sign({ ...message, at: spelling });
      const read = { get: (name: string) => signed[name] ?? null };
      const request = { headers: read, body: bytes(BODY), secrets: [secret], nowMs: AT * 1000 };
      const result = await verifySignature(scheme, request);
      expect(result.ok ? "accepted" : result.error.kind).toMatch(/^(malformed|missing)-header$/);
    }
  });
});
