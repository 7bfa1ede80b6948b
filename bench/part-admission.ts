// (c) Submissions over HTTP, on a lane that is paused: what admission alone takes.
import { anvilAccount } from "../ops/anvil-accounts.ts";
import type { Sizes } from "./sizes.ts";
import { admissionRun, type SubmissionRun, type Target } from "./submissions.ts";
import { percentile, shown, type Line } from "./table.ts";

const ACCOUNT = anvilAccount(3);

export async function admissionLines(target: Target, sizes: Sizes): Promise<readonly Line[]> {
  const singles = await admissionRun(target, ACCOUNT, {
    requests: sizes.postedSingles,
    perRequest: 1,
    inFlight: 16,
  });
  const hundreds = await admissionRun(target, ACCOUNT, {
    requests: sizes.postedHundreds,
    perRequest: 100,
    inFlight: 4,
  });
  return [...lines("one by one, 16 at once", singles), ...lines("in hundreds, 4 at once", hundreds)];
}

function lines(how: string, { directivesPerSecond, latencies }: SubmissionRun): readonly Line[] {
  const p50 = shown(percentile(latencies, 0.5));
  const p99 = shown(percentile(latencies, 0.99));
  return [
    { part: "c", what: `HTTP, ${how}`, value: directivesPerSecond, unit: "directives/s" },
    { part: "c", what: `HTTP, ${how}: p50 / p99 of a request`, value: `${p50} / ${p99}`, unit: "ms" },
  ];
}
