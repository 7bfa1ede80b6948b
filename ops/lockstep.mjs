#!/usr/bin/env node
// Starts `ops/cli.ts` with a Node that runs TypeScript as it is: this one, or else the one that `npm install` brought.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major > 22 || (major === 22 && minor >= 18)) {
  await import("./cli.ts");
} else {
  const node = projectNode();
  if (node === null) {
    console.error(
      `error: Node ${process.versions.node} is too old: use 24, or run npm install in the checkout`,
    );
    process.exit(2);
  }
  const child = spawn(node, [fileURLToPath(new URL("cli.ts", import.meta.url)), ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // A terminal's ctrl-C reaches the child too, which takes the two for one.
  for (const signal of /** @type {const} */ (["SIGHUP", "SIGINT", "SIGTERM"]))
    process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`error: ${node} cannot be started: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** The package `node` holds one executable. Null when it is not installed. */
function projectNode() {
  try {
    return createRequire(import.meta.url).resolve("node/bin/node");
  } catch {
    return null;
  }
}
