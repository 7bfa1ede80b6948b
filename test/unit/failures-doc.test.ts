import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FAILURES } from "../../domain/failure.ts";

const ROW = /^\| `([a-z_]+)` \| (\S+) \| (.+?) \| (.+?) \|$/gm;

test("docs/failures.md has each failure once, with the disposition and the words of its row", () => {
  const page = readFileSync(new URL("../../docs/failures.md", import.meta.url), "utf8");
  const rows = Array.from(page.matchAll(ROW), ([, code, disposition, summary, remedy]) => ({
    code,
    disposition,
    summary,
    remedy,
  }));
  const expected = Object.entries(FAILURES).map(([code, { contained, summary, remedy }]) => ({
    code,
    disposition: contained,
    summary,
    remedy,
  }));
  const byCode = (left: { code?: string | undefined }, right: { code?: string | undefined }) =>
    String(left.code) < String(right.code) ? -1 : 1;
  expect(rows.toSorted(byCode)).toEqual(expected.toSorted(byCode));
});
