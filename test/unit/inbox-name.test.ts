import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inboxOfKey, inboxOfShard, isSourceName, parseInbox } from "../../domain/inbox-name.ts";

const source = fc.stringMatching(/^[a-z][a-z0-9-]{0,31}$/);

describe("an inbox has one name", () => {
  test("that reads back as the same source and key, whatever the key holds", () => {
    fc.assert(
      fc.property(source, fc.string({ unit: "binary", minLength: 1, maxLength: 300 }), (name, key) => {
        const address = inboxOfKey(name, key);
        expect(parseInbox(address.name)).toEqual(address);
        expect(address.source).toBe(name);
      }),
      { numRuns: 2000 },
    );
  });

  test("two keys never share a name, though they hold the marks that names are made of", () => {
    const keys = ["1", "#1", ":1", "a:b", "a", "b", "sha256-x", "webhook:polar#1"];
    const names = keys.map((key) => inboxOfKey("polar", key).name);
    const shards = Array.from(
      { length: 100 },
      (_, index) => inboxOfShard("polar", `event-${index}`, 16).name,
    );
    expect(new Set(names).size).toBe(keys.length);
    expect(names.filter((name) => new Set<string>(shards).has(name))).toEqual([]);
  });

  test("a key of more than 256 characters is named by its digest, so that two long ones stay apart", () => {
    const [left, right] = [
      inboxOfKey("polar", `${"k".repeat(300)}1`),
      inboxOfKey("polar", `${"k".repeat(300)}2`),
    ];
    expect(left.name.length).toBeLessThan(100);
    expect(left.name).not.toBe(right.name);
    expect(inboxOfKey("polar", `${"k".repeat(300)}1`)).toEqual(left);
  });

  test("a shard is a matter of the event's id, within the number of shards", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 256 }), (id, shards) => {
        const address = inboxOfShard("github", id, shards);
        expect(address).toEqual(inboxOfShard("github", id, shards));
        expect(address.key).toBeNull();
        expect(Number(/#(\d+)$/.exec(address.name)?.[1])).toBeLessThan(shards);
        expect(parseInbox(address.name)).toEqual(address);
      }),
    );
  });

  test.each([
    "",
    "webhook:",
    "webhook:polar",
    "webhook:polar:",
    "webhook:polar#",
    "webhook:polar#01",
    "webhook:polar#-1",
    "webhook:Polar:key",
    "eip155:1:0x0",
    `webhook:polar:${"k".repeat(257)}`,
    "webhook:polar:\ud800",
  ])("%j names none", (text) => {
    expect(parseInbox(text)).toBeUndefined();
  });

  test("a source's name has no mark that could be taken for a key's", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (isSourceName(text)) expect(text).toMatch(/^[a-z][a-z0-9-]*$/);
      }),
    );
    expect(["a", "polar", "my-shop-2"].every(isSourceName)).toBe(true);
    expect(["", "2a", "Polar", "a_b", "a:b", "a#1", "a".repeat(33)].some(isSourceName)).toBe(false);
  });
});
