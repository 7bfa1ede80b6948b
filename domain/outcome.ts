import type { Failure } from "./failure.ts";

/** What one attempt to broadcast one transaction came to. */
export type Outcome =
  /** The node has it (or had it already). */
  | { readonly kind: "accepted" }
  /** The node's own definite answer, which any other node would give as well, that it will not take it: contained. */
  | { readonly kind: "refused"; readonly failure: Failure }
  /** No send began: contained. */
  | { readonly kind: "unavailable"; readonly failure: Failure }
  /** A send began and its end is not known, or another node, or the same one later, may answer otherwise: exposed. */
  | { readonly kind: "uncertain"; readonly failure: Failure };
