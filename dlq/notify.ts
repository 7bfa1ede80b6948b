// In:  a fact that operators or producers are to hear of: a directive that died, an alert.
// Out: an event in an inbox of Lockstep's own source, which delivers it as it does all others: in order, signed, once.
// On failure: throws what the inbox throws; the same call again makes no second event.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { inboxOfKey, type InboxName } from "../domain/inbox-name.ts";
import { encodeMessage, type Body } from "../domain/message.ts";
import { OWN_SOURCE } from "../domain/operations.ts";
import type { InboxProtocol } from "../domain/webhook-event.ts";
import { within } from "../domain/within.ts";
import { CALL_BOUNDS } from "./call-bounds.ts";

export interface NotifyEnv {
  readonly WEBHOOK_INBOX: { getByName(name: InboxName): Pick<InboxProtocol, "admit"> };
  readonly WEBHOOK_EVENTS: { send(body: Body): Promise<unknown> };
}

export interface Notification {
  /** Such as `directive.failed` or `alert.opened`. */
  readonly type: string;
  /** The same for the same fact, however often it is told: 1 to 256 visible ASCII characters without a full stop. */
  readonly id: string;
  /** Notifications of one key arrive in the order in which they were told. */
  readonly key: string;
  /** Plain JSON. */
  readonly data: unknown;
  readonly atMs: number;
}

/** Tells it: durable when this resolves. The body is `{ type, timestamp, data }`, as Standard Webhooks recommends. */
export async function notify(env: NotifyEnv, { type, id, key, data, atMs }: Notification): Promise<void> {
  const body = JSON.stringify({ type, timestamp: new Date(atMs).toISOString(), data });
  const address = inboxOfKey(OWN_SOURCE, key);
  const event = {
    id,
    digest: bytesToHex(sha256(utf8ToBytes(body))),
    body,
    contentType: "application/json",
  };
  await within(CALL_BOUNDS.callMs, env.WEBHOOK_INBOX.getByName(address.name).admit(address, event));
  try {
    await env.WEBHOOK_EVENTS.send(encodeMessage({ kind: "inbox-doorbell", inbox: address.name }));
  } catch (error) {
    // The inbox's alarm rings too.
    console.warn(
      JSON.stringify({ at: "dlq.notify", error: error instanceof Error ? error.message : String(error) }),
    );
  }
}
