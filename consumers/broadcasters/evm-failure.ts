import type { Failure, FailureCode } from "../../domain/failure.ts";
import { revertReason } from "./evm-revert.ts";
import type { RpcError } from "./json-rpc.ts";

/** What a node's error says of the transaction that was asked about. */
export type NodeAnswer =
  /** The node has it already: as good as accepted. */
  | { readonly kind: "known" }
  /** The node says that it does not take it. */
  | { readonly kind: "refused"; readonly failure: Failure }
  /** Nothing certain about the transaction. */
  | { readonly kind: "unclear"; readonly failure: Failure };

type Row = {
  /** On the message of the node, whatever the JSON-RPC code: nodes and gateways agree on wording far more than on codes. */
  readonly pattern: RegExp;
  /** JSON-RPC codes that mean the same whatever the message. */
  readonly codes?: readonly number[];
} & ({ readonly kind: "known" } | { readonly kind: "refused" | "unclear"; readonly code: FailureCode });

/**
 * The one table of node errors: each row owns the pattern that recognizes it. The first row that fits counts, so
 * a revert comes first (its reason may say anything), and a narrow pattern before a wide one.
 * What no row knows is unclear. Sources: anvil, geth, erigon, nethermind, reth, besu, OpenEthereum, hardhat.
 */
export const NODE_ERRORS = [
  { kind: "refused", code: "execution_reverted", pattern: /\brevert(ed)?\b|vm execution error/i, codes: [3] },
  {
    kind: "refused",
    code: "out_of_gas",
    pattern: /out ?of ?gas|gas required exceeds|gas spent exceeded transaction/i,
  },
  {
    kind: "refused",
    code: "execution_reverted",
    pattern:
      /\bevm error|invalid opcode|opcode .*not defined|invalid jump|bad jump destination|stack (underflow|overflow|limit reached)|write protection|transaction processing could not be completed/i,
  },
  {
    kind: "known",
    pattern:
      /already known|already imported|\bknown transaction|already in (the )?(mempool|pool)|existing txn with same hash/i,
  },
  {
    kind: "refused",
    code: "nonce_occupied",
    pattern:
      /replacement transaction underpriced|could not replace existing tx|insufficient gas price to replace|another transaction with same nonce|replacement ?not ?allowed|address already reserved/i,
  },
  { kind: "refused", code: "nonce_too_low", pattern: /(?<!authority )nonce ?(is )?too ?low|\boldnonce\b/i },
  {
    kind: "refused",
    code: "nonce_too_high",
    pattern: /nonce ?(is )?too ?(high|far|distant)|nonce ?gap|gapped[- ]nonce/i,
  },
  {
    kind: "refused",
    code: "pool_full",
    pattern:
      /pool is full|account limit exceeded|too many transactions in the queue|in-flight transaction limit|future transaction tries to replace pending/i,
  },
  {
    kind: "refused",
    code: "fee_too_low",
    pattern:
      /underpriced|fee ?(is )?too ?low|(less than|below) (the )?(block |current )*base ?fee|gas ?price (is )?(too low|below)|fee below minimum|too low for the next block/i,
  },
  {
    kind: "refused",
    code: "fee_too_high",
    pattern: /exceeds the configured cap|transaction fee cap exceeded/i,
  },
  {
    kind: "refused",
    code: "insufficient_funds",
    pattern:
      /insufficient ?(funds|balance)|(not|n't) have enough funds|up-?front cost .*exceeds|cause overdraft/i,
  },
  {
    kind: "refused",
    code: "intrinsic_gas_too_low",
    pattern:
      /intrinsic ?gas (is )?too low|^intrinsicgas$|intrinsic gas .*exceeds gas limit|floor data gas|requires at least \d+ gas|not enough gas to cover minimal cost/i,
  },
  {
    kind: "refused",
    code: "gas_limit_exceeded",
    pattern:
      /exceeds (the )?(block|max transaction|transaction) gas (limit|cap)|gas limit (is )?too high|intrinsic gas too high|gas limit reached|exceeds current gas limit|supplied gas is beyond limit|gas limit is greater than|gas ?limit ?cap ?exceeded/i,
  },
  {
    kind: "refused",
    code: "wrong_chain",
    pattern:
      /(invalid|wrong|incompatible|incorrect) ?chain ?id|invalidtxchainid|chainid (is required|not supported)|signed for another chain/i,
  },
  {
    kind: "refused",
    code: "invalid_transaction",
    pattern: new RegExp(
      [
        "invalid (sender|signature|raw transaction|transaction (type|signature|v, r, s))|invalidtxsignature|failed to recover sender",
        "(transaction|tx) type not supported|invalidtxtype|unsupported transaction type|transaction type is not activated|not supported by the current hardfork",
        "oversized data|rlptoolong|max initcode size exceeded|initcode too large|transaction too large",
        "priority ?fee ?per ?gas.*(higher|exceeds|greater|cannot be)|fee per gas higher than 2\\^256|gas ?uint(64)? ?overflow|nonce has max value|negative value|transaction cost overflow",
        "failed to decode|\\brlp: |typed transaction too short|empty transaction data|transaction data is empty|only replay-protected",
        "sender (is )?not an eoa",
      ].join("|"),
      "i",
    ),
  },
  { kind: "refused", code: "forbidden", pattern: /sender account not authorized/i },
  {
    kind: "unclear",
    code: "unauthorized",
    pattern: /unauthori[sz]ed|must be authenticated|(invalid|missing) (api|project|access) ?(key|id|token)/i,
  },
  {
    kind: "unclear",
    code: "rate_limited",
    pattern: /rate ?limit|too many requests|limit exceeded|exceeded.*(capacity|quota|compute units)/i,
    codes: [-32005, 429],
  },
  { kind: "unclear", code: "endpoint_timeout", pattern: /timed? ?out|deadline exceeded|timeout expired/i },
] as const satisfies readonly Row[];

/** Never throws. The failure's message is the node's own, with the revert reason that its data carries. */
export function classifyNodeError(error: RpcError): NodeAnswer {
  const rows: readonly Row[] = NODE_ERRORS;
  const row = rows.find(
    ({ pattern, codes }) => pattern.test(error.message) || codes?.includes(error.code) === true,
  );
  const said = error.message === "" ? "the node gave no message" : error.message;
  if (row === undefined)
    return { kind: "unclear", failure: { code: "unknown_rpc_error", message: `${said} (${error.code})` } };
  if (row.kind === "known") return { kind: "known" };
  const reason = row.code === "execution_reverted" ? revertReason(error.data) : null;
  const message = reason === null || said.includes(reason) ? said : `${said}: ${reason}`;
  return { kind: row.kind, failure: { code: row.code, message } };
}
