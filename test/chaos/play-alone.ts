// In:  one round as JSON, as the only argument.
// Out: its report, as a message to the program that forked this one.
// On failure: the error on stderr, and exit code 1. It does not outlive the program that forked it.
import { play } from "./play.ts";
import { roundSchema } from "./round.ts";

process.once("disconnect", () => process.exit(1));
const report = await play(roundSchema.parse(JSON.parse(process.argv[2] ?? "")));
process.send?.(report, () => process.exit(0));
