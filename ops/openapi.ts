// `npm run check:openapi`: the OpenAPI document that the Worker serves, built without the Worker and held to Redocly's
// rules. Prints what is wrong; exit code 1 if anything is. With a path, the document is written there as well.
import { writeFileSync } from "node:fs";
import { createConfig, formatProblems, getTotals, lintFromString } from "@redocly/openapi-core";
import { httpApi } from "../http-api.ts";
import { openApiDocument } from "../producers/openapi.ts";

const source = JSON.stringify(openApiDocument(httpApi), null, 2);
const [path] = process.argv.slice(2);
if (path !== undefined) writeFileSync(path, `${source}\n`);

const config = await createConfig({
  extends: ["recommended-strict"],
  rules: {
    "operation-tag-defined": "error",
    "no-unused-components": "error",
    // Every operation has `default`; the one that is always well has no other refusal.
    "operation-4xx-response": "off",
  },
});
const problems = await lintFromString({ source, absoluteRef: "openapi.json", config });
const totals = getTotals(problems);
formatProblems(problems, { totals, format: "stylish", version: "", cwd: process.cwd() });
process.exitCode = totals.errors + totals.warnings > 0 ? 1 : 0;
