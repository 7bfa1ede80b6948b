import fc from "fast-check";
import { expect, test } from "vitest";
import type { SignatureScheme } from "../../domain/signature-scheme.ts";
import { verifySignature } from "../../producers/signatures/signature.ts";
import { hmac } from "./signatures-fixture.ts";

const RUNS = 10_000;
const SEED = 20_261_003;
const AT = 1_700_000_000;
const SECRET = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;
const timed = { scheme: "hmac-sha256", prefix: "v1=", timestampHeader: "x-time", header: "x-mac" } as const;

const SCHEMES: readonly SignatureScheme[] = [
  { scheme: "standard-webhooks" },
  { scheme: "standard-webhooks", secretForm: "raw" },
  { scheme: "standard-webhooks", secretForm: "either" },
  { scheme: "stripe" },
  { scheme: "github" },
  { ...timed, encoding: "hex" },
  { ...timed, encoding: "base64" },
  { scheme: "hmac-sha256", header: "x-mac", encoding: "hex" },
  { scheme: "hmac-sha256", header: "x-mac", encoding: "base64" },
];

const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((mac) => Buffer.from(mac).toString("hex"));
const base64 = hex.map((text) => Buffer.from(text, "hex").toString("base64"));
/** Anything at all, and what is nearly or wholly of the right shape, so that the comparison is reached too. */
const value = fc.oneof(
  fc.constant(null),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 300 }),
  fc.string({
    unit: fc.constantFrom("v", "1", "t", "=", ",", ".", " ", "a", "0", "+", "/", "-"),
    maxLength: 60,
  }),
  fc.integer({ min: AT - 400, max: AT + 400 }).map(String),
  fc.double().map(String),
  hex,
  base64,
  hex.map((mac) => `sha256=${mac}`),
  fc.oneof(hex, base64).map((mac) => `v1=${mac}`),
  fc
    .array(fc.oneof(base64, fc.string()), { maxLength: 20 })
    .map((macs) => macs.map((mac) => `v1,${mac}`).join(" ")),
  fc
    .tuple(
      fc.array(fc.oneof(hex, fc.string()), { maxLength: 20 }),
      fc.integer({ min: AT - 400, max: AT + 400 }),
    )
    .map(([macs, at]) => [`t=${at}`, ...macs.map((mac) => `v1=${mac}`)].join(",")),
  fc.integer({ min: 4000, max: 5000 }).map((length) => "v1,".repeat(length)),
);
const NAMES = [
  "webhook-id",
  "webhook-timestamp",
  "webhook-signature",
  "stripe-signature",
  "x-hub-signature-256",
  "x-mac",
  "x-time",
] as const;
type Fields = Partial<Record<string, string | null>>;
const anyFields = fc.record(Object.fromEntries(NAMES.map((name) => [name, value])));
/** As above, with what most runs would never get past. */
const nearFields = fc.tuple(anyFields, fc.uuid(), base64, hex).map(([fields, id, mac64, mac]) => ({
  ...fields,
  "webhook-id": id,
  "webhook-timestamp": `${AT}`,
  "webhook-signature": `v1,${mac64}`,
  "stripe-signature": `t=${AT},v1=${mac}`,
  "x-hub-signature-256": `sha256=${mac}`,
  "x-time": `${AT}`,
}));

async function accepts(scheme: SignatureScheme, fields: Fields, body: Uint8Array): Promise<boolean> {
  const headers = { get: (name: string) => fields[name] ?? null };
  const result = await verifySignature(scheme, { headers, body, secrets: [SECRET], nowMs: AT * 1000 });
  return result.ok;
}

test("whatever the headers and the body hold, no scheme throws and none accepts what the secret did not sign", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(anyFields, nearFields),
      fc.uint8Array({ maxLength: 200 }),
      async (fields, body) => {
        const answers = await Promise.all(SCHEMES.map((scheme) => accepts(scheme, fields, body)));
        return !answers.includes(true);
      },
    ),
    { numRuns: RUNS, seed: SEED },
  );
}, 120_000);

test("whatever secrets are configured, no scheme throws and none accepts a signature under an empty key", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "binary" }), { maxLength: 3 }), async (secrets) => {
      const body = new Uint8Array([1]);
      const mac = hmac("", `${AT}.`, body).toString("hex");
      const headers = { get: () => `t=${AT},v1=${mac}` };
      const answers = await Promise.all(
        SCHEMES.map((scheme) => verifySignature(scheme, { headers, body, secrets, nowMs: AT * 1000 })),
      );
      return answers.every((answer) => !answer.ok);
    }),
    { numRuns: 1000, seed: SEED },
  );
});

test("whatever the body is, a genuine request passes, and none with one character of it changed", async () => {
  const body = fc.uint8Array({ minLength: 1, maxLength: 100 });
  const edit = fc.record({ at: fc.nat(), cut: fc.nat(1), put: fc.string({ maxLength: 1 }) });
  await fc.assert(
    fc.asyncProperty(
      body,
      fc.uuid(),
      fc.constantFrom(...NAMES),
      edit,
      async (bytes, id, name, { at, cut, put }) => {
        const fields = genuine(id, bytes);
        for (const scheme of SCHEMES) {
          const own = { ...fields, "x-mac": macField(scheme, bytes) };
          expect(await accepts(scheme, own, bytes)).toBe(true);
          const text = own[name];
          const start = at % text.length;
          const changed = `${text.slice(0, start)}${put}${text.slice(start + cut)}`;
          // Hex may be of either case.
          const same =
            changed === text || (name !== "webhook-id" && changed.toLowerCase() === text.toLowerCase());
          if (!same && reads(scheme, name)) {
            expect(await accepts(scheme, { ...own, [name]: changed }, bytes)).toBe(false);
          }
          const forged = bytes.map((byte, index) => (index === at % bytes.length ? byte ^ 1 : byte));
          expect(await accepts(scheme, own, forged)).toBe(false);
        }
      },
    ),
    { numRuns: 500, seed: SEED },
  );
}, 120_000);

function genuine(id: string, body: Uint8Array) {
  const key = Buffer.alloc(32, 9);
  const standard = [key, SECRET].map((each) => `v1,${hmac(each, `${id}.${AT}.`, body).toString("base64")}`);
  return {
    "webhook-id": id,
    "webhook-timestamp": `${AT}`,
    "webhook-signature": standard.join(" "),
    "stripe-signature": `t=${AT},v1=${hmac(SECRET, `${AT}.`, body).toString("hex")}`,
    "x-hub-signature-256": `sha256=${hmac(SECRET, "", body).toString("hex")}`,
    "x-time": `${AT}`,
  };
}

function macField(scheme: SignatureScheme, body: Uint8Array): string {
  if (scheme.scheme !== "hmac-sha256") return "unread";
  const prefix = scheme.timestampHeader === undefined ? "" : `${AT}.`;
  return `${scheme.prefix ?? ""}${hmac(SECRET, prefix, body).toString(scheme.encoding)}`;
}

/** Whether a change of the header must make the scheme refuse. A second genuine signature may stand in its header. */
function reads(scheme: SignatureScheme, name: string): boolean {
  switch (scheme.scheme) {
    case "standard-webhooks":
      return name === "webhook-id" || name === "webhook-timestamp";
    case "stripe":
      return name === "stripe-signature";
    case "github":
      return name === "x-hub-signature-256";
    default:
      return name === scheme.header || name === scheme.timestampHeader;
  }
}
