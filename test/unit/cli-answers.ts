import {
  depthSchema,
  incidentsReportSchema,
  letterReportSchema,
  letterSummarySchema,
  planReportSchema,
  replayReportSchema,
} from "../../domain/api-letters.ts";
import { eventReportSchema, inboxReportSchema } from "../../domain/api-webhooks.ts";
import { directiveReportSchema, laneReportSchema } from "../../domain/api.ts";

/** What a Worker answers, parsed by the schemas of the API, so that it cannot drift from them. */

export const NOW = "2030-01-31T12:00:00.000Z";
export const ACCOUNT = "eip155:31337:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
export const HASH = `0x${"ab".repeat(32)}`;
const AT = "2030-01-31T09:00:00.000Z";
/** As long as the API lets it be, and with what a terminal would obey. */
export const LONG = `${"long ".repeat(60)}\u001B[2Jend`;
const LONG_ID = `${"directive.".repeat(12)}the-end`;

export const lane = laneReportSchema.parse({
  account: ACCOUNT,
  status: "paused",
  reason: `breaker: ${LONG}`,
  nextSequence: 123_456_789,
  chainSequence: 123_456_700,
  checkpoint: { received: 123_456_788, contiguous: 123_456_700 },
  leases: [{ token: 7, holder: "consumer-1", endsInMs: 12_000 }],
  counts: { admitted: 123_456_900, settled: 123_456_700, dead: 111, inFlight: 89 },
  open: 88,
  lettersOwed: 3,
  attempts: { accepted: 5 },
  outage: { code: "network_error", message: LONG, at: AT },
  events: [{ at: AT, kind: "paused", detail: LONG }],
});

export const liveLane = { ...lane, status: "live" as const, reason: null, outage: null, lettersOwed: 0 };

export const directive = directiveReportSchema.parse({
  id: LONG_ID,
  account: ACCOUNT,
  status: "review",
  sequence: 12,
  transactions: [{ hash: HASH, status: "uncertain", sequence: 12 }],
  attempts: 3,
  failure: { code: "unauthorized", message: LONG, at: AT },
  admittedAt: AT,
  updatedAt: AT,
});

export const letter = letterSummarySchema.parse({
  id: "3f2a".repeat(8),
  kind: "directive",
  state: "open",
  lane: ACCOUNT,
  directiveId: LONG_ID,
  digest: "cd".repeat(32),
  generation: 2,
  sourceQueue: "directives",
  code: "intrinsic_gas_too_low",
  message: LONG,
  firstFailureCode: "unauthorized",
  firstFailureAt: "2030-01-30T09:00:00.000Z",
  lastFailureAt: AT,
  attempts: 4,
  directiveStatus: "review",
  sequence: 12,
  transactions: [{ hash: HASH, sequence: 12, status: "uncertain" }],
  refund: "manual",
  resolution: null,
  previous: "77b1".repeat(8),
  next: null,
  replacedBy: null,
  replaces: null,
  replay: "8c1e",
  openedAt: AT,
  updatedAt: AT,
});

export const wholeLetter = letterReportSchema.parse({
  ...letter,
  remedy: LONG,
  bodyFormat: "json",
  body: { to: "0x1", note: "\u001B]0;title\u0007" },
  now: { status: "review", sequence: 12, transactions: [{ hash: HASH, sequence: 12, status: "accepted" }] },
  history: [{ at: AT, actor: "lockstep", action: "opened", reason: LONG }],
});

export const depth = depthSchema.parse({
  queues: {
    directives: { backlogCount: 40_000, backlogBytes: 5_000_000, oldestMessageAt: AT },
    "webhook-events-dlq-with-a-long-name": {
      backlogCount: null,
      backlogBytes: null,
      oldestMessageAt: null,
      error: LONG,
    },
  },
  letters: {
    open: 40_000,
    replaying: 5,
    resolved: 10,
    discarded: 1,
    byCode: { unauthorized: 39_000, intrinsic_gas_too_low: 1000 },
    byLane: Object.fromEntries(
      Array.from({ length: 12 }, (_, index) => [`webhook:polar:${"k".repeat(200)}${index}`, 100 - index]),
    ),
    oldestOpenAt: AT,
    byAge: { under1h: 1, under24h: 39_999, under7d: 0, over7d: 0 },
    reconciliationRequired: 2,
  },
});

/** Of one scrape: some of the inboxes, and what it says beside them. */
export const metrics = `# HELP lockstep_inboxes Webhook inboxes by status.
# TYPE lockstep_inboxes gauge
lockstep_inboxes{status="live"} 3
lockstep_inboxes{status="paused"} 1
lockstep_inboxes{status="waiting"} 0
lockstep_inbox_events{state="dead"} 12
lockstep_inboxes_unread 0
lockstep_inboxes_left_out 2
`;

const opened = { rule: "openLetters", subject: LONG_ID, detail: LONG, openedAt: AT };
export const incidents = incidentsReportSchema.parse({
  open: [{ ...opened, id: "i2", closedAt: null }],
  closed: [{ ...opened, id: "i1", closedAt: NOW }],
});

export const plan = planReportSchema.parse({
  id: "5f0c".repeat(8),
  digest: "9be1".repeat(16),
  matched: 512,
  byCode: { unauthorized: 500, insufficient_funds: 12 },
  byLane: { [ACCOUNT]: 512 },
  refused: { expired: 3, undetermined: 1 },
  truncated: true,
  createdAt: NOW,
});

export const replay = replayReportSchema.parse({
  id: "8c1e".repeat(8),
  plan: plan.id,
  status: "running",
  actor: "ops-with-a-rather-long-name",
  reason: LONG,
  ratePerSecond: 50,
  perLanePerSecond: 50,
  total: 512,
  waiting: 512,
  sent: 0,
  inFlight: 0,
  landed: 0,
  alreadyLanded: 0,
  failedAgain: 0,
  refused: 0,
  returned: 0,
  etaSeconds: null,
  startedAt: AT,
  updatedAt: NOW,
  endedAt: null,
});

/** The replay when so many letters have landed. */
export function replayAt(landed: number, changes: Partial<typeof replay> = {}): typeof replay {
  const status = landed === replay.total ? "done" : "running";
  return replayReportSchema.parse({
    ...replay,
    status,
    landed,
    sent: landed,
    waiting: replay.total - landed,
    ...changes,
  });
}

export const event = eventReportSchema.parse({
  id: LONG_ID,
  source: "polar",
  key: "k".repeat(200),
  inbox: `webhook:polar:${"k".repeat(200)}`,
  sequence: 12,
  status: "dead",
  attempts: 4,
  generation: 1,
  failure: { code: "payload_rejected", message: LONG, at: AT },
  admittedAt: AT,
  updatedAt: AT,
  digest: "cd".repeat(32),
  effects: [
    { kind: "delivery", target: "receiver", account: null, state: "failed" },
    { kind: "directive", target: `polar:${LONG_ID}:0`, account: ACCOUNT, state: "done" },
  ],
  audit: [{ at: AT, what: LONG, status: 422, latencyMs: 17 }],
});

export const inbox = inboxReportSchema.parse({
  inbox: event.inbox,
  source: "polar",
  key: event.key,
  status: "paused",
  reason: LONG,
  nextSequence: 123_456_789,
  head: 123_456_700,
  counts: { admitted: 123_456_789, settled: 123_456_700, dead: 1, inFlight: 88 },
  lettersOwed: 0,
  events: [{ at: AT, kind: "paused", detail: LONG }],
});
