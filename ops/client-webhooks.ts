import type { z } from "zod";
import {
  eventReportSchema,
  eventsPageSchema,
  inboxesPageSchema,
  inboxReportSchema,
  type EventReport,
  type InboxReport,
} from "../domain/api-webhooks.ts";
import { ApiError, type Transport } from "./client-transport.ts";

export type InboxCommand = "pause" | "resume";

/** An inbox of a source: that of an ordering key, or a shard of the events that have none. */
export type InboxTarget = { readonly key: string } | { readonly shard: number };

/** All inboxes of all sources, as a scrape finds them. */
export interface InboxCounts {
  /** Without those of which there is none; empty too while the ledger, which knows them, does not answer. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** Those that did not answer, and those beyond the number that a scrape asks. */
  readonly unread: number;
}

export interface WebhookCalls {
  /** Newest first; `cursor` is the `nextCursor` of the page before. */
  eventsPage(
    source: string,
    page?: Partial<InboxTarget> & { readonly cursor?: string | null; readonly limit?: number },
  ): Promise<z.infer<typeof eventsPageSchema>>;
  /** The inbox is named where the index does not know it. */
  event(source: string, id: string, inbox?: InboxTarget): Promise<EventReport>;
  /** In the order of their names; `after` is the `next` of the page before. */
  inboxesPage(
    source: string,
    page?: { readonly after?: string | null; readonly limit?: number },
  ): Promise<z.infer<typeof inboxesPageSchema>>;
  /** Out of `/metrics`: no call lists the inboxes of every source. */
  inboxCounts(): Promise<InboxCounts>;
  inbox(source: string, target: InboxTarget): Promise<InboxReport>;
  commandInbox(
    source: string,
    target: InboxTarget,
    command: InboxCommand,
    reason: string,
  ): Promise<InboxReport>;
  /** Gives the head up; with a sequence, only the head that has it: 409 where another is the head by now. */
  skipHead(
    source: string,
    target: InboxTarget,
    action: { readonly reason: string; readonly sequence?: number | undefined },
  ): Promise<InboxReport>;
}

export function webhookCalls({ url, call, get, post }: Transport): WebhookCalls {
  const sourcePath = (source: string) => `/v1/webhooks/${encodeURIComponent(source)}`;
  const actionPath = (source: string, target: InboxTarget, action: string) => {
    const inbox = "key" in target ? `key=${encodeURIComponent(target.key)}` : `shard=${target.shard}`;
    return `${sourcePath(source)}/inbox/${action}?${inbox}`;
  };

  return {
    eventsPage: (source, page = {}) => get(`${sourcePath(source)}/events`, eventsPageSchema, page),
    event: (source, id, inbox) =>
      get(`${sourcePath(source)}/events/${encodeURIComponent(id)}`, eventReportSchema, { ...inbox }),
    inboxesPage: (source, page = {}) => get(`${sourcePath(source)}/inboxes`, inboxesPageSchema, page),
    async inboxCounts() {
      const { status, text } = await call("/metrics");
      if (status !== 200) throw new ApiError(url, status, text);
      return countsIn(text);
    },
    inbox: (source, target) => get(`${sourcePath(source)}/inbox`, inboxReportSchema, { ...target }),
    commandInbox: (source, target, command, reason) =>
      post(actionPath(source, target, command), inboxReportSchema, { reason }),
    skipHead: (source, target, action) => post(actionPath(source, target, "skip"), inboxReportSchema, action),
  };
}

/** Source: prometheus.io/docs/instrumenting/exposition_formats, of which these samples need the plainest form. */
function countsIn(metrics: string): InboxCounts {
  const byStatus: Record<string, number> = {};
  for (const [, status = "", count] of metrics.matchAll(/^lockstep_inboxes\{status="(\w+)"\} (\d+)$/gm))
    if (Number(count) > 0) byStatus[status] = Number(count);
  const missed = [...metrics.matchAll(/^lockstep_inboxes_(?:unread|left_out) (\d+)$/gm)];
  return { byStatus, unread: missed.reduce((sum, [, count]) => sum + Number(count), 0) };
}
