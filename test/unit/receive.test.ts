import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { requireFree } from "../../ops/ports.ts";
import { receiverAt, replyOf } from "../../ops/receive-settings.ts";

test("STATUS is what every delivery is answered with, 204 without it", () => {
  expect([replyOf(), replyOf("422")]).toEqual([204, 422]);
});

test("RECEIVER_URL says at which port to listen", () => {
  const urls = ["http://127.0.0.1:8799/", "http://localhost:8801/hook", "http://127.0.0.1/"];
  expect(urls.map((url) => receiverAt(url).port)).toEqual([8799, 8801, 80]);
});

test.each(["8799", "https://127.0.0.1:8799/", "http://receiver.example/"])(
  "RECEIVER_URL=%s is refused by its name: this program cannot listen there",
  (url) => {
    expect(() => receiverAt(url)).toThrow(`RECEIVER_URL=${url}`);
  },
);

test("a port that is taken is said with the variable, as its value would be for the next port", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { urlOf } = receiverAt(`http://127.0.0.1:${port}/hook`);
    await expect(requireFree(port, "RECEIVER_URL", urlOf)).rejects.toThrow(
      `RECEIVER_URL=http://127.0.0.1:${port}/hook: the port is taken. End what listens there, or choose another: RECEIVER_URL=http://127.0.0.1:${port + 1}/hook`,
    );
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test("npm run receive ends with one line and exit code 1 for a STATUS that is none", async () => {
  const program = fileURLToPath(new URL("../../ops/receive.ts", import.meta.url));
  const child = spawn(process.execPath, [program], { env: { ...process.env, STATUS: "abc" } });
  const ended = new Promise((resolve) => child.on("close", resolve));
  const said = await text(child.stderr);
  expect({ code: await ended, said }).toEqual({
    code: 1,
    said: "STATUS=abc: must be an HTTP status from 200 to 599\n",
  });
});
