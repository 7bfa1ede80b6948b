import { err, ok, type Result } from "../../domain/result.ts";

/** IPv4 ranges that are not public, as first address and prefix length. Source: IANA special-purpose registry. */
const PRIVATE_IPV4 = [
  ["0.0.0.0", 8, "an unspecified address"],
  ["10.0.0.0", 8, "a private address"],
  ["100.64.0.0", 10, "a carrier-grade NAT address"],
  ["127.0.0.0", 8, "a loopback address"],
  // Azure's metadata and health service answers at a public address.
  ["168.63.129.16", 32, "a cloud metadata address"],
  ["169.254.0.0", 16, "a link-local or cloud metadata address"],
  ["172.16.0.0", 12, "a private address"],
  ["192.0.0.0", 24, "a reserved address"],
  ["192.0.2.0", 24, "a documentation address"],
  ["192.88.99.0", 24, "a reserved address"],
  ["192.168.0.0", 16, "a private address"],
  ["198.18.0.0", 15, "a reserved address"],
  ["198.51.100.0", 24, "a documentation address"],
  ["203.0.113.0", 24, "a documentation address"],
  ["224.0.0.0", 4, "a multicast address"],
  ["240.0.0.0", 4, "a reserved address"],
] as const;

/** Names that no public DNS serves. Sources: RFC 6761, RFC 6762, RFC 8375, ICANN's reservation of `.internal`. */
const PRIVATE_SUFFIXES = [".localhost", ".localdomain", ".local", ".internal", ".home.arpa"];

/**
 * The URL of a destination, if deliveries may go there: https, to a public host, without a user name or password.
 * With `allowPrivate`, http and private hosts too.
 * The error is a clause about what is wrong. It repeats no part of the URL, since paths and queries hold credentials.
 *
 * A name is judged by its spelling alone: a Worker cannot see the address that `fetch` resolves it to, so a public name
 * whose DNS answers with a private address passes. The network around the Worker has to refuse that.
 */
export function readTarget(url: string, allowPrivate: boolean): Result<URL, string> {
  let target: URL;
  try {
    target = new URL(url);
  } catch {
    return err("the destination is not a URL");
  }
  if (target.protocol !== "https:" && target.protocol !== "http:")
    return err("the destination is not an https URL");
  if (target.username !== "" || target.password !== "")
    return err("the destination's URL holds a user name or a password");
  if (allowPrivate) return ok(target);
  if (target.protocol === "http:") return err("the destination is http, and only https is allowed");
  const problem = hostProblem(target.hostname);
  return problem === null ? ok(target) : err(`the destination's host is ${problem}`);
}

/** What is wrong with the URL of a destination, or null: see `readTarget`. */
export function targetProblem(url: string, allowPrivate: boolean): string | null {
  const target = readTarget(url, allowPrivate);
  return target.ok ? null : target.error;
}

/** @param host as `URL` writes it: lower case, IPv4 in four decimal parts, IPv6 compressed and in brackets */
function hostProblem(host: string): string | null {
  if (host.startsWith("[")) return ipv6Problem(host.slice(1, -1));
  const name = host.replace(/\.+$/, "");
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return ipv4Problem(name);
  if (PRIVATE_SUFFIXES.some((suffix) => `.${name}`.endsWith(suffix))) return "a private name";
  // Without a dot it is looked up in the search domains of the machine.
  return name.includes(".") ? null : "a name without a domain";
}

function ipv4Problem(address: string): string | null {
  const value = ipv4Value(address);
  for (const [first, prefix, kind] of PRIVATE_IPV4) {
    const size = 2 ** (32 - prefix);
    if (Math.floor(value / size) === Math.floor(ipv4Value(first) / size)) return kind;
  }
  return null;
}

function ipv4Value(address: string): number {
  return address.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}

/**
 * Only global unicast, 2000::/3, is public. All forms that hold an IPv4 address (mapped, compatible, NAT64) are outside
 * of it but two, and those are refused whole: 6to4 is 2002::/16, Teredo is in 2001::/23.
 */
function ipv6Problem(address: string): string | null {
  const [first = 0, second = 0] = address.split(":").map((group) => Number.parseInt(group || "0", 16));
  if (first < 0x2000 || first > 0x3fff) return "not a public IPv6 address";
  if (first === 0x2001 && second < 0x200) return "a reserved IPv6 address";
  if (first === 0x2002) return "a reserved IPv6 address";
  if (first === 0x2001 && second === 0xdb8) return "a documentation address";
  if (first === 0x3fff && second < 0x1000) return "a documentation address";
  return null;
}
