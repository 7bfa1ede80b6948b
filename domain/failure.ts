/** What to do about a failure. Exposed work is never anything but `reconcile`: see `dispositionOf`. */
export type Disposition = "retry" | "dead-letter" | "reconcile";

interface FailureRow {
  /** What follows while every transaction of the directive is contained. */
  readonly contained: "retry" | "dead-letter";
  /** One sentence for an operator: what happened. */
  readonly summary: string;
  /** One sentence for an operator: what helps. */
  readonly remedy: string;
}

/**
 * Every failure that Lockstep can name, and its row. `FailureCode` is derived from the rows, so that a code
 * without a row does not compile.
 */
export const FAILURES = {
  // The message, before any lane has it.
  malformed_message: {
    contained: "dead-letter",
    summary: "The queue message is not a directive, a doorbell or a rejection.",
    remedy: "Fix the producer; send it again with `directive({...})`.",
  },
  unsupported_version: {
    contained: "dead-letter",
    summary: "The message has a version that this Worker does not know.",
    remedy: "Deploy the Worker that knows it, then replay.",
  },
  payload_too_large: {
    contained: "dead-letter",
    summary: "The directive is larger than 96 KB.",
    remedy: "Split it, or store the data elsewhere and refer to it.",
  },
  unsupported_chain: {
    contained: "dead-letter",
    summary: "No chain of that id is configured.",
    remedy: "Add the chain to lockstep.config.ts, deploy, replay.",
  },
  unsupported_action: {
    contained: "dead-letter",
    summary: "The action does not fit the chain of the account.",
    remedy: "Send evm.transaction to eip155 accounts, cosmos.messages to cosmos accounts.",
  },
  no_signer: {
    contained: "dead-letter",
    summary: "No signer is configured for the account.",
    remedy: "Add the signer to lockstep.config.ts and its secret, deploy, replay.",
  },
  conflicting_payload: {
    contained: "dead-letter",
    summary: "The lane has another payload under the same id.",
    remedy: "An id is used once: send the new payload under a new id.",
  },
  exhausted: {
    contained: "dead-letter",
    summary: "The queue gave the message up before it was admitted.",
    remedy: "Look for the outage at that time, then replay.",
  },

  // The directive's own time.
  expired: {
    contained: "dead-letter",
    summary: "expiresAt passed before work on the directive began.",
    remedy: "Send it again under a new id if it is still wanted.",
  },
  gave_up: {
    contained: "dead-letter",
    summary: "Transient failures lasted longer than giveUpAfter.",
    remedy: "Remove the last failure's cause, then replay.",
  },

  // The node's own answer.
  execution_reverted: {
    contained: "dead-letter",
    summary: "The call reverts.",
    remedy: "Read the revert reason; send a corrected directive under a new id.",
  },
  reverted: {
    contained: "dead-letter",
    summary: "The transaction was mined and reverted: its one effect is spent.",
    remedy: "Send a corrected directive under a new id.",
  },
  intrinsic_gas_too_low: {
    contained: "dead-letter",
    summary: "The gas limit is below what the transaction costs before it runs.",
    remedy: "Raise or omit `gas`.",
  },
  gas_limit_exceeded: {
    contained: "dead-letter",
    summary: "The gas limit is above what a block may hold.",
    remedy: "Lower or omit `gas`.",
  },
  out_of_gas: {
    contained: "dead-letter",
    summary: "The call needs more gas than the directive's `gas` allows.",
    remedy: "Raise or omit `gas`.",
  },
  invalid_transaction: {
    contained: "dead-letter",
    summary: "The node refuses the form of the transaction.",
    remedy: "Read the message; correct the directive or the chain's configuration.",
  },
  insufficient_funds: {
    contained: "retry",
    summary: "The account cannot pay value and gas.",
    remedy: "Fund the account.",
  },
  fee_too_low: {
    contained: "retry",
    summary: "The fee is below what the node takes now.",
    remedy: "None: the lane sends again, and raises the fee of what stays out.",
  },
  fee_too_high: {
    contained: "retry",
    summary: "The fee is above the node's own cap.",
    remedy: "Raise the node's cap, or use another node: the lane sends again.",
  },
  nonce_too_low: {
    contained: "retry",
    summary: "The chain has used the sequence already.",
    remedy: "None: the lane adopts the chain's sequence.",
  },
  nonce_too_high: {
    contained: "retry",
    summary: "The chain does not take a sequence so far ahead.",
    remedy: "None: the lane waits for its earlier sequences.",
  },
  nonce_occupied: {
    contained: "retry",
    summary: "The pool holds another transaction at the sequence.",
    remedy: "Find who else sends from the account.",
  },
  pool_full: {
    contained: "retry",
    summary: "The node's pool is full.",
    remedy: "None, or use another node.",
  },
  unknown_rpc_error: {
    contained: "retry",
    summary:
      "The node answered an error that is not in the table of known refusals, so a send that got it counts as uncertain.",
    remedy: "Read the message; report the code so that it gets a row.",
  },

  // The endpoint in front of the node, or the way to it.
  bad_request: {
    contained: "dead-letter",
    summary: "The endpoint answered 400.",
    remedy: "Check the RPC URL and what the endpoint allows; for a delivery, why the destination refuses it.",
  },
  unauthorized: {
    contained: "dead-letter",
    summary: "The endpoint answered 401.",
    remedy:
      "Renew the credential in the RPC URL secret, or the destination's signing secret; resume the lane, replay.",
  },
  forbidden: {
    contained: "dead-letter",
    summary: "The endpoint answered 403.",
    remedy: "Check what the credential may do, resume the lane, replay.",
  },
  rate_limited: {
    contained: "retry",
    summary: "The endpoint answered 429.",
    remedy: "None, or raise the plan's limit.",
  },
  endpoint_timeout: {
    contained: "retry",
    summary: "The endpoint answered 408 or 425, or did not answer in time.",
    remedy: "None, or use another endpoint.",
  },
  endpoint_error: {
    contained: "retry",
    summary: "The endpoint answered 5xx, or what is not JSON-RPC.",
    remedy: "None, or use another endpoint.",
  },
  network_error: {
    contained: "retry",
    summary: "The endpoint could not be reached.",
    remedy: "None, or check the RPC URL or the destination's URL.",
  },
  wrong_chain: {
    contained: "retry",
    summary: "The endpoint serves another chain than the account's.",
    remedy: "Correct the RPC URL.",
  },
  signer_unavailable: {
    contained: "retry",
    summary:
      "The signer's secret is missing or is not the account's key, or a destination's URL or signing secret is missing or malformed.",
    remedy: "Set the secret named in lockstep.config.ts.",
  },

  // The destination of webhook events, where the rows above do not fit.
  not_found: {
    contained: "dead-letter",
    summary: "The destination answered 404.",
    remedy: "Correct the destination's URL, then replay.",
  },
  gone: {
    contained: "dead-letter",
    summary: "The destination answered 410.",
    remedy: "Point the destination at its new URL and replay, or discard the letter.",
  },
  payload_rejected: {
    contained: "dead-letter",
    summary: "The destination answered 413 or 422.",
    remedy: "Read the message; make the destination take the event, then replay.",
  },
  redirected: {
    contained: "dead-letter",
    summary: "The destination answered 3xx, and redirects are not followed.",
    remedy: "Set the destination's URL to where it redirects, if that is yours, then replay.",
  },
  delivery_refused: {
    contained: "dead-letter",
    summary: "The destination answered a 4xx that has no row of its own.",
    remedy:
      "Read the message; if it means that the event will be taken later, say so in the destination's `statuses`; replay.",
  },
  declared_permanent: {
    contained: "dead-letter",
    summary: "The destination answered a status that its `statuses` call permanent.",
    remedy: "Read the message; remove the cause, then replay.",
  },
  declared_transient: {
    contained: "retry",
    summary: "The destination answered a status that its `statuses` call transient.",
    remedy: "None, or read the message.",
  },
  forbidden_target: {
    contained: "dead-letter",
    summary: "The destination's URL is not https to a public host, or holds a password; nothing was sent.",
    remedy: "Correct the URL, or set `allowPrivate` where http or a private host is meant; replay.",
  },

  // A webhook event, before any of its effects.
  handler_failed: {
    contained: "dead-letter",
    summary: "The source's `handle` threw, refused the event's shape, or asked for what cannot be.",
    remedy: "Read the message; correct `handle` in lockstep.config.ts, deploy, replay.",
  },
  lane_unavailable: {
    contained: "retry",
    summary:
      "The lane of a directive could not be reached, so that the directive of the event is not known to be admitted.",
    remedy: "None: it is admitted once, however often it is tried.",
  },
  skipped: {
    contained: "dead-letter",
    summary: "An operator gave the event up, so that those behind it go on.",
    remedy: "Read the reason in the inbox's log; replay when its cause is gone, or discard.",
  },

  // The lane's own protocol.
  lease_lost: {
    contained: "retry",
    summary: "The lease ended before the work was settled.",
    remedy: "None: the lane looks the transactions up and sends them again.",
  },
  validity_expired: {
    contained: "retry",
    summary: "The height until which the transaction was valid is final, and it is not on the chain.",
    remedy: "None: the lane signs it anew.",
  },
  foreign_transaction: {
    contained: "retry",
    summary: "Another transaction of the account took the sequence.",
    remedy: "Find who else sends from the account.",
  },
} as const satisfies Record<string, FailureRow>;

