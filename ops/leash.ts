import { spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/** A process, or with a minus sign the group that it leads, as `kill(2)` writes it. */
type Target = `${number}`;

const held = new Set<Target>();
let holder: Writable | undefined;

/**
 * Ends a process with this program, however that ends: SIGKILL and a test runner that ends its worker run none of its
 * handlers. Another process, which reads from this one and so learns of its end, sends SIGTERM, and a little later SIGKILL.
 * @param of whether all of the group that the process leads is meant, or the process alone
 * @returns lets go of it: call it when the process is gone, since its id may be another's then
 */
export function endWithThisProgram(pid: number, of: "group" | "process"): () => void {
  const target: Target = of === "group" ? `${-pid}` : `${pid}`;
  held.add(target);
  tell(`+${target}`);
  return () => {
    if (!held.delete(target)) return;
    tell(`-${target}`);
    if (held.size > 0) return;
    holder?.end();
    holder = undefined;
  };
}

function tell(line: string): void {
  holder ??= startHolder();
  holder.write(`${line}\n`);
}

function startHolder(): Writable {
  const script = fileURLToPath(new URL("leash-holder.ts", import.meta.url));
  // Not of this program's group: a terminal's ctrl-C is not for it.
  const child = spawn(process.execPath, ["--no-warnings", script], {
    detached: true,
    stdio: ["pipe", "ignore", "inherit"],
  });
  child.unref();
  // Without it the processes are ended by their own `stop` alone.
  child.on("error", () => undefined);
  child.stdin.on("error", () => undefined);
  return child.stdin;
}
