// In:  lines `+<target>` and `-<target>`, where a target is a process id, or a group's with a minus sign before it.
// Out: when the lines end, their writer has: what was added and not taken away gets SIGTERM, and a little later SIGKILL.
import { createInterface } from "node:readline";

const KILL_AFTER_MS = 3000;
const LOOK_EVERY_MS = 50;

const held = new Set<number>();
for await (const line of createInterface({ input: process.stdin })) {
  const target = Number(line.slice(1));
  // 0 and -1 would be this process's own group, and all there is.
  if (!Number.isSafeInteger(target) || Math.abs(target) < 2) continue;
  if (line.startsWith("+")) held.add(target);
  else held.delete(target);
}

const left = (signal: NodeJS.Signals | 0): readonly number[] =>
  [...held].filter((target) => {
    try {
      return process.kill(target, signal);
    } catch {
      return false;
    }
  });

left("SIGTERM");
for (const untilMs = Date.now() + KILL_AFTER_MS; left(0).length > 0 && Date.now() < untilMs;) {
  await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
}
left("SIGKILL");
