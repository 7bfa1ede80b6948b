import { fork } from "node:child_process";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { PROJECT } from "../../ops/wrangler.ts";
import { copyProject } from "./project-copy.ts";
import { REORG_POLICY, roundReportSchema, type Round, type RoundReport } from "./round.ts";

const PROGRAM = relative(PROJECT, fileURLToPath(new URL("./play-alone.ts", import.meta.url)));

/** Plays a round in a copy of the project with `REORG_POLICY`. Throws as `play` does. */
export async function playInCopy(round: Round): Promise<RoundReport> {
  const copy = copyProject(REORG_POLICY);
  try {
    return await new Promise((resolve, reject) => {
      const child = fork(join(copy.path, PROGRAM), [JSON.stringify(round)], {
        cwd: copy.path,
        execArgv: ["--no-warnings"],
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      });
      let errors = "";
      child.stderr?.on(
        "data",
        (chunk: Buffer) => (errors = (errors + chunk.toString("utf8")).slice(-20_000)),
      );
      child.once("error", reject);
      child.once("message", (report) => resolve(roundReportSchema.parse(report)));
      child.once("exit", (code, signal) =>
        reject(new Error(`the round ended with ${signal ?? `exit code ${String(code)}`}: ${errors}`)),
      );
    });
  } finally {
    copy.remove();
  }
}
