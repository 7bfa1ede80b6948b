import { createServer } from "node:net";

/** Where everything local listens: nothing of it is reachable from another machine. */
export const LOOPBACK = "127.0.0.1";

/** A port that nobody listens on at the moment of asking. */
export async function freePort(): Promise<number> {
  const probe = await listen(0);
  if (typeof probe === "string") throw new Error(`no free port: ${probe}`);
  return probe.port;
}

/** Throws an error that names the variable to change, whose value for a port `valueOf` says. */
export async function requireFree(
  port: number,
  variable: string,
  valueOf: (port: number) => string = String,
): Promise<void> {
  const probe = await listen(port);
  if (typeof probe !== "string") return;
  const setting = `${variable}=${valueOf(port)}`;
  if (probe !== "EADDRINUSE") throw new Error(`${setting}: the port cannot be used (${probe})`);
  throw new Error(
    `${setting}: the port is taken. End what listens there, or choose another: ${variable}=${valueOf(port + 1)}`,
  );
}

/** Reads a port number. Error names the variable. */
export function parsePort(text: string, variable: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new Error(`${variable}=${text}: must be a port from 1 to 65535`);
  return port;
}

function listen(port: number): Promise<{ readonly port: number } | string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve("code" in error ? String(error.code) : error.message));
    server.listen(port, LOOPBACK, () => {
      const address = server.address();
      server.close(() =>
        resolve({ port: typeof address === "object" && address !== null ? address.port : port }),
      );
    });
  });
}
