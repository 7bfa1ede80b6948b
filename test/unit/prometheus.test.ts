import fc from "fast-check";
import parsePrometheusTextFormat from "parse-prometheus-text-format";
import { describe, expect, test } from "vitest";
import { exposition } from "../../dlq/prometheus.ts";

/** What the format must escape, and what is near it, far more often than chance would bring it. */
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom("\\", '"', "\n", "\r", "n", "{", "}", ",", "=", "#", " ", "\t", "\u2028", "🦊", "\u0000"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  ),
});

describe("the text exposition", () => {
  test("is read by an independent parser with every label as it was, whatever is in it", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ queue: text, code: text }), {
          minLength: 1,
          maxLength: 5,
          selector: ({ queue, code }) => JSON.stringify([queue, code]),
        }),
        (labels) => {
          const samples = labels.map((labelled, index) => ({ labels: labelled, value: index }));
          const written = exposition([{ name: "a_b", type: "gauge", help: "Help.", samples }]);
          expect(parsePrometheusTextFormat(written)).toEqual([
            {
              name: "a_b",
              help: "Help.",
              type: "GAUGE",
              metrics: samples.map(({ labels: read, value }) => ({ labels: read, value: String(value) })),
            },
          ]);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("keeps every finite number as it is", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const written = exposition([
          { name: "a", type: "gauge", help: "Help.", samples: [{ labels: {}, value }] },
        ]);
        // Zero has one spelling.
        expect(Number(parsePrometheusTextFormat(written)[0]?.metrics[0]?.value)).toBe(
          value === 0 ? 0 : value,
        );
      }),
    );
  });

  test("leaves out what is no number", () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1];
    const samples = values.map((value, index) => ({ labels: { index: String(index) }, value }));
    expect(exposition([{ name: "a", type: "gauge", help: "Help.", samples }])).toBe(
      '# HELP a Help.\n# TYPE a gauge\na{index="3"} 1\n',
    );
  });

  test("keeps a help on its line, and half a surrogate out of the bytes", () => {
    const samples = [{ labels: { of: "\ud800" }, value: 1 }];
    expect(exposition([{ name: "a", type: "counter", help: 'one\\two\n"three"', samples }])).toBe(
      '# HELP a one\\\\two\\n"three"\n# TYPE a counter\na{of="\ufffd"} 1\n',
    );
  });
});
