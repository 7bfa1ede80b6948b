import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAnvil, type Anvil } from "../../ops/anvil.ts";

let anvil: Anvil;

beforeAll(async () => {
  anvil = await startAnvil({ port: 0, quiet: true });
});

afterAll(async () => {
  await anvil.stop();
});

describe("a local node", () => {
  it("is refused a port that is taken, by name of the port", async () => {
    const { port } = new URL(anvil.url);
    await expect(startAnvil({ port: Number(port), quiet: true })).rejects.toThrow(`port ${port} is taken`);
  });

  it("says why it ended when its arguments are wrong", async () => {
    await expect(startAnvil({ port: 0, quiet: true, args: ["--no-such-option"] })).rejects.toThrow(
      "--no-such-option",
    );
  });

  it("is gone after a stop, and answers no more", async () => {
    const node = await startAnvil({ port: 0, quiet: true });
    await node.stop();
    await node.stop();
    expect(() => process.kill(node.pid, 0)).toThrow("ESRCH");
    await expect(fetch(node.url)).rejects.toThrow("fetch failed");
  });

  it.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)(
    "ends with the process that started it when that gets %s",
    async (signal) => {
      const script =
        'const { startAnvil } = await import("./ops/anvil.ts"); console.log((await startAnvil({ port: 0, quiet: true })).url); setInterval(() => {}, 1000);';
      const starter = spawn(process.execPath, ["--input-type=module", "--eval", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const line = await new Promise<Buffer>((resolve) => starter.stdout.once("data", resolve));
      const url = line.toString("utf8").trim();
      expect((await fetch(url)).status).toBeGreaterThan(0);
      starter.kill(signal);
      await once(starter, "exit");
      const deadline = Date.now() + 20_000;
      const answers = () =>
        fetch(url).then(
          () => true,
          () => false,
        );
      while (await answers()) if (Date.now() > deadline) throw new Error("the node outlived its starter");
    },
  );
});
