import { LANE_STATUSES } from "../domain/api.ts";
import { INBOX_STATUSES } from "../domain/api-webhooks.ts";
import type { LaneStatusView } from "../domain/lane.ts";
import type { InboxStatusView } from "../domain/webhook-event.ts";
import type { Scan } from "./lane-scan.ts";
import { single, summed, type Metric } from "./prometheus.ts";

/** What lanes and inboxes say of themselves, summed. A scan that failed is null: nothing is known, so there are no samples. */
export function laneMetrics(lanes: Scan<string, LaneStatusView> | null): readonly Metric[] {
  const views = viewsOf(lanes);
  return [
    byStatus("lockstep_lanes", "Lanes by status.", LANE_STATUSES, views),
    held("lockstep_lane_directives", "Directives of all lanes by what became of them.", views),
    owed("lockstep_lane_letters_owed", "lanes", views),
    tallies("lockstep_attempts_total", "Attempts to send a transaction, by outcome and failure code.", lanes),
    ...unseen("lanes", lanes),
  ];
}

export function inboxMetrics(inboxes: Scan<string, InboxStatusView> | null): readonly Metric[] {
  const views = viewsOf(inboxes);
  return [
    byStatus("lockstep_inboxes", "Webhook inboxes by status.", INBOX_STATUSES, views),
    held("lockstep_inbox_events", "Webhook events of all inboxes by what became of them.", views),
    owed("lockstep_inbox_letters_owed", "inboxes", views),
    tallies(
      "lockstep_deliveries_total",
      "Attempts to carry out the effects of webhook events, by outcome and failure code.",
      inboxes,
    ),
    ...unseen("inboxes", inboxes),
  ];
}

function viewsOf<View>(scan: Scan<string, View> | null): readonly View[] | null {
  return scan === null ? null : scan.read.map(({ view }) => view);
}

function byStatus<Status extends string>(
  name: string,
  help: string,
  statuses: readonly Status[],
  views: readonly { readonly status: Status }[] | null,
): Metric {
  const samples =
    views === null
      ? []
      : statuses.map((status) => ({
          labels: { status },
          value: views.filter((view) => view.status === status).length,
        }));
  return { name, type: "gauge", help, samples };
}

function held(name: string, help: string, views: readonly Pick<LaneStatusView, "counts">[] | null): Metric {
  const states = [
    ["in_flight", "inFlight"],
    ["settled", "settled"],
    ["dead", "dead"],
  ] as const;
  const samples =
    views === null
      ? []
      : states.map(([state, field]) => ({
          labels: { state },
          value: total(views.map(({ counts }) => counts[field])),
        }));
  return { name, type: "gauge", help, samples };
}

function owed(name: string, who: string, views: readonly { readonly lettersOwed: number }[] | null): Metric {
  const help = `Letters that ${who} owe: the ledger has not acknowledged them.`;
  const value = views === null ? null : total(views.map(({ lettersOwed }) => lettersOwed));
  return { name, type: "gauge", help, samples: single(value) };
}

/**
 * A counter that is summed over lanes would fall when one does not answer, and what reads it would take that for a
 * restart and count all of it again. So there is no sample unless each of them was read.
 */
function tallies(
  name: string,
  help: string,
  scan: Scan<string, { readonly attempts: Readonly<Record<string, number>> }> | null,
): Metric {
  const entries =
    scan === null || scan.unread > 0 ? [] : scan.read.flatMap(({ view }) => Object.entries(view.attempts));
  const samples = summed(entries).map(([tally, value]) => {
    const [outcome = "", ...code] = tally.split(":");
    return { labels: { outcome, code: code.join(":") }, value };
  });
  return { name, type: "counter", help, samples };
}

function unseen(registry: "lanes" | "inboxes", scan: Scan<string, unknown> | null): readonly Metric[] {
  return [
    {
      name: `lockstep_${registry}_unread`,
      type: "gauge",
      help: `Those of the ${registry} that did not answer in this scrape: its totals are without them.`,
      samples: single(scan?.unread ?? null),
    },
    {
      name: `lockstep_${registry}_left_out`,
      type: "gauge",
      help: `Those of the ${registry} beyond the number that a scrape asks: its totals are without them.`,
      samples: single(scan?.leftOut ?? null),
    },
  ];
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
