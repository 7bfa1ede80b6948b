import type { z } from "zod";
import { between, fields, flag, seconds, matching, wholeNumber } from "./config-fields.ts";
import { ok } from "./result.ts";
import { DEFAULT_INBOX_POLICY, type WebhookSource } from "./webhook-source.ts";

/** What operators are told, and what a replay may do. */
export interface OperationsInput {
  /** The destination of `directive.failed` updates and of alerts. Without one, nothing is sent. */
  readonly notify?: string;
  readonly alerts?: Partial<AlertThresholds>;
  readonly replay?: Partial<ReplayPolicy>;
}

/** An incident opens when a threshold is passed, and ends when it no longer is: one alert each. */
export interface AlertThresholds {
  /** So many open letters. */
  readonly openLetters: number;
  /** The oldest open letter is so old. */
  readonly oldestOpenSeconds: number;
  /** So many letters were opened within the last ten minutes. */
  readonly openedInTenMinutes: number;
  /** So many messages wait on one queue. */
  readonly queueBacklog: number;
  /** A letter has a code that no letter had before. */
  readonly newCode: boolean;
  /** A lane or an inbox is degraded or paused. */
  readonly unhealthyLane: boolean;
}

export interface ReplayPolicy {
  /** A letter that was replayed so often needs `force`. */
  readonly maxReplays: number;
  /** So many letters in one plan. */
  readonly maxLetters: number;
  /** Letters a second, where the replay does not say. */
  readonly ratePerSecond: number;
  /** Letters a second of one lane. */
  readonly perLanePerSecond: number;
}

export interface Operations {
  readonly notify: string | null;
  readonly alerts: AlertThresholds;
  readonly replay: ReplayPolicy;
}

export const DEFAULT_ALERTS: AlertThresholds = {
  openLetters: 100,
  oldestOpenSeconds: 24 * 3600,
  openedInTenMinutes: 50,
  queueBacklog: 10_000,
  newCode: true,
  unhealthyLane: true,
};

export const DEFAULT_REPLAY: ReplayPolicy = {
  maxReplays: 3,
  maxLetters: 50_000,
  ratePerSecond: 50,
  perLanePerSecond: 50,
};

/** Letters a second that a replay may be given: a letter in a quarter of an hour, so that none ever seems to stand still. */
export const MIN_REPLAY_RATE = 0.001;
export const MAX_REPLAY_RATE = 5000;

const replayRate = () => between(MIN_REPLAY_RATE, MAX_REPLAY_RATE);

export const operationsSchema = fields({
  notify: matching(/./, "the name of a destination").optional(),
  alerts: fields({
    openLetters: wholeNumber(1).default(DEFAULT_ALERTS.openLetters),
    oldestOpenSeconds: seconds().default(DEFAULT_ALERTS.oldestOpenSeconds),
    openedInTenMinutes: wholeNumber(1).default(DEFAULT_ALERTS.openedInTenMinutes),
    queueBacklog: wholeNumber(1).default(DEFAULT_ALERTS.queueBacklog),
    newCode: flag().default(DEFAULT_ALERTS.newCode),
    unhealthyLane: flag().default(DEFAULT_ALERTS.unhealthyLane),
  } satisfies Record<keyof AlertThresholds, z.ZodType>).prefault({}),
  replay: fields({
    maxReplays: wholeNumber(0).default(DEFAULT_REPLAY.maxReplays),
    maxLetters: wholeNumber(1).default(DEFAULT_REPLAY.maxLetters),
    ratePerSecond: replayRate().default(DEFAULT_REPLAY.ratePerSecond),
    perLanePerSecond: replayRate().default(DEFAULT_REPLAY.perLanePerSecond),
  } satisfies Record<keyof ReplayPolicy, z.ZodType>).prefault({}),
} satisfies Record<keyof OperationsInput, z.ZodType>);

/** The source of Lockstep's own events, `directive.failed` and alerts: nobody can post to it. */
export const OWN_SOURCE = "lockstep";

/**
 * Lockstep's own events take the way of all others, so that they too are ordered, tried again, and dead-lettered:
 * into an inbox of this source, and from there to the destination.
 */
export function ownSource(destination: string): WebhookSource {
  return {
    name: OWN_SOURCE,
    internal: true,
    signature: { scheme: "standard-webhooks" },
    secrets: [],
    toleranceSeconds: 300,
    maxBodyBytes: 100 * 1024,
    shards: 1,
    policy: DEFAULT_INBOX_POLICY,
    eventIdOf: () => null,
    keyOf: () => null,
    handle: () => Promise.resolve(ok({ deliveries: [destination] })),
  };
}
