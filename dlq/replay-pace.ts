/** Letters a second, of the replay and of each of its lanes. Raw letters count as one lane. */
export interface Rates {
  readonly perSecond: number;
  readonly perLanePerSecond: number;
}

/** So many letters are claimed at once: a page is one transaction and one call to each of its lanes. */
export const MAX_PAGE = 500;

/** What one page may hold: what the rates allow within a second, and one letter at the least. */
export interface Quota {
  readonly letters: number;
  readonly perLane: number;
}

export function quotaOf({ perSecond, perLanePerSecond }: Rates): Quota {
  const letters = Math.min(MAX_PAGE, Math.max(1, Math.floor(perSecond)));
  return { letters, perLane: Math.min(letters, Math.max(1, Math.floor(perLanePerSecond))) };
}

export interface Waiting {
  readonly ordinal: number;
  readonly lane: string;
}

/** The oldest letters that fit the quota. */
export function selectPage<Letter extends Waiting>(
  waiting: readonly Letter[],
  { letters, perLane }: Quota,
): readonly Letter[] {
  const taken = new Map<string, number>();
  const page: Letter[] = [];
  for (const letter of waiting.toSorted((left, right) => left.ordinal - right.ordinal)) {
    const ofLane = taken.get(letter.lane) ?? 0;
    if (ofLane >= perLane) continue;
    taken.set(letter.lane, ofLane + 1);
    page.push(letter);
    if (page.length >= letters) break;
  }
  return page;
}

/** When the next page may be claimed, and the next letters of each lane of this one. */
export interface Spacing {
  readonly nextPageAtMs: number;
  readonly lanes: readonly { readonly lane: string; readonly nextAtMs: number }[];
}

/** A page takes the time that its letters have at the rates, counted from its claim. */
export function spacingAfter(
  page: readonly Waiting[],
  { perSecond, perLanePerSecond }: Rates,
  claimedAtMs: number,
): Spacing {
  const byLane = Map.groupBy(page, ({ lane }) => lane);
  return {
    nextPageAtMs: claimedAtMs + Math.ceil((page.length * 1000) / perSecond),
    lanes: Array.from(byLane, ([lane, letters]) => ({
      lane,
      nextAtMs: claimedAtMs + Math.ceil((letters.length * 1000) / perLanePerSecond),
    })),
  };
}

const LANE_BACKOFF_CAP_MS = 60_000;

/** A lane that did not answer is asked again after so long. */
export function laneBackoffMs(failures: number): number {
  return Math.min(LANE_BACKOFF_CAP_MS, 1000 * 2 ** Math.min(failures, 10));
}

const WATCH_FLOOR_MS = 1000;
const WATCH_CAP_MS = 30_000;

/** How long until what was sent is looked up again: longer while nothing comes of it. */
export function nextWatchDelayMs(lastDelayMs: number, anySettled: boolean): number {
  return anySettled ? WATCH_FLOOR_MS : Math.min(WATCH_CAP_MS, Math.max(WATCH_FLOOR_MS, lastDelayMs * 2));
}
