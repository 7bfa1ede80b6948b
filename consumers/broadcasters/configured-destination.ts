import type { Destination } from "../../domain/destination.ts";
import { httpBroadcaster, type Delivery, type DeliveryOutcome, type HttpContext } from "./http.ts";

/** Hands one event to one destination, once. Never throws. `timeoutSeconds`: of the whole exchange. */
export type Deliver = (
  destination: Destination,
  timeoutSeconds: number,
  delivery: Delivery,
) => Promise<DeliveryOutcome>;

/**
 * Delivers to destinations as lockstep.config.ts has them, with URL and secrets from the Worker's variables. A variable
 * that is not set is a fault of the configuration, not of the event: it waits until somebody sets it. Of several
 * secrets those that are set sign, so that a rotation can begin with either.
 */
export function configuredDelivery(env: object, context: HttpContext): Deliver {
  return async ({ url, secrets, allowPrivate, statuses }, timeoutSeconds, delivery) => {
    const target = variable(env, url.env);
    if (target === null) {
      const failure = { code: "signer_unavailable", message: `the variable ${url.env} is not set` } as const;
      return { kind: "transient", failure, status: null, latencyMs: 0 };
    }
    return httpBroadcaster(
      {
        url: target,
        secrets: secrets.flatMap((secret) => variable(env, secret.env) ?? []),
        timeoutSeconds,
        allowPrivate,
        statuses,
      },
      context,
    ).deliver(delivery);
  };
}

function variable(env: object, name: string): string | null {
  const value: unknown = Reflect.get(env, name);
  return typeof value === "string" && value !== "" ? value : null;
}
