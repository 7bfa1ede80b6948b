import * as fc from "fast-check";
import { expect, test } from "vitest";
import { facts, table, wrapped } from "../../ops/cli/table.ts";
import { clipEnd, clipMiddle, duration, plain, quoted, widthOf } from "../../ops/cli/text.ts";

const any = fc.string({ unit: "binary", maxLength: 120 });
const asIs = (text: string): string => text;

test("a table of any text fits its width, one line for each row, whatever is in it", () => {
  const columns = [
    { header: "ID" },
    { header: "MIDDLE", clip: "middle" as const },
    { header: "NUMBER", align: "right" as const },
    { header: "END", clip: "end" as const },
  ];
  const row = fc.tuple(any, any, fc.oneof(fc.nat(), fc.constant(null)), any);
  fc.assert(
    fc.property(fc.array(row, { maxLength: 5 }), fc.integer({ min: 40, max: 120 }), (rows, width) => {
      const lines = table(columns, rows, width, asIs).split("\n");
      expect(lines).toHaveLength(rows.length + 1);
      expect(lines.filter((line) => widthOf(line) > width)).toEqual([]);
    }),
  );
});

test("what may go below its row is whole there up to three lines, and beside it where it has room", () => {
  const columns = [{ header: "ID" }, { header: "REASON", clip: "below" as const }];
  const reason = "the contract is unpaused";
  expect(table(columns, [["a", reason]], 40, asIs)).toBe(`ID  REASON\na   ${reason}`);
  const id = "b".repeat(36);
  const rows = [
    [id, "the contract was paused by its owner, and is not any more"],
    ["c", null],
    ["d", `${"word ".repeat(30)}end`],
  ];
  expect(table(columns, rows, 40, asIs).split("\n")).toEqual([
    "ID",
    id,
    "  the contract was paused by its owner,",
    "  and is not any more",
    "c",
    "d",
    "  word word word word word word word",
    "  word word word word word word word",
    "  word word word word word word word wo…",
  ]);
  expect(table(columns, rows, null, asIs).split("\n")).toHaveLength(rows.length + 1);
});

test("a table whose last cells may go below fits its width, whatever is in them", () => {
  const columns = [
    { header: "ID" },
    { header: "MIDDLE", clip: "middle" as const },
    { header: "REASON", clip: "below" as const },
  ];
  const row = fc.tuple(any, any, any);
  fc.assert(
    fc.property(fc.array(row, { maxLength: 5 }), fc.integer({ min: 40, max: 120 }), (rows, width) => {
      const lines = table(columns, rows, width, asIs).split("\n");
      expect(lines.filter((line) => widthOf(line) > width)).toEqual([]);
      expect(lines.length).toBeLessThanOrEqual(1 + rows.length * 4);
    }),
  );
});

test("facts of any text fit their width, and lose nothing of it but spaces", () => {
  fc.assert(
    fc.property(any, fc.integer({ min: 20, max: 120 }), (text, width) => {
      const lines = facts([["name", text]], width).split("\n");
      expect(lines.filter((line) => widthOf(line) > width)).toEqual([]);
      const whole = (of: string) => of.replaceAll(" ", "");
      expect(whole(wrapped(plain(text), width).join(""))).toBe(whole(plain(text)));
    }),
  );
});

test("what is cut fits, is marked, and keeps its beginning, or its beginning and its end", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 60 }),
      fc.integer({ min: 3, max: 60 }),
      (text, width) => {
        const [middle, end] = [clipMiddle(text, width), clipEnd(text, width)];
        expect(Math.max(widthOf(middle), widthOf(end))).toBeLessThanOrEqual(width);
        expect([middle, end]).toEqual(
          text.length <= width
            ? [text, text]
            : [
                `${text.slice(0, Math.ceil((width - 1) / 2))}…${text.slice(text.length - Math.floor((width - 1) / 2))}`,
                `${text.slice(0, width - 1)}…`,
              ],
        );
      },
    ),
  );
});

test("nothing of what a terminal obeys is left in a text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(plain(text)).not.toMatch(/[\p{Cc}\u202A-\u202E\u2066-\u2069]/u);
    }),
  );
  expect(plain("a\u001B[31mb\u001B[0m\tc\u0007\r\nd")).toBe("ab c d".replace("c d", "c\uFFFD d"));
});

test("wide characters count as two columns, marks and joiners as none", () => {
  expect([widthOf("注文"), widthOf("e\u0301"), widthOf("한"), widthOf("🙂"), widthOf("abc")]).toEqual([
    4, 1, 2, 2, 3,
  ]);
});

test("durations have one unit, rounded down", () => {
  const cases = [-5, 0, 59_999, 60_000, 3_599_999, 3_600_000, 172_799_999, 172_800_000];
  expect(cases.map(duration)).toEqual(["0s", "0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
});

test("a quoted argument is one word to a shell, and nothing more", () => {
  expect([quoted("abc-1.2:3"), quoted("a b"), quoted("it's"), quoted("$(x)"), quoted("")]).toEqual([
    "abc-1.2:3",
    "'a b'",
    "'it'\\''s'",
    "'$(x)'",
    "''",
  ]);
});
