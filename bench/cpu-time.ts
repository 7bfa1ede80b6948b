import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { pause } from "../ops/wait-until.ts";

/** The kernel counts in hundredths of a second, whatever the machine. */
const TICK_MS = 10;

/** Milliseconds of CPU that processes have used. NaN where the system does not tell: anywhere but on Linux. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0);
}

function cpuMsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th field after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return Number.NaN;
  }
}

/** The share of all cores that is busy over so many milliseconds, from 0 to 1: asked while this program does nothing. */
export async function busyShare(overMs: number): Promise<number> {
  const before = coreTimes();
  await pause(overMs);
  const after = coreTimes();
  const allMs = after.allMs - before.allMs;
  return allMs === 0 ? 0 : 1 - (after.idleMs - before.idleMs) / allMs;
}

function coreTimes(): { readonly allMs: number; readonly idleMs: number } {
  const times = cpus().map((core) => core.times);
  const allMs = times.reduce(
    (sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq,
    0,
  );
  return { allMs, idleMs: times.reduce((sum, { idle }) => sum + idle, 0) };
}
