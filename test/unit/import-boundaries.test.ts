import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A file of an imagined checkout, and import specifiers that the lint configuration must refuse or let pass in it. */
interface Fixture {
  readonly file: string;
  readonly refused: readonly string[];
  readonly allowed: readonly string[];
}

const stages = ["producers", "consumers", "durable-objects", "dlq", "workflows"];
const outsiders = [
  "http-api.ts",
  "queues.ts",
  "ops/client.ts",
  "test/unit/harness.ts",
  "bench/load.ts",
  "worker.ts",
  "vitest.config.ts",
];

function stageFixtures(stage: string): Fixture[] {
  const others = stages.filter((other) => other !== stage).map((other) => `${other}/entry.ts`);
  const beyond = [...others, ...outsiders];
  const common = ["./sibling.ts", "./inner/part.ts", "hono", "cloudflare:workers"];
  return [
    {
      file: `${stage}/entry.ts`,
      refused: [...beyond.map((path) => `../${path}`), "node:fs"],
      allowed: ["../domain/ids.ts", "../lockstep.config.ts", ...common],
    },
    {
      file: `${stage}/inner/part.ts`,
      refused: [...beyond.map((path) => `../../${path}`), "node:fs"],
      allowed: [
        "../../domain/ids.ts",
        "../../lockstep.config.ts",
        "../entry.ts",
        "../other/part.ts",
        ...common,
      ],
    },
  ];
}

const fixtures: readonly Fixture[] = [
  ...stages.flatMap((stage) => stageFixtures(stage)),
  {
    file: "domain/ids.ts",
    refused: [
      ...[...stages.map((stage) => `${stage}/entry.ts`), ...outsiders].map((path) => `../${path}`),
      "../lockstep.config.ts",
      "node:crypto",
      "cloudflare:workers",
    ],
    allowed: ["./result.ts", "zod", "@noble/hashes/sha3.js"],
  },
  {
    file: "lockstep.config.ts",
    refused: [...stages.map((stage) => `./${stage}/entry.ts`), ...outsiders.map((path) => `./${path}`)],
    allowed: ["./domain/ids.ts", "viem"],
  },
  {
    file: "worker.ts",
    refused: [
      "./ops/client.ts",
      "./test/unit/harness.ts",
      "./bench/load.ts",
      "./vitest.config.ts",
      "../worker.ts",
    ],
    allowed: [
      ...stages.map((stage) => `./${stage}/entry.ts`),
      "./consumers/inner/part.ts",
      "./domain/ids.ts",
      "./lockstep.config.ts",
      "./http-api.ts",
      "./queues.ts",
    ],
  },
  {
    file: "queues.ts",
    refused: ["./worker.ts", "./producers/entry.ts", "./durable-objects/entry.ts", "./ops/client.ts"],
    allowed: ["./consumers/entry.ts", "./dlq/entry.ts", "./domain/ids.ts", "./lockstep.config.ts"],
  },
  {
    file: "http-api.ts",
    refused: ["./worker.ts", "./consumers/entry.ts", "./durable-objects/entry.ts", "./ops/client.ts"],
    allowed: ["./producers/entry.ts", "./dlq/entry.ts", "./domain/ids.ts", "./lockstep.config.ts"],
  },
  {
    file: "ops/client.ts",
    refused: [
      ...stages.map((stage) => `../${stage}/entry.ts`),
      "../worker.ts",
      "../http-api.ts",
      "../lockstep.config.ts",
      "../test/unit/harness.ts",
      "cloudflare:workers",
    ],
    allowed: ["../domain/ids.ts", "./runner.ts", "node:fs", "viem"],
  },
  {
    file: "ops/openapi.ts",
    refused: ["../producers/entry.ts", "../dlq/entry.ts", "../worker.ts", "cloudflare:workers"],
    allowed: ["../http-api.ts", "../producers/openapi.ts", "node:fs"],
  },
  {
    file: "ops/inner/part.ts",
    refused: ["../../consumers/entry.ts", "../../worker.ts", "../../test/unit/harness.ts"],
    allowed: ["../../domain/ids.ts", "../client.ts", "node:fs"],
  },
  {
    file: "bench/load.ts",
    refused: ["../test/unit/harness.ts"],
    allowed: ["../domain/ids.ts", "../ops/client.ts", "../consumers/entry.ts", "node:fs"],
  },
  {
    file: "test/unit/harness.ts",
    refused: [],
    allowed: ["../../domain/ids.ts", "../../consumers/entry.ts", "../../worker.ts", "../pipeline/harness.ts"],
  },
];

