import { Option } from "@commander-js/extra-typings";
import { LETTER_KINDS } from "../../domain/dead-letter.ts";
import type { PlanRequest } from "../client-replays.ts";
import { several, timeBefore, wholeNumber, type Cli } from "./command.ts";

/** The flags that every choice of letters has. */
export const codeOption = () => new Option("--code <code>", "failure code, such as insufficient_funds");
export const kindOption = () => new Option("--kind <kind>", "what is in the letter").choices(LETTER_KINDS);
export const laneOption = () => new Option("--lane <lane>", "account or inbox");
export const queueOption = () => new Option("--queue <queue>", "the queue that the message was on");
export const fromOption = ({ terminal }: Cli) =>
  new Option("--from <time>", "opened then or later: ISO 8601, or so long ago (30m, 24h, 7d)").argParser(
    timeBefore(terminal.now),
  );
export const toOption = ({ terminal }: Cli) =>
  new Option("--to <time>", "opened before then").argParser(timeBefore(terminal.now));
export const idOption = () =>
  new Option("--id <letter>", "this letter; may be given several times").argParser(several);

export interface FilterFlags {
  readonly id?: readonly string[] | undefined;
  readonly code?: string | undefined;
  readonly kind?: (typeof LETTER_KINDS)[number] | undefined;
  readonly lane?: string | undefined;
  readonly queue?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

export interface PlanFlags extends FilterFlags {
  readonly limit?: number | undefined;
  readonly force?: true | undefined;
}

export const limitOption = () =>
  new Option("--limit <count>", "so many letters, oldest first").argParser(wholeNumber(1));
export const forceOption = () =>
  new Option("--force", "also letters that were replayed as often as the configuration allows");

/** Only what was given: `undefined` would be a filter that the API does not know. */
export function filterOf(flags: FilterFlags): PlanRequest["filter"] {
  const { id, code, kind, lane, queue, from, to } = flags;
  return {
    ...(id === undefined ? {} : { ids: [...id] }),
    ...(code === undefined ? {} : { code }),
    ...(kind === undefined ? {} : { kind }),
    ...(lane === undefined ? {} : { lane }),
    ...(queue === undefined ? {} : { sourceQueue: queue }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

export function planRequestOf(flags: PlanFlags): PlanRequest {
  const { limit, force } = flags;
  return {
    filter: filterOf(flags),
    ...(limit === undefined ? {} : { limit }),
    ...(force === undefined ? {} : { force }),
  };
}

export function hasFilter(flags: FilterFlags): boolean {
  return Object.keys(filterOf(flags)).length > 0;
}
