// Which letters the ledger is filled with: what the Worker writes, and what the questions ask for.

/** One letter was opened every two seconds, the last of them now. */
export const OPENED_EVERY_MS = 2000;
export const FILLED_LANES = 2000;
export const FILLED_CODES = [
  "bad_request",
  "unauthorized",
  "forbidden",
  "no_signer",
  "gave_up",
  "execution_reverted",
  "intrinsic_gas_too_low",
  "out_of_gas",
  "invalid_transaction",
  "not_found",
  "handler_failed",
  "malformed_message",
] as const;
/** Of one letter in 50,000. */
export const RARE_CODE = "signer_unavailable";
/** Of the directives that `kill` makes, and of no letter that the ledger is filled with. */
export const KILLED_CODE = "gas_limit_exceeded";

/** An account that nobody signs for. */
export function filledLane(index: number): string {
  return `eip155:31337:0x${String(index).padStart(40, "0")}`;
}