/** Every form that reaches another module, around a specifier that `consumers/forms.ts` may not name. */
const forms: Readonly<Record<string, string>> = {
  "a named import": `import { one } from "../producers/named.ts";\nexport const first = one;`,
  "a type import": `import type { Two } from "../producers/types.ts";\nexport type Second = Two;`,
  "a side-effect import": `import "../producers/effect.ts";`,
  "a named re-export": `export { three } from "../producers/re-export.ts";`,
  "a star re-export": `export * from "../producers/star.ts";`,
  "a dynamic import": `export const fourth = import("../producers/dynamic.ts");`,
  "a detour through an allowed folder": `export * from "../domain/../producers/detour.ts";`,
  "a detour through its own folder": `export * from "./../producers/own.ts";`,
  "an absolute path": `export * from "/producers/absolute.ts";`,
};

const report = z.object({
  diagnostics: z.array(z.object({ code: z.string(), message: z.string(), filename: z.string() })),
});

/** Lints `files` (path → text) under the repository's own configuration and returns "path: specifier" per refusal. */
function refusals(files: ReadonlyMap<string, string>): Set<string> {
  const checkout = mkdtempSync(join(tmpdir(), "lockstep-boundaries-"));
  try {
    const config = z
      .looseObject({ options: z.looseObject({ typeAware: z.boolean() }) })
      .parse(JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8")));
    // The boundaries need no types, and the imagined checkout has no compiler settings.
    config.options.typeAware = false;
    writeFileSync(join(checkout, ".oxlintrc.json"), JSON.stringify(config));
    for (const [path, text] of files) {
      mkdirSync(dirname(join(checkout, path)), { recursive: true });
      writeFileSync(join(checkout, path), text);
    }
    const oxlint = join(root, "node_modules", ".bin", "oxlint");
    const run = spawnSync(process.execPath, [oxlint, "--format", "json"], {
      cwd: checkout,
      encoding: "utf8",
    });
    const found = report.parse(JSON.parse(run.stdout)).diagnostics;
    return new Set(
      found
        .filter((diagnostic) => diagnostic.code === "eslint(no-restricted-imports)")
        .map(({ filename, message }) => `${filename}: ${/^'([^']+)' import/.exec(message)?.[1] ?? message}`),
    );
  } finally {
    rmSync(checkout, { recursive: true, force: true });
  }
}

describe("the lint configuration keeps the folders apart", () => {
  let refused: Set<string>;
  let refusedForms: Map<string, boolean>;

  beforeAll(() => {
    const files = new Map(
      fixtures.map(({ file, refused: bad, allowed: good }) => [
        file,
        [...bad, ...good].map((specifier) => `export * from "${specifier}";\n`).join(""),
      ]),
    );
    refused = refusals(files);

    const formFiles = new Map(
      Object.values(forms).map((text, index) => [`consumers/form-${index}.ts`, `${text}\n`] as const),
    );
    const found = [...refusals(formFiles)];
    refusedForms = new Map(
      Object.keys(forms).map((name, index) => [
        name,
        found.some((entry) => entry.startsWith(`consumers/form-${index}.ts: `)),
      ]),
    );
  });

  for (const { file, refused: bad, allowed: good } of fixtures) {
    if (bad.length > 0) {
      test(`${file} cannot import ${bad.join(", ")}`, () => {
        expect(bad.filter((specifier) => !refused.has(`${file}: ${specifier}`))).toEqual([]);
      });
    }
    test(`${file} may import ${good.join(", ")}`, () => {
      expect(good.filter((specifier) => refused.has(`${file}: ${specifier}`))).toEqual([]);
    });
  }

  for (const name of Object.keys(forms)) {
    test(`a stage cannot reach another through ${name}`, () => {
      expect(refusedForms.get(name)).toBe(true);
    });
  }
});
