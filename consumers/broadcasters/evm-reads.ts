import { z } from "zod";
import type { Failure } from "../../domain/failure.ts";
import { err, ok, type Result } from "../../domain/result.ts";
import { classifyNodeError } from "./evm-failure.ts";
import type { RpcCall, RpcReply } from "./json-rpc.ts";

/** A number as nodes write it: hex with 0x, at most 32 bytes. */
export const quantity = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,64}$/)
  .transform((hex) => BigInt(hex));

/** A quantity that counts something: block numbers, nonces. */
export const count = quantity.transform((value, context) => {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  context.issues.push({ code: "custom", message: "is too large", input: value });
  return z.NEVER;
});

export const hash = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform((hex) => hex.toLowerCase());

export const block = z.object({
  number: count,
  hash,
  gasLimit: quantity,
  baseFeePerGas: quantity.optional(),
});

const fields = z.object({
  transactionHash: hash,
  blockNumber: count.nullish(),
  blockHash: hash.nullish(),
  status: z.enum(["0x0", "0x1"]).nullish(),
});

export const blockReceipts = z.array(fields);

/** Null, or without a block, while the transaction is in no block. */
export const receipt = fields.nullable();

/** Null where the node does not have the transaction, in its pool or in a block. */
export const knownTransaction = z.object({ hash }).nullable();

export function toQuantity(value: bigint | number): `0x${string}` {
  return `0x${value.toString(16)}`;
}

/** Reads one reply. Error: why its value is not to be had. */
export function read<Schema extends z.ZodType>(
  call: RpcCall,
  reply: RpcReply | undefined,
  schema: Schema,
): Result<z.output<Schema>, Failure> {
  switch (reply?.kind) {
    case undefined:
      return err({ code: "endpoint_error", message: `the endpoint left ${call.method} without an answer` });
    case "missing":
      return err(reply.failure);
    case "error": {
      const answer = classifyNodeError(reply.error);
      return err(
        answer.kind === "known"
          ? { code: "unknown_rpc_error", message: reply.error.message }
          : answer.failure,
      );
    }
    case "result": {
      const parsed = schema.safeParse(reply.value);
      return parsed.success
        ? ok(parsed.data)
        : err({
            code: "endpoint_error",
            message: `the endpoint answered ${call.method} with a value that cannot be read`,
          });
    }
  }
}
