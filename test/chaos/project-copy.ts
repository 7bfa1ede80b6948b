import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { PROJECT } from "../../ops/wrangler.ts";

/** What is no source. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  "node_modules",
  ".git",
  ".wrangler",
  ".dev.vars",
  "dist",
  "coverage",
]);

export interface ProjectCopy {
  readonly path: string;
  remove(): void;
}

/** What the copy's local policy has instead of the project's. */
export interface CopiedPolicy {
  readonly confirmations: number;
  readonly bumpAfterSeconds: number;
}

/**
 * A copy of this project whose local chain is final only some blocks deep: a reorg needs room, and the local policy,
 * where each block is final, has none. Throws when lockstep.config.ts does not say `confirmations: 1`.
 */
export function copyProject({ confirmations, bumpAfterSeconds }: CopiedPolicy): ProjectCopy {
  const path = mkdtempSync(join(tmpdir(), "lockstep-copy-"));
  cpSync(PROJECT, path, {
    recursive: true,
    filter: (source) => source === PROJECT || !LEFT_OUT.has(basename(source)),
  });
  symlinkSync(join(PROJECT, "node_modules"), join(path, "node_modules"));
  const config = join(path, "lockstep.config.ts");
  const text = readFileSync(config, "utf8");
  const other = text.replace(
    /\bconfirmations: 1\b/,
    `confirmations: ${confirmations}, bumpAfterSeconds: ${bumpAfterSeconds}`,
  );
  if (other === text) throw new Error("lockstep.config.ts: no `confirmations: 1` to replace");
  writeFileSync(config, other);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
