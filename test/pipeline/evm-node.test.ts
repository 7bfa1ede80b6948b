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
});
