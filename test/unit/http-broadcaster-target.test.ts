import { BlockList } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { targetProblem } from "../../consumers/broadcasters/http-target.ts";

type Octets = readonly [number, number, number, number];

const octet = fc.integer({ min: 0, max: 255 });
const prefixes: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["168.63.129.16", 32],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];
const blocked = new BlockList();
for (const [first, prefix] of prefixes) blocked.addSubnet(first, prefix, "ipv4");

const privateOctets: fc.Arbitrary<Octets> = fc.oneof(
  fc.constantFrom<Octets>(
    [127, 0, 0, 1],
    [169, 254, 169, 254],
    [10, 0, 0, 1],
    [0, 0, 0, 0],
    [192, 168, 0, 1],
  ),
  fc.tuple(fc.constantFrom(0, 10, 127, 224, 255), octet, octet, octet),
  fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), octet, octet),
  fc.tuple(fc.constant(100), fc.integer({ min: 64, max: 127 }), octet, octet),
  fc.tuple(fc.constant(169), fc.constant(254), octet, octet),
  fc.tuple(fc.constant(192), fc.constant(168), octet, octet),
);

/** The number in one of the radices that URL parsers read, with a number of leading zeros where they are allowed. */
function numberIn(radix: number, value: number, zeros: number): string {
  if (radix === 16) return `0x${"0".repeat(zeros)}${value.toString(16)}`;
  if (radix === 8) return `0${"0".repeat(zeros)}${value.toString(8)}`;
  return String(value);
}

function joined(octets: readonly number[]): number {
  return octets.reduce((value, part) => value * 256 + part, 0);
}

/** One to four parts, of which the last holds what is left of the address. */
function spelled(octets: Octets, parts: number, radices: readonly number[], zeros: number): string {
  const values = [...octets.slice(0, parts - 1), joined(octets.slice(parts - 1))];
  return values.map((value, index) => numberIn(radices[index] ?? 10, value, zeros)).join(".");
}

function fullWidth(text: string): string {
  return text.replace(/[0-9a-fx]/g, (character) => String.fromCodePoint(character.charCodeAt(0) + 0xfee0));
}

const spelling = fc.record({
  parts: fc.integer({ min: 1, max: 4 }),
  radices: fc.tuple(...[0, 1, 2, 3].map(() => fc.constantFrom(8, 10, 16))),
  zeros: fc.integer({ min: 0, max: 3 }),
  end: fc.constantFrom("", ".", ":8443", "/path?query#hash"),
  wide: fc.boolean(),
});

