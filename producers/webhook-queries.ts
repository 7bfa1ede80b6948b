import { z } from "zod";

/** The parameters of the operators' routes for webhooks: what the handlers parse is what the OpenAPI document tells. */

const key = z
  .string()
  .min(1, "must not be empty")
  .optional()
  .describe("An ordering key, as the source's configuration reads it from an event: its inbox is meant.");

const shard = z.coerce
  .number({ error: "must be a number" })
  .int("must be a whole number")
  .min(0, "must not be negative")
  .max(255, "must be at most 255")
  .optional()
  .describe("A shard of the events without ordering key: its inbox is meant.");

const limit = z.coerce
  .number({ error: "must be a number" })
  .int("must be a whole number")
  .min(1, "must be at least 1")
  .max(100, "must be at most 100")
  .default(50);

const both = { path: ["shard"], error: "must not be given beside key" };

interface Named {
  readonly key?: string | undefined;
  readonly shard?: number | undefined;
}

const atMostOne = ({ key: byKey, shard: byShard }: Named) => byKey === undefined || byShard === undefined;

export const inboxQuery = z
  .strictObject({ key, shard })
  .refine(atMostOne, both)
  .refine(({ key: byKey, shard: byShard }) => byKey !== undefined || byShard !== undefined, {
    path: ["key"],
    error: "or shard must be given",
  });

export const eventQuery = z.strictObject({ key, shard }).refine(atMostOne, both);

export const eventsQuery = z
  .strictObject({
    key,
    shard,
    cursor: z.string().optional().describe("`nextCursor` of the page before, of the same list."),
    limit,
  })
  .refine(atMostOne, both);

export const inboxesQuery = z.strictObject({
  after: z.string().default("").describe("`next` of the page before."),
  limit,
});

/** What a cursor of one inbox's events holds. */
export const placeInInbox = z.strictObject({ below: z.int().nonnegative() });

/** What a cursor of a source's events holds. */
export const placeInIndex = z.strictObject({ admittedAtMs: z.int(), id: z.string() });
