import { parsePort } from "./ports.ts";
import type { ChainOptions } from "./stack.ts";

/** The chain that the environment of `npm start` names: CHAIN_URL for one that runs already, else one at CHAIN_PORT. */
export function chainOf(env: Readonly<Record<string, string | undefined>>): ChainOptions {
  const { CHAIN_URL: url, CHAIN_PORT: port } = env;
  if (url === undefined || url === "") return { chainPort: parsePort(port ?? "8545", "CHAIN_PORT") };
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new Error(`CHAIN_URL=${url}: must be the http(s) URL of a chain that runs`);
  return { chainPort: null, chainUrl: url };
}
