import type { Failure } from "./failure.ts";

/** What one attempt to broadcast one transaction came to. */
export type Outcome =
  /** The node has it (or had it already). */
  | { readonly kind: "accepted" }
  /** The node's own definite answer that it does not have it and will not take it: contained. */
  | { readonly kind: "refused"; readonly failure: Failure }
  /** No send began: contained. */
  | { readonly kind: "unavailable"; readonly failure: Failure }
  /** A send began and its end is not known, or an endpoint answered in the node's place: exposed. */
  | { readonly kind: "uncertain"; readonly failure: Failure };