describe("the address of a destination", () => {
  it("is refused if it is a private IPv4 address, in every spelling that URL parsers read", () => {
    fc.assert(
      fc.property(privateOctets, spelling, (octets, { parts, radices, zeros, end, wide }) => {
        const text = spelled(octets, parts, radices, zeros);
        const url = `https://${wide ? fullWidth(text) : text}${end}`;
        expect(new URL(url).hostname).toMatch(octets.join("."));
        expect(targetProblem(url, false)).toMatch(/^the destination's host is/);
        expect(targetProblem(url, true)).toBeNull();
      }),
    );
  });

  it("is refused if it is an IPv6 address that holds an IPv4 address, mapped, compatible, NAT64 or 6to4", () => {
    fc.assert(
      fc.property(privateOctets, (octets) => {
        const dotted = octets.join(".");
        const [high, low] = [joined(octets.slice(0, 2)).toString(16), joined(octets.slice(2)).toString(16)];
        for (const host of [
          `::ffff:${dotted}`,
          `::FFFF:${high}:${low}`,
          `0:0:0:0:0:ffff:${dotted}`,
          `::${dotted}`,
          `64:ff9b::${dotted}`,
          `2002:${high}:${low}::1`,
        ])
          expect(targetProblem(`https://[${host}]/`, false)).toMatch(/IPv6 address$/);
      }),
    );
  });

  it("is refused or allowed as the list of special IPv4 ranges says, whatever the address", () => {
    fc.assert(
      fc.property(fc.oneof(fc.tuple(octet, octet, octet, octet), privateOctets), (octets) => {
        const address = octets.join(".");
        expect(targetProblem(`https://${address}/`, false) !== null).toBe(blocked.check(address, "ipv4"));
      }),
      { numRuns: 500 },
    );
  });

  it("is judged right on both sides of every range's ends", () => {
    for (const [first, prefix] of prefixes) {
      const start = joined(first.split(".").map(Number));
      const end = start + 2 ** (32 - prefix) - 1;
      for (const value of [start - 1, start, end, end + 1]) {
        if (value < 0 || value > 2 ** 32 - 1) continue;
        const address = new URL(`https://${value}`).hostname;
        expect([address, targetProblem(`https://${address}`, false) !== null]).toEqual([
          address,
          blocked.check(address, "ipv4"),
        ]);
      }
    }
  });

  it.each([
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[100::1]",
    "[2001::1]",
    "[2001:1ff::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[4000::1]",
  ])("is refused if it is %s", (host) => {
    expect(targetProblem(`https://${host}:8443/`, false)).toMatch(/^the destination's host is/);
    expect(targetProblem(`https://${host}:8443/`, true)).toBeNull();
  });

  it.each(["[2606:4700:4700::1111]", "[2001:4860:4860::8888]", "[2001:200::1]", "[2a00:1450::]"])(
    "is allowed if it is %s",
    (host) => expect(targetProblem(`https://${host}/`, false)).toBeNull(),
  );
});

describe("the name of a destination", () => {
  it.each([
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost..",
    "api.localhost",
    "localhost.localdomain",
    "printer.local",
    "Printer.Local.",
    "local",
    "metadata.google.internal",
    "metadata.google.internal.",
    "metadata。google。internal",
    "%6cocalhost",
    "ｌｏｃａｌｈｏｓｔ",
    "router.home.arpa",
    "receiver",
  ])("is refused if it is %s", (host) => {
    expect(targetProblem(`https://${host}/`, false)).not.toBeNull();
  });

  it.each([
    "example.com",
    "example.com.",
    "localhost.example.com",
    "internal.example",
    "10.example.com",
    "xn--bcher-kva.example",
  ])("is allowed if it is %s", (host) =>
    expect(targetProblem(`https://${host}:8443/path?query`, false)).toBeNull(),
  );
});

describe("the URL of a destination", () => {
  it("may be http only where private destinations are allowed", () => {
    expect(targetProblem("http://example.com/", false)).toBe(
      "the destination is http, and only https is allowed",
    );
    expect(targetProblem("http://example.com/", true)).toBeNull();
  });

  it.each([
    "",
    "example.com",
    "ftp://example.com/",
    "file:///etc/passwd",
    "data:text/plain,a",
    "https://",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://[::1%25eth0]/",
  ])("is refused, private allowed or not, if it is %j", (url) => {
    expect(targetProblem(url, false)).not.toBeNull();
    expect(targetProblem(url, true)).not.toBeNull();
  });

  it("may hold no user name or password, private allowed or not", () => {
    for (const url of [
      "https://user@example.com/",
      "https://:word@example.com/",
      "http://user:word@127.0.0.1/",
    ])
      for (const allowPrivate of [false, true])
        expect(targetProblem(url, allowPrivate)).toBe(
          "the destination's URL holds a user name or a password",
        );
  });

  it("is not repeated by what is said to be wrong with it", () => {
    const word = fc.stringMatching(/^[a-z0-9]{12}$/);
    const scheme = fc.constantFrom("https://", "http://", "ftp://", "");
    const host = fc.constantFrom("localhost", "127.0.0.1", "[::1]", "bad host", "a.internal");
    fc.assert(
      fc.property(
        scheme,
        host,
        fc.tuple(word, word, word, word),
        (start, name, [user, password, path, query]) => {
          const problem = targetProblem(`${start}${user}:${password}@${name}/${path}?k=${query}`, false);
          for (const part of [user, password, path, query]) expect(problem).not.toContain(part);
          const anonymous = targetProblem(`${start}${name}/${path}?k=${query}`, false);
          for (const part of [path, query]) expect(anonymous).not.toContain(part);
        },
      ),
    );
  });
});
