import { z } from "zod";
import { envName, envNames, fields, flag, oneOf, seconds } from "./config-fields.ts";
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

const MAX_TIMEOUT_SECONDS = 60;

export const destinationSchema = fields({
  url: envName,
  secrets: envNames,
  timeoutSeconds: seconds(MAX_TIMEOUT_SECONDS).default(10),
  allowPrivate: flag().default(false),
  statuses: z
    .record(z.string().regex(/^[1-5][0-9]{2}$/), oneOf(["success", "permanent", "transient"]), {
      error: ({ code }) =>
        code === "invalid_key" ? "must be an HTTP status" : "must be an object of HTTP statuses",
    })
    .default({}),
} satisfies Record<keyof DestinationInput, z.ZodType>);
