import type { EnvName } from "./webhook-source.ts";

/** What a status of a destination means for the event. */
export type StatusClass = "success" | "permanent" | "transient";

/** Where events are delivered: HTTP POST, signed as Standard Webhooks. */
export interface DestinationInput {
  /** Its path and query may hold credentials, so it is a secret. https to a public host, unless `allowPrivate`. */
  readonly url: EnvName;
  /** `whsec_` and base64, or any text. Each signs, so that a receiver may know the old one or the new one. */
  readonly secrets: readonly EnvName[];
  /** For the whole exchange. Default 10. */
  readonly timeoutSeconds?: number;
  /** Allows http and hosts that are not public. Default false. */
  readonly allowPrivate?: boolean;
  /** What single statuses mean at this destination, where it is not the usual: 2xx and 409 success; other 4xx permanent but 408, 425, 429; all else transient. */
  readonly statuses?: Readonly<Record<number, StatusClass>>;
}

export interface Destination extends Required<DestinationInput> {
  readonly name: string;
}
