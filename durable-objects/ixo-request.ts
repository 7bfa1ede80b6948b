import { z } from "zod";
import { err, ok, type Result } from "../domain/result.ts";

/** Variables of the Worker, each a whole number of milliseconds, written as a number or in decimal digits. */
export interface IxoEnv {
  /** Between two numbers of one pair. Default 400; 0 to 60,000. */
  readonly IXO_CLIENT_SEQUENCE_MIN_DELAY_MS?: unknown;
  /** The chain must have stood still for so long before numbers are given out again. Default 30,000; 1,000 to 3,600,000. */
  readonly IXO_CLIENT_SEQUENCE_HEAL_AFTER_MS?: unknown;
}

export interface IxoSettings {
  readonly minDelayMs: number;
  readonly healAfterMs: number;
}

/** Whose sequence it is: an account number is an account's only within its chain. */
export interface IxoPair {
  readonly chainId: string;
  readonly accountNumber: number;
}

export interface SignerDataRequest {
  readonly pair: IxoPair;
  readonly chainSequence: number;
  /** The same again is the same number again. */
  readonly requestId: string | null;
}

/** Error: a sentence that names the variable. A wrong value is never replaced by a default. */
export function readIxoSettings(env: IxoEnv): Result<IxoSettings, string> {
  const minDelayMs = milliseconds(env, "IXO_CLIENT_SEQUENCE_MIN_DELAY_MS", {
    unset: 400,
    min: 0,
    max: 60_000,
  });
  if (!minDelayMs.ok) return minDelayMs;
  const healAfterMs = milliseconds(env, "IXO_CLIENT_SEQUENCE_HEAL_AFTER_MS", {
    unset: 30_000,
    min: 1000,
    max: 3_600_000,
  });
  return healAfterMs.ok ? ok({ minDelayMs: minDelayMs.value, healAfterMs: healAfterMs.value }) : healAfterMs;
}

function milliseconds(
  env: IxoEnv,
  name: keyof IxoEnv,
  { unset, min, max }: { unset: number; min: number; max: number },
): Result<number, string> {
  const given = env[name];
  if (given === undefined) return ok(unset);
  const value = typeof given === "string" && /^\d{1,9}$/.test(given) ? Number(given) : given;
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return ok(value);
  return err(
    `the variable ${name} must be a whole number of milliseconds from ${min} to ${max}, not ${JSON.stringify(given)}`,
  );
}

/** No account has made so many transactions: a larger number is not a sequence. */
const MAX_SEQUENCE = 1e12;

const chainId = z
  .string("must be a string")
  .regex(/^[A-Za-z0-9._:-]{1,64}$/, "must be 1 to 64 of A-Z a-z 0-9 . _ : -");
const whole = (max: number) =>
  z
    .number("must be a number, not a string of digits")
    .refine((value) => Number.isSafeInteger(value) && value >= 0 && value <= max, {
      error: `must be a whole number from 0 to ${max}`,
    });
const pairFields = { chainId, accountNumber: whole(Number.MAX_SAFE_INTEGER) };
const pairSchema = z.object(pairFields);
const signerDataSchema = z.object({
  ...pairFields,
  chainSequence: whole(MAX_SEQUENCE),
  requestId: z
    .string("must be a string")
    .regex(/^[A-Za-z0-9._:-]{1,128}$/, "must be 1 to 128 of A-Z a-z 0-9 . _ : -")
    .exactOptional(),
});

/** Reads the body of `POST /getSignerData`. Fields that it does not know are ignored. Error: names each wrong field. */
export function readSignerDataRequest(text: string): Result<SignerDataRequest, string> {
  const read = readBody(text, signerDataSchema);
  if (!read.ok) return read;
  const { chainSequence, requestId = null, ...pair } = read.value;
  return ok({ pair, chainSequence, requestId });
}

/** Reads the body of `POST /reset`: one pair, or every pair of the object when there is no body at all. */
export function readResetRequest(text: string): Result<IxoPair | "every pair", string> {
  return text === "" ? ok("every pair") : readBody(text, pairSchema);
}

function readBody<Body>(text: string, schema: z.ZodType<Body>): Result<Body, string> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return err("the body must be JSON");
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return ok(parsed.data);
  const problems = parsed.error.issues.map(({ path, message }) => {
    const field = path.map(String).join(".");
    return field === "" ? "the body must be a JSON object" : `${field} ${message}`;
  });
  return err(problems.join("; "));
}
