import { LOOPBACK } from "./ports.ts";

const HTTP_PORT = 80;

/** Reads STATUS, what `npm run receive` answers each delivery with. Error names it. */
export function replyOf(text = "204"): number {
  if (/^[2-5]\d\d$/.test(text)) return Number(text);
  throw new Error(`STATUS=${text}: must be an HTTP status from 200 to 599`);
}

/** Reads RECEIVER_URL: the port to listen at, and the URL for another port. Error names it. */
export function receiverAt(text: string): {
  readonly port: number;
  readonly urlOf: (port: number) => string;
} {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== "http:" || !["localhost", LOOPBACK].includes(url.hostname))
    throw new Error(`RECEIVER_URL=${text}: must be http://${LOOPBACK}:<port>/ for npm run receive`);
  return {
    port: url.port === "" ? HTTP_PORT : Number(url.port),
    urlOf(port) {
      const other = new URL(url);
      other.port = String(port);
      return other.href;
    },
  };
}
