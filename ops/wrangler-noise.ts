import { stripVTControlCharacters } from "node:util";

/** What `wrangler dev` says of every start, twice in part. That crons do not run does not hold here: `startCron` runs them. */
const NOISE = [
  /^$/,
  /^⎔ /,
  /^Using secrets defined in /,
  /^Your Worker has access to the following bindings:$/,
  /^Binding {2,}Resource {2,}Mode$/,
  /^env\.\w+ \(.*\) {2,}\S.* {2,}local$/,
  /Scheduled Workers are not automatically triggered during local development/,
  /^To manually trigger a scheduled event, run:$/,
  /^curl "\S+\/cdn-cgi\/local\/scheduled"$/,
  /^For more details, see \S+#test-cron-triggers-locally$/,
  /^\[wrangler:info\] GET \/healthz 200 /,
];

/** Whether a line of wrangler tells nobody anything. Warnings, errors and what the Worker logs are none. */
export function isNoise(line: string): boolean {
  const text = stripVTControlCharacters(line).trim();
  return NOISE.some((pattern) => pattern.test(text));
}
