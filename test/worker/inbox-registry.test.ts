import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { listInboxes, registerInbox } from "../../dlq/lane-registry.ts";
import { inboxOfKey, inboxOfShard } from "../../domain/inbox-name.ts";

test("inboxes are listed by source, in the order of their names, once each, a page at a time", async () => {
  const addresses = ["b", "a:1", "ключ", "a/b", "'); DROP TABLE inboxes; --"].map((key) =>
    inboxOfKey("polar", key),
  );
  addresses.push(inboxOfShard("polar", "evt_1", 16));
  for (const address of [...addresses, ...addresses, inboxOfKey("polar-eu", "a"), inboxOfKey("stripe", "a")])
    await registerInbox(env.LEDGER, address, 1);
  const expected = addresses.map(({ name }) => name).toSorted();
  expect(await listInboxes(env.LEDGER, "polar", "", 100)).toEqual(expected);
  const pages: string[] = [];
  for (let after = ""; ; after = pages.at(-1) ?? "") {
    const page = await listInboxes(env.LEDGER, "polar", after, 4);
    if (page.length === 0) break;
    pages.push(...page);
  }
  expect(pages).toEqual(expected);
  expect(await listInboxes(env.LEDGER, "nobody", "", 100)).toEqual([]);
});
