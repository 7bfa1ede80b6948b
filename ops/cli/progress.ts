import type { ReplayReport } from "../../domain/api-letters.ts";
import { widthFor } from "./output.ts";
import type { Terminal } from "./terminal.ts";
import { clipEnd, duration, grouped } from "./text.ts";

const BAR = 20;
/** The rate is that of so long before now. */
const RATE_OVER_MS = 15_000;
const ERASE_LINE = "\r\u001B[2K";

/** What is not paced slower stands still when so much time brought no change. */
const STALLED_AFTER_MS = 15_000;

export interface Progress {
  show(report: ReplayReport): void;
  /** In place of the progress, until the next. */
  say(text: string): void;
  /** Leaves the line to what is written next. */
  end(): void;
}

/** On standard error: one line that changes on a terminal, elsewhere a line for each change. */
export function createProgress({ stderr, now }: Pick<Terminal, "stderr" | "now">): Progress {
  const samples: { readonly atMs: number; readonly done: number }[] = [];
  let moved = { numbers: "", atMs: now() };
  let shown = "";
  const draw = (text: string): void => {
    // The last column stays free: some terminals wrap when it is written.
    const line = clipEnd(text, widthFor(stderr) - 1);
    if (stderr.isTTY) stderr.write(ERASE_LINE + line);
    else if (line !== shown) stderr.write(`${line}\n`);
    shown = line;
  };
  return {
    show(report) {
      samples.push({ atMs: now(), done: doneOf(report) });
      while (samples.length > 2 && (samples[0]?.atMs ?? 0) < now() - RATE_OVER_MS) samples.shift();
      const numbers = `${report.status} ${report.sent} ${doneOf(report)}`;
      if (numbers !== moved.numbers) moved = { numbers, atMs: now() };
      draw(progressLine(report, rateOf(samples), now() - moved.atMs >= stalledAfterMs(report)));
    },
    say: draw,
    end() {
      if (stderr.isTTY && shown !== "") stderr.write(ERASE_LINE);
      shown = "";
    },
  };
}

/** Letters whose end is known. */
export function doneOf({ landed, failedAgain, refused, returned }: ReplayReport): number {
  return landed + failedAgain + refused + returned;
}

/** A replay that is told to be slow has not stalled: two letters are due in that time. */
function stalledAfterMs({ ratePerSecond, perLanePerSecond }: ReplayReport): number {
  return Math.max(STALLED_AFTER_MS, 2000 / Math.min(ratePerSecond, perLanePerSecond));
}

/**
 * `etaSeconds` is the Worker's word of those that wait; for those in flight, and where it has none, the rate's. Both only
 * grow while nothing happens, so that one which stalled has none.
 */
export function progressLine(report: ReplayReport, ratePerSecond: number | null, stalled: boolean): string {
  const done = doneOf(report);
  const share = report.total === 0 ? 1 : done / report.total;
  const filled = Math.floor(share * BAR);
  const left = report.total - done;
  const byRate = ratePerSecond === null || ratePerSecond === 0 ? null : left / ratePerSecond;
  const eta = report.waiting > 0 ? (report.etaSeconds ?? byRate) : byRate;
  const parts = [
    `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}] ${String(Math.floor(share * 100)).padStart(3)}%`,
    `${grouped(done)}/${grouped(report.total)}`,
    ratePerSecond === null ? "-/s" : `${grouped(ratePerSecond)}/s`,
    report.status === "running" && left > 0
      ? stalled
        ? "stalled"
        : `ETA ${eta === null ? "-" : duration(eta * 1000)}`
      : report.status,
    ...(report.inFlight === 0 ? [] : [`${grouped(report.inFlight)} in flight`]),
    ...(report.failedAgain === 0 ? [] : [`${grouped(report.failedAgain)} failed`]),
    ...(report.refused === 0 ? [] : [`${grouped(report.refused)} refused`]),
  ];
  return parts.join("  ");
}

function rateOf(samples: readonly { readonly atMs: number; readonly done: number }[]): number | null {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return null;
  return Math.max(0, ((last.done - first.done) * 1000) / (last.atMs - first.atMs));
}
