import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Process {
  readonly pid: number;
  readonly command: string;
}

/** The direct children of a process. Reads /proc where there is one, since small images have no `ps`. */
export function childrenOf(parent: number): readonly Process[] {
  if (process.platform === "linux") return linuxChildrenOf(parent);
  const table = output("ps", ["-axo", "pid=,ppid=,command="]);
  return table.split("\n").flatMap((line) => {
    const [, pid, ppid, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return Number(ppid) === parent && command !== undefined ? [{ pid: Number(pid), command }] : [];
  });
}

/** The TCP ports that a process listens on, in the order in which it opened them. */
export function listeningPorts(pid: number): readonly number[] {
  if (process.platform === "linux") return linuxListeningPorts(pid);
  const fields = output("lsof", ["-nP", "-a", "-p", String(pid), "-iTCP", "-sTCP:LISTEN", "-Fn"]);
  return fields.split("\n").flatMap((line) => {
    const port = /^n.*:(\d+)$/.exec(line)?.[1];
    return port === undefined ? [] : [Number(port)];
  });
}

/** Whether a process of the group led by `leader` is left. */
export function groupLives(leader: number): boolean {
  try {
    process.kill(-leader, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ends what is left of a process group that this program started, at once. */
export function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // Nobody is left.
  }
}

function linuxChildrenOf(parent: number): readonly Process[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    // The name, in parentheses, may hold anything; the parent is the second field after it.
    const stat = read(`/proc/${entry}/stat`);
    const ppid = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    if (Number(ppid) !== parent) return [];
    return [{ pid: Number(entry), command: read(`/proc/${entry}/cmdline`).replaceAll("\0", " ") }];
  });
}

function linuxListeningPorts(pid: number): readonly number[] {
  const ports = new Map<string, number>();
  for (const line of `${read(`/proc/${pid}/net/tcp`)}\n${read(`/proc/${pid}/net/tcp6`)}`.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const port = fields[1]?.split(":")[1];
    // 0A: listening.
    if (fields[3] === "0A" && port !== undefined)
      ports.set(`socket:[${fields[9]}]`, Number.parseInt(port, 16));
  }
  const descriptors = list(`/proc/${pid}/fd`).toSorted((left, right) => Number(left) - Number(right));
  const found = descriptors.flatMap((fd) => ports.get(link(`/proc/${pid}/fd/${fd}`)) ?? []);
  return [...new Set(found)];
}

/** A process may end between two looks at it: then there is nothing to read. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function output(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return "";
  }
}