export type FailureCode = keyof typeof FAILURES;

export interface Failure {
  readonly code: FailureCode;
  /** For people. Never holds a secret, a token, a key or an RPC URL. */
  readonly message: string;
  /** The other side's own wish, in seconds. */
  readonly retryAfterSeconds?: number;
}

export interface TimedFailure extends Failure {
  readonly atMs: number;
}

/**
 * The one decision. `contained`: every send was definitely refused, or none began, so the row decides.
 * `exposed`: something may have happened, so nothing but evidence decides.
 */
export function dispositionOf(code: FailureCode, containment: "contained" | "exposed"): Disposition {
  switch (containment) {
    case "contained":
      return FAILURES[code].contained;
    case "exposed":
      return "reconcile";
  }
}

export function isPermanent(code: FailureCode): boolean {
  return FAILURES[code].contained === "dead-letter";
}

/** The credential is at fault, not the directive: one directive is blamed, and the breaker counts. */
export function isCredentialFailure(code: FailureCode): boolean {
  return code === "unauthorized" || code === "forbidden";
}

/**
 * A node's own word that it does not take a transaction, whether or not another node would. Not so "nonce too low": what
 * used the number may be this very transaction.
 */
export function isNodeRefusal(code: FailureCode): boolean {
  return NODE_REFUSALS.has(code);
}

const NODE_REFUSALS: ReadonlySet<FailureCode> = new Set([
  "execution_reverted",
  "intrinsic_gas_too_low",
  "gas_limit_exceeded",
  "out_of_gas",
  "invalid_transaction",
  "insufficient_funds",
  "fee_too_low",
  "fee_too_high",
  "nonce_too_high",
  "nonce_occupied",
  "pool_full",
]);

export function isFailureCode(text: string): text is FailureCode {
  return Object.hasOwn(FAILURES, text);
}

/** The code of an HTTP status that an endpoint answered in place of its service's own answer. */
export function failureOfHttpStatus(status: number): FailureCode {
  switch (status) {
    case 400:
      return "bad_request";
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 408:
    case 425:
      return "endpoint_timeout";
    case 429:
      return "rate_limited";
    default:
      return "endpoint_error";
  }
}
